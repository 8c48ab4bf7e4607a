"""A record with a legal hold is kept, whoever wants it gone and by whichever way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.stored_log_verification import verify_log
from caseapp.domain.audit.tombstones import list_returned
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.erasure.operations import (
    erase_record,
    refuse_erasure,
    repeat_erasure,
    request_erasure,
)
from caseapp.domain.erasure.queries import get_erasure, lock_erasure, lock_record
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.legal_holds.models import LegalHold
from caseapp.domain.legal_holds.operations import (
    lift_legal_hold,
    place_legal_hold,
    review_legal_hold,
)
from caseapp.domain.legal_holds.queries import (
    get_legal_hold,
    is_on_legal_hold,
    list_legal_holds,
    lock_legal_hold,
    lock_legal_holds,
)
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import get_merge, lock_merge
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import discard_draft, save_draft
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.schemas import DraftChange, NewNoteMove
from caseapp.domain.practice.queries import today
from caseapp.domain.staffing.cover_operations import arrange_cover
from caseapp.domain.staffing.cover_queries import lock_caseload
from caseapp.domain.staffing.cover_schemas import NewCover
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.schemas import NewDenial
from tests.support import builders

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(app, tmp_path):
    """Keep checkpoints and tombstones of this test apart."""
    before = settings.active()
    settings.use(replace(before, checkpoint_dir=tmp_path / "checkpoints"))
    yield tmp_path
    settings.use(before)


def place(actor, number, kind="court", days=90):
    with transaction():
        holds = lock_legal_holds(actor, number)
        return place_legal_hold(actor, holds, kind, today() + timedelta(days=days))


def lift(actor, hold_id, reason="ended"):
    with transaction():
        lift_legal_hold(actor, lock_legal_hold(actor, hold_id), reason)


def request(actor, made, ground="client"):
    with transaction():
        return request_erasure(actor, lock_record(actor, made.number), ground)


def decide(operation, actor, erasure_id, *more):
    with transaction():
        operation(actor, lock_erasure(actor, erasure_id), *more)


def refusal(call, *given):
    with pytest.raises(RuleBroken) as refused:
        call(*given)
    db.session.rollback()
    return [reason.code for reason in refused.value.reasons]


def closed_case(coach, *more):
    made = builders.case(coach, *more)
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    return made


@pytest.mark.both
def test_held_record_is_neither_erased_nor_merged_away_and_loses_no_note_until_it_is_lifted(
    folder, team
):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made = builders.case(coach, "Zita Twice")
    stays = builders.case(coach, "Zita Twice", agreed=True)
    draft = builders.draft(coach, made.case_id)
    signed = builders.note(coach, made.case_id)

    def merge(gone, into):
        with transaction():
            why = NewMerge("She called twice.", despite_decision=True)
            merge_clients(supervisor, lock_merge(supervisor, gone, into), why, 1)

    def move(note_id):
        with transaction():
            moved = lock_note_move(coach, note_id, stays.number)
            move_note(coach, moved, NewNoteMove("I had the wrong one open."), 1)

    def discard():
        with transaction():
            discard_draft(coach, lock_note(coach, draft), 1)

    hold_id = place(admin, made.number.lower(), "investigation")
    assert "merge_legal_hold" in refusal(merge, made.client_id, stays.client_id)
    assert "merge_legal_hold" not in refusal(merge, stays.client_id, made.client_id)
    blockers = get_merge(supervisor, made.client_id, stays.number).blockers
    assert "merge_legal_hold" in [reason.code for reason in blockers]
    db.session.rollback()
    for note_id in (draft, signed):
        assert refusal(move, note_id) == ["note_on_legal_hold"]
    assert refusal(discard) == ["legal_hold"]
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    assert refusal(request, coach, made) == ["legal_hold"]
    # Whoever placed it can't lift it.
    assert refusal(lift, admin, hold_id) == ["same_person"]
    lift(supervisor, hold_id)
    discard()
    erasure_id = request(coach, made)
    # Placed while the request waits: whoever decides is told, also an admin, who doesn't see the client.
    second = place(supervisor, made.number)
    for who in (supervisor, admin):
        assert refusal(decide, erase_record, who, erasure_id) == ["legal_hold"]
        assert get_erasure(who, erasure_id).has_legal_hold
    lift(admin, second, "mistake")
    decide(erase_record, admin, erasure_id)
    assert refusal(place, admin, made.number) == ["record_erased"]
    assert get_legal_hold(admin, hold_id).lifted_by_name == supervisor.name
    events = db.session.scalars(
        sa.select(AuditEvent)
        .where(AuditEvent.action == "legal_hold.manage", AuditEvent.outcome == "done")
        .order_by(AuditEvent.id)
    ).all()
    assert [(one.client_id, one.details["state"]) for one in events] == [
        (made.client_id, state) for state in ("placed", "lifted", "placed", "lifted")
    ]
    assert events[-1].details == {"state": "lifted", "kind": "court", "reason": "mistake"}
    db.session.rollback()
    assert verify_log({}).faults == []


def test_request_that_is_refused_for_the_law_or_a_claim_places_a_hold_once(folder, team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made = closed_case(coach)
    decide(refuse_erasure, supervisor, request(coach, made), "mistake")
    assert not is_on_legal_hold(made.client_id)
    erasure_id = request(coach, made)
    place(admin, made.number, "law")
    assert get_erasure(coach, erasure_id).has_legal_hold
    db.session.rollback()
    decide(refuse_erasure, supervisor, erasure_id, "law")
    # Whoever once requested an erasure isn't told for ever after whether there is a hold.
    assert not get_erasure(coach, erasure_id).has_legal_hold
    db.session.rollback()
    [first] = list_legal_holds(supervisor, "standing", None, 9).items
    assert (first.kind, first.placed_by) == ("law", admin.id)
    assert refusal(request, coach, made) == ["legal_hold"]
    lift(supervisor, first.id)
    decide(refuse_erasure, admin, request(coach, made), "claim")
    [second] = list_legal_holds(supervisor, "standing", None, 9).items
    assert (second.kind, second.placed_by) == ("claim", admin.id)
    assert second.review_on == today() + timedelta(days=365)
    db.session.rollback()
    assert refusal(request, coach, made) == ["legal_hold"]


def test_supervisors_see_the_holds_of_their_clients_and_admins_all_but_those_they_are_kept_from(
    team,
):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made, foreign = builders.case(coach), builders.case(team["coach2"])
    for actor in (coach, team["coach2"]):
        with pytest.raises(Forbidden), transaction():
            lock_legal_holds(actor, made.number)
        with pytest.raises(Forbidden):
            list_legal_holds(actor, "standing", None, 9)
    for actor, number in ((supervisor, foreign.number), (admin, "C-1999-0001")):
        with pytest.raises(Invalid) as unknown:
            place(actor, number)
        assert unknown.value.fields.keys() == {"number"}
    with pytest.raises(Invalid):
        place(admin, made.number, days=0)
    hold_id, other_id = place(supervisor, made.number), place(admin, foreign.number, "complaint")
    assert list_ids(supervisor) == [hold_id]
    assert list_ids(admin) == [other_id, hold_id]
    with pytest.raises(NotFound):
        get_legal_hold(supervisor, other_id)
    with pytest.raises(NotFound):
        lift(supervisor, other_id)
    # It is due on its day, and somebody says that it is still needed.
    assert list_ids(admin, "due") == []
    with at(now() + timedelta(days=91)):
        assert list_ids(admin, "due") == [other_id, hold_id]
        assert get_legal_hold(admin, hold_id).is_due
        db.session.rollback()
        with transaction():
            again = lock_legal_hold(supervisor, hold_id)
            review_legal_hold(supervisor, again, today() + timedelta(days=90))
        assert list_ids(admin, "due") == [other_id]
    lift(admin, hold_id)
    assert refusal(lift, admin, hold_id) == ["legal_hold_lifted"]
    assert list_ids(admin, "lifted") == [hold_id]
    db.session.rollback()
    with transaction():
        denial = NewDenial(foreign.number, admin.id, "relative")
        deny_access(supervisor, lock_access(supervisor, foreign.number), denial)
    assert list_ids(admin) == []


def test_supervisor_who_coaches_the_client_lifts_no_hold_and_a_held_draft_keeps_its_text(team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    own, made = builders.case(supervisor), builders.case(coach)
    hold_id, other_id = place(admin, own.number), place(admin, made.number)
    assert refusal(lift, supervisor, hold_id) == ["own_client"]
    assert {
        one.id: one.may_lift for one in list_legal_holds(supervisor, "standing", None, 9).items
    } == {
        hold_id: False,
        other_id: True,
    }
    db.session.rollback()
    # The one who coaches doesn't do it while they cover either.
    with transaction() as session:
        session.execute(
            sa.update(CareTeamMember)
            .where(CareTeamMember.client_id == made.client_id)
            .values(role="coach", user_id=supervisor.id)
        )
    assert refusal(lift, supervisor, other_id) == ["own_client"]
    draft = builders.draft(supervisor, own.case_id)
    empty = dict.fromkeys(builders.SECTIONS, "")

    def save(version, **change):
        with transaction():
            return save_draft(
                supervisor, lock_note(supervisor, draft), DraftChange(**change), version
            )

    with pytest.raises(Invalid) as kept:
        save(1, sections=empty)
    assert kept.value.fields.keys() == {next(iter(builders.SECTIONS))}
    db.session.rollback()
    # One line may go, and what opens a safety hold is recorded, with the text as it was.
    version = save(1, sections=empty | {"plan": "Nothing."})
    urgent = DraftScreening({"self_harm": 3})
    save(version, sections=empty, screening=urgent)
    note = get_note(supervisor, draft)
    assert (note.sections["plan"], note.screening_id is not None) == ("Nothing.", True)


def list_ids(actor, shown="standing"):
    return [one.id for one in list_legal_holds(actor, shown, None, 9).items]


def test_erased_record_that_comes_back_is_erased_again_unless_somebody_holds_it_since(folder, team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    with at(now() - timedelta(hours=2)):
        made = closed_case(coach)
        hold_id = place(supervisor, made.number)
    columns = (ClientKey.wrapped, ClientKey.wrapped_by)
    key = db.session.execute(sa.select(*columns).where(ClientKey.client_id == made.client_id)).one()
    db.session.rollback()
    with at(now() - timedelta(hours=1)):
        lift(admin, hold_id)
        decide(erase_record, admin, request(coach, made))

    def come_back():
        """Bring the record back as in a database of yesterday, in which the hold still stood."""
        with transaction() as session:
            session.add(ClientKey(client_id=made.client_id, **key._mapping))  # noqa: SLF001
            stands = {"lifted_at": None, "lifted_by": None, "lift_reason": None}
            session.execute(sa.update(LegalHold).values(stands))

    def repeat():
        [tombstone] = list_returned()
        with transaction():
            repeat_erasure(admin, tombstone)

    come_back()
    repeat()
    assert get_legal_hold(admin, hold_id).lift_reason == "erased"
    db.session.rollback()
    assert list_returned() == []
    come_back()
    since = place(admin, made.number, "court")
    assert refusal(repeat) == ["held_since"]
    assert is_on_legal_hold(made.client_id)
    db.session.rollback()
    with transaction() as session:
        session.execute(sa.update(LegalHold).values(placed_by=supervisor.id))
    lift(admin, since)
    repeat()
    assert list_returned() == []


def test_supervisor_who_only_covers_for_a_coach_neither_reads_nor_lifts_holds(team):
    coach, admin, other = team["coach2"], team["admin"], team["supervisor"]
    made = builders.case(coach)
    hold_id = place(admin, made.number)
    with transaction():
        wanted = NewCover(other.id, today(), today(), (made.client_id,), all=False)
        arrange_cover(coach, lock_caseload(coach, coach.id), wanted)
    assert get_client_record(other, made.client_id)
    assert list_ids(other) == []
    db.session.rollback()
    with pytest.raises(NotFound):
        lift(other, hold_id)
    with pytest.raises(Invalid):
        place(other, made.number)


def test_hold_keeps_what_was_merged_into_a_record_that_comes_back(folder, team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    with at(now() - timedelta(hours=2)):
        made = closed_case(coach, "Zita Twice")
        gone = builders.client(coach, "Zita Twice", agreed=True)
        with transaction():
            why = NewMerge("She called twice.", despite_decision=True)
            merge_clients(supervisor, lock_merge(supervisor, gone, made.client_id), why, 1)
    columns = (ClientKey.client_id, ClientKey.wrapped, ClientKey.wrapped_by)
    keys = [{**row} for row in db.session.execute(sa.select(*columns)).mappings()]
    db.session.rollback()
    with at(now() - timedelta(hours=1)):
        decide(erase_record, admin, request(coach, made))
    with transaction() as session:
        session.execute(sa.insert(ClientKey), keys)
    place(admin, made.number)
    returned = list_returned()
    db.session.rollback()
    assert {one.client_id for one in returned} == {made.client_id, gone}

    def repeat(tombstone):
        with transaction():
            repeat_erasure(admin, tombstone)

    assert [refusal(repeat, one) for one in returned] == [["held_since"], ["held_since"]]
