from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.transaction import separate_transaction, transaction
from caseapp.core.vault import seal
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients import matches
from caseapp.domain.clients.codes import MOST_QUESTIONS, QUESTION_HOURS
from caseapp.domain.clients.matches import (
    list_matches,
    list_outdated_clients,
    list_undecided_conflicts,
)
from caseapp.domain.clients.models import (
    Client,
    ClientNameWord,
    ConflictQuestion,
    NameHash,
    PhoneHash,
    PossibleConflict,
)
from caseapp.domain.clients.operations import COMPARISON, enqueue_comparison, update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.search import list_clients
from caseapp.domain.keys.models import ClientKey
from caseapp.jobs.client_hashes import refresh_outdated_hashes
from tests.support import builders, staff

pytestmark = pytest.mark.both(every_set=True)


@pytest.fixture
def found(team):
    people_here = {
        "zoe": ("Zoë Müller-Štěpánek", {"email": "zoe@example.test"}),
        "ines": ("Inês Okafor", {"phone": "+44 7700 900123 / 020 7946 0000"}),
        "bjorn": ("Bjørn O'Brien", {"email": "zoe@bücher.example"}),
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


SEARCHES = [
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
    ("obrien", {"bjorn"}),
    ("bjorn", {"bjorn"}),
    ("muellerstepanek", {"zoe"}),
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
    ("\u0660\u0667\u0667\u0660\u0660 \u0669\u0660\u0660\u0661\u0662\u0663", {"ines"}),
    ("020 7946 0000", {"ines"}),
    ("900123", set()),
    ("zoe@bücher.example", {"bjorn"}),
    ("zoe@xn--bcher-kva.example", {"bjorn"}),
    ("%", set()),
    ("_", set()),
    ("' OR 1=1 --", set()),
    ("\x00", set()),
    ("x" * 5000, set()),
]


@pytest.mark.slow
def test_search_matches_word_beginnings_or_exact_contact(found):
    assert [(q, found(q)) for q, _ in SEARCHES] == SEARCHES


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


ARABIC = "\u0660\u0667\u0667\u0660\u0660 \u0669\u0660\u0660\u0661\u0662\u0663"
MATCHES = [
    ({"name": "Ines Okafor"}, "has the same name"),
    ({"name": "Ines Maria OKAFOR"}, "has the same name"),
    ({"name": "Tomas Weber"}, "names this person as their partner"),
    (
        {"name": "Tomas Weber", "partner_name": "Ines Okafor"},
        "has the name of this person’s partner",
    ),
    ({"name": "Ana Ruiz", "partner_name": "Inès Okafor"}, "has the name of this person’s partner"),
    ({"name": "Ana Ruiz", "email": "INES@example.test".lower()}, "has the same email or phone"),
    ({"name": "Ana Ruiz", "phone": "+44 7700 900123"}, "has the same email or phone"),
    (
        {
            "name": "Ana Ruiz",
            "phone": "0771 1 / \u0660\u0667\u0667\u0660\u0660 \u0669\u0660\u0660\u0661\u0662\u0663",
        },
        "has the same email or phone",
    ),
    ({"name": "Inez Okafor"}, "has a similar name"),
    ({"name": "Thomas Weber"}, "names somebody with a similar name as their partner"),
    (
        {"name": "Ana Ruiz", "partner_name": "Ines Okafoor"},
        "has a name like that of this person’s partner",
    ),
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


@pytest.mark.both
@pytest.mark.parametrize(("new", "reason"), MATCHES)
@pytest.mark.parametrize("agreed", [False, True])
def test_possible_conflict_tells_another_coach_no_details(team, ines, new, reason, agreed):
    with pytest.raises(RuleBroken) as refused:
        builders.client(team["coach2"], agreed=agreed, **new)
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


@pytest.mark.both
@pytest.mark.parametrize(("new", "reason"), MATCHES)
def test_possible_conflict_tells_a_supervisor_both_sides(team, ines, new, reason):
    with pytest.raises(RuleBroken) as refused:
        builders.client(team["supervisor"], **new)
    [given] = refused.value.reasons
    assert given.message == f"Ines Okafor (coach: Marta Lindqvist) {reason}."


@pytest.mark.both
@pytest.mark.parametrize(("new", "reason"), MATCHES)
def test_coach_is_told_which_client_of_their_own_it_may_be(team, new, reason):
    number = builders.case(
        team["coach"],
        "Ines Okafor",
        partner_name="Tomas Weber",
        email="ines@example.test",
        phone="07700 900123",
    ).number
    with pytest.raises(RuleBroken) as refused:
        builders.client(team["coach"], **new)
    found = {given.code: given.message for given in refused.value.reasons}
    assert (
        found["possible_duplicate"]
        == f"You already have a client, Ines Okafor, {number}, who {reason}."
    )
    coach_decides = reason in {"has the same name", "has a similar name"}
    assert ("possible_conflict" in found) is not coach_decides
    if coach_decides:
        client_id = builders.client(team["coach"], agreed=True, **new)
        assert decision(client_id) == {"possible_conflict": "coach decided"}
    else:
        with pytest.raises(RuleBroken):
            builders.client(team["coach"], agreed=True, **new)


def decision(client_id, action="client.create", number=1):
    db.session.rollback()
    found = sa.select(AuditEvent.details).where(
        AuditEvent.action == action, AuditEvent.client_id == client_id
    )
    return db.session.scalars(found.order_by(AuditEvent.occurred_at)).all()[number - 1]


@pytest.mark.both
@pytest.mark.parametrize(("new", "reason"), MATCHES)
def test_conflict_that_a_supervisor_decides_is_saved_and_recorded(team, ines, new, reason):
    client_id = builders.client(team["supervisor"], agreed=True, **new)
    assert decision(client_id) == {"possible_conflict": "supervisor decided"}


def edit(actor, client_id, *, agreed=False, **changed):
    with transaction():
        client = lock_client(actor, client_id)
        before = client.record
        kept = {
            name: getattr(before, name)
            for name in ("preferred_name", "email", "phone", "partner_name")
        }
        details = builders.details(**{"name": before.name} | kept | changed)
        update_client(actor, client, details, before.version, agreed=agreed)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "Ines Okafor"},
        {"name": "Inez Okafor"},
        {"preferred_name": "Ines", "name": "Agnes Okafor"},
        {"partner_name": "Inès Okafor"},
        {"email": "ines@example.test"},
        {"phone": "020 7946 0000 / +44 7700 900123"},
    ],
)
def test_details_that_come_to_fit_another_record_are_refused(team, ines, changed):
    other = builders.client(team["coach2"], "Ana Ruiz")
    for agreed in (False, True):
        with pytest.raises(RuleBroken) as refused:
            edit(team["coach2"], other, agreed=agreed, **changed)
        assert [given.code for given in refused.value.reasons] == ["possible_conflict"]
    assert get_client_record(team["coach2"], other).name == "Ana Ruiz"


