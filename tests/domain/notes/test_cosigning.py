"""REC-12: a supervised coach's signed note needs the co-signature of a supervisor, who may return it with a comment."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.models import METADATA
from caseapp.domain.notes.cosign_operations import cosign_note, return_note
from caseapp.domain.notes.cosign_queries import get_review, list_reviews
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.staffing.members import change_role, set_cosignature
from caseapp.domain.staffing.queries import lock_member
from caseapp.domain.users.queries import needs_cosignature
from tests.domain.notes.test_addenda import add, stored
from tests.domain.notes.test_signatures import SIGNATURES, read, without_triggers
from tests.domain.staffing.steps import give
from tests.support import builders, staff
from tests.support.owner import owner_connection
from tests.support.staff_pages import StaffBrowser

RETURNS = METADATA.tables["note_return"]
COMMENT = "Say who was in the room."


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def supervisor(team):
    return team["supervisor"]


@pytest.fixture
def note_id(coach):
    """Sign a note that needs a co-signature."""
    with builders.supervised(coach):
        return builders.note(coach, builders.case(coach, "Ines Okafor").case_id)


def cosign(actor, note_id, version=2):
    with transaction():
        return cosign_note(actor, lock_note(actor, note_id), version)


def send_back(actor, note_id, version=2):
    with transaction():
        return return_note(actor, lock_note(actor, note_id), COMMENT, version)


def listed(actor):
    db.session.rollback()
    return [(item.id, item.state) for item in list_reviews(actor, None, 9).items]


@pytest.mark.slow
def test_note_is_signed_returned_added_to_and_cosigned_and_stays_as_it_was(
    team, coach, supervisor, note_id
):
    before = stored(note_id)
    note = get_note(coach, note_id)
    assert (note.status, note.review, note.cosignature) == ("signed", "waiting", None)
    assert (listed(coach), listed(team["coach2"])) == ([], [])
    assert listed(supervisor) == [(note_id, "waiting")]
    assert [item.id for item in get_today(supervisor).reviews] == [note_id]
    assert send_back(supervisor, note_id).review == "returned"
    assert listed(coach) == [(note_id, "returned")]
    assert [item.id for item in get_today(coach).reviews] == [note_id]
    [found] = get_review(coach, note_id).returns
    assert (found.by, found.comment) == (supervisor.name, COMMENT)
    with pytest.raises(RuleBroken):
        send_back(supervisor, note_id)
    assert add(coach, note_id, "addition", "Her sister was.").review == "waiting"
    with pytest.raises(Stale):
        cosign(supervisor, note_id, 3)
    note = cosign(supervisor, note_id, 4)
    assert (note.review, note.is_as_signed, note.cosigner) == (None, True, supervisor.name)
    signed = note.cosignature
    assert (signed.signed_by, signed.role, signed.meaning) == (
        supervisor.id,
        "supervisor",
        "cosign",
    )
    assert (listed(coach), listed(supervisor)) == ([], [])
    assert add(coach, note_id, "addition", "She rang again.").is_as_signed
    assert stored(note_id) == before
    with pytest.raises(RuleBroken):
        cosign(supervisor, note_id, 5)
    assert len(get_review(coach, note_id).returns) == 1


def test_nobody_cosigns_over_a_return_or_returns_what_was_added_to_meanwhile(
    coach, supervisor, note_id
):
    send_back(supervisor, note_id)
    assert get_review(supervisor, note_id).version == 3
    with pytest.raises(Stale):
        cosign(supervisor, note_id, 2)
    add(coach, note_id, "addition", "Her sister was.")
    with pytest.raises(Stale):
        send_back(supervisor, note_id, 3)
    assert listed(supervisor) == [(note_id, "waiting")]


@pytest.mark.slow
def test_returned_note_of_somebody_who_no_longer_coaches_is_listed_to_whoever_does_now(
    app, team, coach, supervisor
):
    coach2 = team["coach2"]
    with builders.supervised(coach):
        made = builders.case(coach, "Ines Okafor")
        note_id = builders.note(coach, made.case_id)
    send_back(supervisor, note_id)
    assert listed(coach2) == []
    give(supervisor, made, coach, coach2)
    assert (listed(coach), listed(coach2)) == ([], [(note_id, "returned")])
    assert [item.id for item in get_today(coach2).reviews] == [note_id]
    page = StaffBrowser(app, coach2).text("/notes/co-signing")
    assert f"Returned to {coach.name}, who no longer coaches this client" in page
    assert f'href="/note/{note_id}"' in page
    assert add(coach2, note_id, "addition", "Her sister was.").review == "waiting"
    assert listed(coach2) == []


def test_nobody_else_cosigns_and_a_note_in_error_needs_no_cosignature(coach, supervisor, note_id):
    with pytest.raises(Forbidden):
        cosign(coach, note_id)
    with pytest.raises(NotFound):
        cosign(staff.add("supervisor2"), note_id)
    own = builders.note(supervisor, builders.case(supervisor).case_id)
    with pytest.raises(RuleBroken):
        cosign(supervisor, own)
    note = add(coach, note_id, "in_error", "", "Written for another client.")
    assert (note.review, listed(supervisor)) == (None, [])


@pytest.mark.slow
def test_every_change_of_a_cosignature_or_of_what_it_covers_shows(coach, supervisor, note_id):
    add(coach, note_id, "addition", "She rang.")
    cosign(supervisor, note_id, 3)
    is_cosign = SIGNATURES.c.meaning == "cosign"
    with pytest.raises(sa.exc.DBAPIError), transaction() as session:
        session.execute(sa.delete(SIGNATURES).where(is_cosign))
    without_triggers()
    before = db.session.execute(sa.select(SIGNATURES).where(is_cosign)).mappings().one()
    for change in (
        {"signed_by": coach.id},
        {"role": "admin"},
        {"digest": "0" * 64},
        {"key_number": 9},
        {"mac": b"x" * 32},
    ):
        with owner_connection() as connection:
            connection.execute(sa.update(SIGNATURES).where(is_cosign).values(change))
        assert not read(coach, note_id).is_as_signed, change
        with owner_connection() as connection:
            connection.execute(sa.update(SIGNATURES).where(is_cosign).values(dict(before)))
    assert read(coach, note_id).is_as_signed


def test_comments_of_returns_never_change_and_are_sealed(supervisor, note_id):
    send_back(supervisor, note_id)
    assert b"room" not in db.session.scalars(sa.select(RETURNS.c.comment)).one()
    for statement in (sa.update(RETURNS).values(seq=9), sa.delete(RETURNS)):
        with pytest.raises(sa.exc.DBAPIError), transaction() as session:
            session.execute(statement)


def test_only_a_coach_needs_cosignatures_and_another_role_ends_it(team, supervisor):
    admin, coach2 = team["admin"], team["coach2"]
    with pytest.raises(RuleBroken), transaction():
        set_cosignature(admin, lock_member(supervisor.id), needed=True)
    # Nobody decides but an admin and the person's own supervisor, and nobody about themselves.
    others = ((supervisor, coach2), (staff.add("supervisor2"), team["coach"]), (team["coach"],) * 2)
    for actor, person in others:
        with pytest.raises((NotFound, Forbidden)), transaction():
            set_cosignature(actor, lock_member(person.id), needed=True)
    with transaction():
        set_cosignature(supervisor, lock_member(team["coach"].id), needed=True)
        set_cosignature(admin, lock_member(coach2.id), needed=True)
    assert needs_cosignature(coach2.id)
    assert needs_cosignature(team["coach"].id)
    with transaction():
        change_role(admin, lock_member(coach2.id), "supervisor", None, None)
    assert not needs_cosignature(coach2.id)
