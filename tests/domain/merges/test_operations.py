"""A client who was entered twice has one record: everything opens there, verifies, and nothing is left or lost."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.core.vault import unseal_bytes
from caseapp.domain.alerts.models import Alert
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.cases.schemas import CaseDetails
from caseapp.domain.clients.matches import list_outdated_clients
from caseapp.domain.clients.models import Client, PossibleConflict
from caseapp.domain.clients.operations import send_client_mail
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.consent.operations import (
    mark_consent_in_error,
    record_consent,
    withdraw_consent,
)
from caseapp.domain.consent.queries import list_consents, lock_consent
from caseapp.domain.consent.schemas import ConsentWithdrawal, NewConsent
from caseapp.domain.contacts.operations import record_contact
from caseapp.domain.contacts.queries import list_contacts
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.disclosures.operations import record_disclosure
from caseapp.domain.disclosures.queries import list_disclosures
from caseapp.domain.disclosures.schemas import NewDisclosure
from caseapp.domain.erasure.models import Erasure
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.form_drafts.operations import save_form_draft
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.merges.operations import BY_HAND, OWN_KEYS, merge_clients
from caseapp.domain.merges.queries import (
    find_survivor,
    list_earlier_records,
    lock_merge,
)
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.merges.treatments import TREATMENTS, Treatment
from caseapp.domain.models import METADATA
from caseapp.domain.notes.models import NoteReview
from caseapp.domain.notes.move_queries import list_moved_away
from caseapp.domain.notes.operations import add_addendum
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.schemas import NewAddendum
from caseapp.domain.practice.queries import today
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import get_process_note, lock_process_note
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import list_safety_histories
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.schemas import NewDenial
from tests.support import builders, safety_plans

pytestmark = pytest.mark.slow
WHY = NewMerge("Entered twice, as she says herself.", despite_decision=True)


def merge(actor, gone, stays, version=1):
    with transaction():
        return merge_clients(actor, lock_merge(actor, gone, stays), WHY, version)


def twice(coach):
    """Enter a client with a case, and once more without one."""
    made = builders.case(coach, "Ines Okafor")
    return made, builders.client(coach, "Ines Okafor", agreed=True)


def fill(coach, case):
    """Record something of everything in a client's record; return the ids of a note and of a process note's case."""
    with builders.supervised(coach):
        note_id = builders.note(coach, case.case_id)
    with transaction():
        add_addendum(coach, lock_note(coach, note_id), NewAddendum("addition", "She rang."))
    with transaction():
        client = lock_client(coach, case.client_id)
        record_contact(coach, client, NewContact("no_show", words="Rang after."))
        record_disclosure(coach, client, NewDisclosure(today(), "Dr Lam", "A note.", "She asked."))
        record_consent(coach, client, NewConsent(today(), "written"))
        invite_client(coach, client)
    with transaction():
        locked = lock_case(coach, case.case_id)
        assign_handout(coach, locked, "better-nights", message="For you.", channel="in_person")
    with transaction():
        save_process_note(coach, lock_process_note(coach, case.number), "I doubt it.", 0)
    with transaction():
        save_form_draft(coach.id, "/p", "f", case.client_id, {"words": ["Half a thought"]}, now())
    return note_id


@pytest.mark.both
def test_everything_of_a_client_is_in_one_record_afterwards(team):
    coach, supervisor = team["coach"], team["supervisor"]
    case, stays = twice(coach)
    note_id = fill(coach, case)
    signed = get_note(coach, note_id)
    for client_id in (case.client_id, stays):
        builders.screen(coach, client_id, self_harm="urgent")
    tasks = {one.id for one in list_client_followups(coach, case.client_id)}
    with pytest.raises(Forbidden):
        merge(coach, case.client_id, stays)
    with pytest.raises(Stale):
        merge(supervisor, case.client_id, stays, 7)
    version = get_client_record(coach, case.client_id).version
    assert merge(supervisor, case.client_id, stays, version) == stays
    _assert_moved_and_sealed_anew(case.client_id, stays)
    note = get_note(coach, note_id)
    assert (note.client_id, note.case_id, note.is_as_signed) == (stays, case.case_id, True)
    assert (note.sections, note.signature) == (signed.sections, signed.signature)
    assert [one.text for one in note.addenda] == ["She rang."]
    assert (note.own_screening_id, note.has_earlier_screening) == (
        None,
        signed.screening_id is not None,
    )
    assert db.session.scalar(sa.select(NoteReview.client_id)) == stays
    assert list_moved_away(case.case_id) == []
    context = get_case_context(coach, case.case_id)
    assert (context.case.number, context.case.client_id) == (case.number, stays)
    assert [one.words for one in list_contacts(coach, stays, None, 5).items] == ["Rang after."]
    assert [one.recipient for one in list_disclosures(coach, stays, None, 5).items] == ["Dr Lam"]
    assert len(list_consents(coach, stays, None, 5).items) == 1
    assert get_process_note(coach, context).words == "I doubt it."
    assert tasks < {one.id for one in list_client_followups(coach, stays)}
    # The stricter state counts, and the chain of the other one still verifies.
    assert get_safety_state(stays).hold == "safety"
    assert {*db.session.scalars(sa.select(Alert.client_id))} == {stays}
    histories = list_safety_histories([case.client_id, stays])
    assert [len(one.screenings) for one in histories.values()] == [1, 1]
    assert {one.client_id for one in list_marks(coach.id, HOLD_KINDS)} == {stays}
    [earlier] = list_earlier_records(coach, stays)
    assert (earlier.reason, earlier.merged_by) == (WHY.reason, supervisor.name)
    assert [one.levels["self_harm"] for one in earlier.history.all_screenings] == [3]
    # Nothing finds the merged record, and its access to the portal has ended.
    with pytest.raises(NotFound):
        get_client_record(coach, case.client_id)
    assert find_survivor(coach, case.client_id) == stays
    assert find_survivor(team["coach2"], case.client_id) is None
    assert db.session.scalar(sa.select(PortalAccess.client_id)) is None
    assert not send_client_mail(case.client_id, (), "link", {})
    db.session.execute(sa.update(Client).values(compared_as=None))
    assert list_outdated_clients(None, 9) == [stays]
    assert db.session.scalars(sa.select(PossibleConflict.client_id)).all() == []
    db.session.rollback()
    query = sa.select(AuditEvent).where(AuditEvent.action == "client.merge").order_by(AuditEvent.id)
    events = db.session.scalars(query).all()
    assert [(one.client_id, one.details) for one in events] == [
        (case.client_id, {"merged": "away"}),
        (stays, {"merged": "here"}),
    ]
    with pytest.raises(NotFound):
        merge(supervisor, case.client_id, stays, version)


def _assert_moved_and_sealed_anew(gone, stays):
    """No row that moves is left, and whatever is sealed in one opens with the key of the client who stays."""
    key, found = get_client_key(stays), set()
    for name, treatment in TREATMENTS.items():
        if treatment not in {Treatment.MOVED, Treatment.WITH_NOTE} or name in BY_HAND:
            continue
        table = METADATA.tables[name]
        if name in {"note_move", "note_return"}:
            continue
        rows = db.session.execute(sa.select(table)).mappings().all()
        assert gone not in {row["client_id"] for row in rows}, name
        for row in rows if name not in OWN_KEYS else ():
            for column in table.columns:
                is_sealed = isinstance(column.type, sa.LargeBinary) and column.name != "mac"
                if is_sealed and row[column.name] is not None:
                    unseal_bytes(name, column.name, row["id"], row[column.name], key)
                    found.add(name)
    assert found >= {"alert", "assignment", "consent", "contact", "disclosure", "follow_up", "note"}


def test_what_keeps_two_records_apart_is_found(team):
    coach, supervisor = team["coach"], team["supervisor"]
    case, stays = twice(coach)
    with transaction():
        client = lock_client(coach, stays)
        open_case(coach, client, CaseDetails({}, "undecided", None), coach_id=coach.id)
    builders.draft(coach, case.case_id)
    builders.read_in_emergency(team["coach2"], case.number)
    safety_plans.write(coach, case.client_id)
    builders.screen(coach, case.client_id, sleep="concern")
    with transaction():
        access = lock_access(supervisor, case.number)
        deny_access(supervisor, access, NewDenial(case.number, team["admin"].id, "wish"))
    third = builders.client(coach, "Ines Okafor", agreed=True)
    with transaction() as session:
        lock_client(coach, case.client_id)
        lock_client(coach, third)
        session.execute(sa.update(PossibleConflict).values(decided_at=None, decided_by=None))
        asked = {"requested_at": now(), "requested_by": coach.id}
        session.add(Erasure(client_id=case.client_id, ground="client", state="requested", **asked))
        session.add(
            FormDraft(
                author_id=case.client_id,
                client_id=case.client_id,
                path="/portal",
                form="f",
                opened_at=now(),
                words=b"x" * 40,
                updated_at=now(),
            )
        )
    with pytest.raises(RuleBroken) as refused:
        merge(supervisor, case.client_id, stays)
    assert {reason.code for reason in refused.value.reasons} == {
        "merge_two_open_cases",
        "merge_access_denied",
        "merge_emergency_access",
        "merge_erasure",
        "merge_undecided_conflict",
        "merge_draft",
        "merge_private_writing",
        "merge_safety_plan",
        "merge_loses_safety",
    }


def test_two_people_who_share_a_phone_are_never_merged(team):
    """Somebody has decided that both can be coached here, which the merge alone doesn't overrule."""
    coach, supervisor = team["coach"], team["supervisor"]
    one = builders.client(coach, "Ines Okafor", phone="+44 1632 960123", birth_year=1984)
    other = builders.client(
        supervisor,
        "Tom Berger",
        agreed=True,
        coach_id=coach.id,
        phone="+44 1632 960123",
        birth_year=1951,
    )
    with pytest.raises(RuleBroken) as refused, transaction():
        locked = lock_merge(supervisor, other, one)
        merge_clients(supervisor, locked, NewMerge("They have one phone."), 1)
    assert {reason.code for reason in refused.value.reasons} == {
        "merge_only_contact",
        "merge_other_birth_year",
        "merge_decided_conflict",
    }