@pytest.mark.slow
def test_supervisor_decides_about_new_details_and_is_not_asked_again(team, ines):
    other = builders.client(team["coach"], "Ana Ruiz")
    with pytest.raises(RuleBroken, match="Ines Okafor"):
        edit(team["supervisor"], other, partner_name="Ines Okafor")
    edit(team["supervisor"], other, partner_name="Ines Okafor", agreed=True)
    assert decision(other, "client.edit")["possible_conflict"] == "supervisor decided"
    edit(team["coach"], other, phone="020 7946 0000")
    with pytest.raises(RuleBroken):
        edit(team["coach"], other, phone="07700 900123", partner_name=None)


def test_details_that_are_not_compared_ask_nothing(team, ines):
    with at(now() - timedelta(days=1)):
        before = builders.client(team["supervisor"], "Ines Okafor", agreed=True)
    edit(team["supervisor"], before, pronouns="they/them")
    assert "possible_conflict" not in decision(before, "client.edit")


SAME_NUMBER = {"partner_name": "Ines Okafor", "phone": "07700 900123"}


def ask(actor, times=1):
    for _ in range(times):
        with pytest.raises(RuleBroken, match=r"[Tt]alk to your supervisor|Marta Lindqvist"):
            builders.client(actor, "Tomas Weber")


