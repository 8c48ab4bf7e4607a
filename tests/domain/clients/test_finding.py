from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import list_matches, lock_client, name_hash
from caseapp.domain.clients.rules import name_words, phone_digits
from caseapp.domain.clients.search import list_clients
from tests.support import builders

pytestmark = pytest.mark.both(every_set=True)


@pytest.fixture
def found(team):
    people_here = {
        "zoe": ("Zoë Müller-Štěpánek", {"email": "zoe@example.test"}),
        "ines": ("Inês Okafor", {"phone": "+44 7700 900123"}),
        "bjorn": ("Bjørn O'Brien", {}),
        "li": ("李 小龙", {}),
        "percent": ("Per % Cent_Wild", {}),
    }
    ids = {
        builders.client(team["coach"], name, **rest): who
        for who, (name, rest) in people_here.items()
    }

    def search(q, who="coach"):
        return {ids.get(item.id) for item in list_clients(team[who], q, None, 50).items}

    return search


@pytest.mark.parametrize(
    ("q", "who"),
    [
        ("zoe", {"zoe"}),
        ("ZOË", {"zoe"}),
        ("Zoe\u0308", {"zoe"}),
        ("mul", {"zoe"}),
        ("müll step", {"zoe"}),
        ("step zo", {"zoe"}),
        ("zoe okafor", set()),
        ("ine", {"ines"}),
        ("okaf", {"ines"}),
        ("kafor", set()),
        ("obrien", set()),
        ("brien", {"bjorn"}),
        ("o'brien", {"bjorn"}),
        ("李", {"li"}),
        ("小", {"li"}),
        ("zoe@example.test", {"zoe"}),
        (" ZOE@Example.test ", {"zoe"}),
        ("zoe@example", set()),
        ("07700 900123", {"ines"}),
        ("+447700900123", {"ines"}),
        ("(0)7700-900-123", {"ines"}),
        ("900123", set()),
        ("%", set()),
        ("_", set()),
        ("' OR 1=1 --", set()),
        ("\x00", set()),
        ("x" * 5000, set()),
    ],
)
def test_search_matches_word_beginnings_or_exact_contact(found, q, who):
    assert found(q) == who


@pytest.mark.parametrize("q", [None, "", "   "])
def test_empty_search_lists_all_clients(found, q):
    assert found(q) == {"zoe", "ines", "bjorn", "li", "percent"}


@pytest.mark.parametrize("q", ["zoe", "zoe@example.test", "07700 900123"])
def test_search_finds_only_visible_clients(found, q):
    assert found(q, "coach2") == set()
    assert found(q, "supervisor") != set()


def test_search_after_a_name_change_finds_only_the_new_name(team, found):
    client_id = builders.client(team["coach"], "Ada Old")
    with transaction():
        update_client(
            team["coach"], lock_client(team["coach"], client_id), builders.details("Ada New"), 1
        )
    assert found("old") == set()
    assert found("new") == {None}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Zoë Müller-Štěpánek", ["zoe", "muller", "stepanek"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("ﬁne", ["fine"]),
        ("", []),
        ("x" * 100, ["x" * 60]),
    ],
)
def test_name_words_are_folded(name, words):
    assert name_words(name) == words


def test_name_hash_ignores_middle_names_and_order(session_app):
    assert name_hash("Ines Maria Okafor") == name_hash("okafor ínes")
    assert name_hash("Ines Okafor") != name_hash("Ines Weber")
    assert name_hash("") == ""


@pytest.mark.parametrize(
    ("phone", "digits"),
    [("+44 7700 900123", "700900123"), ("07700900123", "700900123"), ("12", ""), ("", "")],
)
def test_phone_digits_are_the_last_nine(phone, digits):
    assert phone_digits(phone) == digits


MATCHES = [
    ({"name": "Ines Okafor"}, "has the same name"),
    ({"name": "Ines Maria OKAFOR"}, "has the same name"),
    ({"name": "Tomas Weber"}, "names this person as their partner"),
    (
        {"name": "Tomas Weber", "partner_name": "Ines Okafor"},
        "has the name of this person's partner",
    ),
    ({"name": "Ana Ruiz", "partner_name": "Inès Okafor"}, "has the name of this person's partner"),
    ({"name": "Ana Ruiz", "email": "INES@example.test".lower()}, "has the same email or phone"),
    ({"name": "Ana Ruiz", "phone": "+44 7700 900123"}, "has the same email or phone"),
]


@pytest.fixture
def ines(team):
    return builders.client(
        team["coach"],
        "Ines Okafor",
        partner_name="Tomas Weber",
        email="ines@example.test",
        phone="07700 900123",
    )


@pytest.mark.parametrize(("new", "reason"), MATCHES)
@pytest.mark.parametrize("who", ["coach", "coach2"])
def test_possible_conflict_tells_a_coach_no_details(team, ines, who, new, reason):
    with pytest.raises(RuleBroken) as refused:
        builders.client(team[who], **new)
    [given] = refused.value.reasons
    assert given.code == "possible_conflict"
    shown = f"{given.message} {given.way_out} {refused.value}"
    for word in (
        "Ines",
        "Okafor",
        "Tomas",
        "Weber",
        "Marta",
        "Lindqvist",
        "same",
        "partner",
        "900123",
    ):
        assert word not in shown


@pytest.mark.parametrize(("new", "reason"), MATCHES)
def test_possible_conflict_tells_a_supervisor_both_sides(team, ines, new, reason):
    with pytest.raises(RuleBroken) as refused:
        builders.client(team["supervisor"], **new)
    [given] = refused.value.reasons
    assert given.message == f"Ines Okafor (coach: Marta Lindqvist) {reason}."


@pytest.mark.parametrize(("new", "reason"), MATCHES)
def test_agreed_conflict_is_saved_and_recorded(team, ines, new, reason):
    client_id = builders.client(team["coach2"], agreed=True, **new)
    details = db.session.scalar(
        sa.select(AuditEvent.details).where(
            AuditEvent.action == "client.create", AuditEvent.client_id == client_id
        )
    )
    assert details == {"possible_conflict": "supervisor asked"}


@pytest.mark.parametrize(
    "new",
    [
        {"name": "Ana Ruiz"},
        {"name": "Ana Ruiz", "partner_name": "Tomas Weber"},
        {"name": "Ana Ruiz", "phone": "07700 900124", "email": "ana@example.test"},
        {"name": "Okafor"},
    ],
)
def test_different_client_is_not_a_match(team, ines, new):
    assert builders.client(team["coach2"], **new)


def test_short_phone_numbers_never_match(team):
    builders.client(team["coach"], "Ana Ruiz", phone="1 2 3")
    assert builders.client(team["coach"], "Eva Blum", phone="4 5 6")


def test_list_matches_is_for_supervisors_only(team, ines):
    other = builders.client(team["coach2"], "Tomas Weber", agreed=True)
    [match] = list_matches(team["supervisor"], ines)
    assert (match.client_id, match.name, match.coaches) == (other, "Tomas Weber", ("Jonas Adler",))
    with pytest.raises(Forbidden):
        list_matches(team["coach"], ines)
    with pytest.raises(NotFound):
        list_matches(team["supervisor"], other)


def test_client_never_matches_themselves(team, ines):
    assert list_matches(team["supervisor"], ines) == []