def test_withdrawal_that_stands_in_one_record_keeps_two_apart_until_it_does_in_both(team):
    coach, supervisor = team["coach"], team["supervisor"]
    case, stays = twice(coach)

    def act(operation, client_id, new):
        with transaction():
            return operation(coach, lock_client(coach, client_id), new)

    act(withdraw_consent, stays, ConsentWithdrawal(today(), "written", told=""))
    act(record_consent, case.client_id, NewConsent(today(), "written"))
    with pytest.raises(RuleBroken) as refused:
        merge(supervisor, case.client_id, stays)
    assert {reason.code for reason in refused.value.reasons} == {"merge_consent_withdrawn"}
    act(withdraw_consent, case.client_id, ConsentWithdrawal(today(), "written", told=""))
    merge(supervisor, case.client_id, stays)
    given = [one for one in list_consents(coach, stays, None, 9).items if one.kind == "given"]
    with transaction():
        mark_consent_in_error(coach, lock_consent(coach, given[0].id), "Entered in error.")
    assert get_client_record(coach, stays).consent_withdrawn_on == today()


def test_decided_conflict_with_a_third_client_counts_for_the_one_who_stays(team):
    coach = team["coach"]
    case, stays = twice(coach)
    third = builders.client(coach, "Ines Okafor", agreed=True)
    with transaction() as session:
        lock_client(coach, stays)
        session.execute(
            sa.delete(PossibleConflict).where(
                PossibleConflict.client_id == third, PossibleConflict.other_id == stays
            )
        )
    merge(team["supervisor"], case.client_id, stays)
    pairs = db.session.execute(
        sa.select(
            PossibleConflict.client_id, PossibleConflict.other_id, PossibleConflict.decided_by
        )
    ).all()
    assert [*pairs] == [(third, stays, coach.id)]