@pytest.mark.slow
def test_asking_is_limited_for_each_person(team, ines):
    ask(team["coach2"], MOST_QUESTIONS)
    for new in MATCHES[0][0], {"name": "Ana Ruiz"}:
        with pytest.raises(RuleBroken) as refused:
            builders.client(team["coach2"], **new)
        assert [given.code for given in refused.value.reasons] == ["too_many_conflicts"]
    assert builders.client(team["coach"], "Eva Blum")
    with at(now() + timedelta(hours=QUESTION_HOURS, minutes=1)):
        ask(team["coach2"])
        assert builders.client(team["coach2"], "Ana Ruiz")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(ConflictQuestion)) == 1


def count_many(actor):
    """Count as many questions of somebody as they may ask."""
    with separate_transaction() as connection:
        for _ in range(MOST_QUESTIONS):
            asked = {"id": new_id(), "user_id": actor.id, "asked_at": now()}
            connection.execute(sa.insert(ConflictQuestion).values(asked))


@pytest.mark.parametrize(
    "changed",
    [
        {"phone": None},
        {"phone": "07700 900123"},
        {"email": None, "preferred_name": "", "partner_name": None},
        {"name": "INES OKAFOR"},
    ],
)
def test_what_only_takes_away_is_saved_past_the_limit(team, changed):
    typed = {"phone": "+44 7700 900123 / 020 7946 0000", "email": "ines@example.test"}
    names = {"preferred_name": "Nessa", "partner_name": "Tomas Weber"}
    client_id = builders.client(team["coach"], "Ines Okafor", **typed, **names)
    count_many(team["coach"])
    for added in {"phone": "07700 900456"}, {"email": "i@example.test"}, {"partner_name": "Tom"}:
        with pytest.raises(RuleBroken, match="possible conflicts"):
            edit(team["coach"], client_id, **changed | added)
    edit(team["coach"], client_id, **changed)
    record = get_client_record(team["coach"], client_id)
    assert {name: getattr(record, name) for name in changed} == changed


def test_weaker_match_that_is_left_by_a_removal_asks_nothing(team, ines):
    """Without the partner's name, the number still fits; about that client it was decided before."""
    other = builders.client(team["supervisor"], "Ana Ruiz", agreed=True, **SAME_NUMBER)
    counted = sa.select(sa.func.count()).select_from(ConflictQuestion)
    before = db.session.scalar(counted)
    edit(team["supervisor"], other, partner_name=None)
    assert get_client_record(team["supervisor"], other).partner_name is None
    assert db.session.scalar(counted) == before


@pytest.mark.slow
def test_supervisor_who_decides_is_not_limited(team, ines):
    ask(team["supervisor"], MOST_QUESTIONS)
    assert builders.client(team["supervisor"], "Ines Okafor", agreed=True)
    with pytest.raises(RuleBroken, match="possible conflicts"):
        builders.client(team["supervisor"], "Tomas Weber")


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


def test_hashes_of_an_earlier_release_are_made_again(team, ines):
    version = db.session.get_one(Client, ines).version
    with transaction() as session:
        session.execute(sa.delete(NameHash))
        session.execute(sa.delete(ClientNameWord))
        session.execute(sa.update(PhoneHash).values(hash="earlier"))
        session.execute(sa.update(Client).values(email_hash="earlier", compared_as=None))
    with transaction():
        enqueue_comparison()
        enqueue_comparison()
    assert outbox.sweep(kind=COMPARISON) == 1
    for q in ("okaf", "ines@example.test", "07700 900123"):
        assert [item.id for item in list_clients(team["coach"], q, None, 50).items] == [ines]
    with pytest.raises(RuleBroken):
        builders.client(team["coach2"], "Tomas Weber")
    with transaction():
        enqueue_comparison()
    assert outbox.sweep(kind=COMPARISON) == 0
    db.session.expire_all()
    assert db.session.get_one(Client, ines).version == version


def test_clients_are_compared_again_after_an_update_of_what_compares(team, ines, monkeypatch):
    assert list_outdated_clients(None, 10) == []
    monkeypatch.setattr(matches, "_hash_packages", lambda: "0123ef")
    assert list_outdated_clients(None, 10) == [ines]


@pytest.mark.slow
def test_possible_conflict_that_nobody_asked_about_is_found_and_waits_for_a_decision(team, ines):
    other = builders.client(team["coach"], "Ana Ruiz")
    assert list_undecided_conflicts(team["supervisor"], 10) == []
    with transaction():
        # As a release before wrote it, which asked at the creation only.
        client = lock_client(team["coach"], other)
        row = db.session.get_one(Client, other)
        row.partner_name = seal(row, "partner_name", "In\u00e9s Okafor", client.key)
        row.compared_as = None
    for _ in range(2):
        refresh_outdated_hashes(new_id(), {})
    db.session.rollback()
    found = list_undecided_conflicts(team["supervisor"], 10)
    assert {one.client_id for one in found} == {ines, other}
    [match] = list_matches(team["supervisor"], other)
    assert (match.client_id, match.is_decided) == (ines, False)
    edit(team["coach"], other, agreed=True)
    assert len(list_undecided_conflicts(team["supervisor"], 10)) == 2
    edit(team["supervisor"], other, agreed=True)
    assert list_undecided_conflicts(team["supervisor"], 10) == []
    assert [match.is_decided for match in list_matches(team["supervisor"], ines)] == [True]
    assert decision(other, "client.edit", 2)["possible_conflict"] == "supervisor decided"
    with pytest.raises(Forbidden):
        list_undecided_conflicts(team["coach"], 10)


def test_possible_conflict_ends_when_the_details_no_longer_fit(team, ines):
    other = builders.client(team["supervisor"], "Tomas Weber", agreed=True)
    with transaction() as session:
        session.execute(sa.update(PossibleConflict).values(decided_at=None, decided_by=None))
    assert len(list_undecided_conflicts(team["supervisor"], 10)) == 2
    edit(team["supervisor"], other, name="Ana Ruiz", preferred_name="Ana")
    assert list_undecided_conflicts(team["supervisor"], 10) == []


def test_decided_conflict_is_not_found_again(team, ines):
    other = builders.client(team["supervisor"], "Tomas Weber", agreed=True)
    with transaction() as session:
        session.execute(sa.update(Client).values(compared_as=None))
    refresh_outdated_hashes(new_id(), {})
    db.session.rollback()
    assert list_outdated_clients(None, 10) == []
    assert list_undecided_conflicts(team["supervisor"], 10) == []
    assert [match.client_id for match in list_matches(team["supervisor"], ines)] == [other]


def test_record_that_does_not_open_does_not_stop_the_comparison(team, ines, caplog):
    broken = builders.client(team["coach"], "Ana Ruiz")
    with transaction() as session:
        session.execute(sa.update(Client).values(compared_as=None))
        key = sa.update(ClientKey).where(ClientKey.client_id == broken)
        session.execute(key.values(wrapped=b"x" * 60))
    refresh_outdated_hashes(new_id(), {})
    db.session.expire_all()
    assert list_outdated_clients(None, 10) == [broken]


def test_list_matches_is_for_supervisors_only(team, ines):
    other_supervisor = staff.add("supervisor2")
    coach = staff.add("coach3", supervisor="supervisor2")
    other = builders.client(other_supervisor, "Tomas Weber", coach_id=coach.id, agreed=True)
    [match] = list_matches(team["supervisor"], ines)
    assert (match.client_id, match.name, match.coaches) == (other, "Tomas Weber", ("Coach3",))
    with pytest.raises(Forbidden):
        list_matches(team["coach"], ines)
    with pytest.raises(NotFound):
        list_matches(team["supervisor"], other)


def test_client_never_matches_themselves(team, ines):
    assert list_matches(team["supervisor"], ines) == []
