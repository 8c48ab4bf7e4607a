"""Starting a bulk assignment: eligible and skipped cases, and the number of statements."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.outbox import OutboxRow
from caseapp.core.transaction import transaction
from caseapp.core.vault import SHORTEST_SEAL
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.queries import list_assignments
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.bulk_assignments.models import BulkAssignment, BulkAssignmentItem
from caseapp.domain.bulk_assignments.operations import BLOCK_SIZE, start_bulk_assignment
from caseapp.domain.bulk_assignments.queries import (
    REASON_LABELS,
    describe_reason,
    get_bulk_assignment,
    list_candidates,
)
from caseapp.domain.cases.queries import get_case_context, list_case_contexts, lock_case
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.handouts.library import TAGS, library
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.screening.operations import set_manual_flag
from tests.domain.bulk_assignments.steps import (
    NAMES,
    SLUG,
    begin,
    count,
    deliver,
    everyone,
    read,
    states,
    wish,
)
from tests.domain.dashboard import bulk_rows
from tests.support import builders, staff
from tests.support.staff_pages import Statements

pytestmark = pytest.mark.both


@pytest.mark.slow
def test_start_assigns_once_to_every_eligible_case(team, cases):
    coach = team["coach"]
    bulk_assignment_id = begin(coach, cases)
    assert count(Assignment) == 0
    assert not get_bulk_assignment(coach, bulk_assignment_id).done
    deliver()
    assert states(coach, bulk_assignment_id) == dict.fromkeys(NAMES, ("assigned", []))
    shown = get_bulk_assignment(coach, bulk_assignment_id)
    assert (shown.done, shown.assigned, shown.waiting, shown.skipped) == (True, 6, 0, 0)
    for one in cases:
        [given] = list_assignments(coach, get_case_context(coach, one.case_id))
        assert (given.slug, given.channel, given.message) == (SLUG, "print", "For your evenings.")
        assert given.assigned_by == coach.id
    assert db.session.scalars(sa.select(BulkAssignmentItem.message)).all() == [None] * 6
    made = db.session.scalars(
        sa.select(AuditEvent.via).where(AuditEvent.object_kind == "assignment")
    ).all()
    assert made == ["job"] * 6
    asked = db.session.scalar(
        sa.select(AuditEvent).where(AuditEvent.object_kind == "bulk_assignment")
    )
    assert (asked.details["cases"], asked.client_id) == (6, None)


@pytest.mark.slow
def test_start_seals_the_message_under_each_clients_key(team, cases):
    begin(team["coach"], cases, message="Try the worry note.")
    lines = db.session.scalars(sa.select(BulkAssignmentItem.message)).all()
    assert len(set(lines)) == 6
    assert not any(b"worry" in message for message in lines)


@pytest.mark.slow
def test_reasons_are_stored_sealed_and_all_of_one_length(team, cases):
    coach, handout = team["coach"], "my-limits"
    builders.screen(coach, cases[0].client_id, fear_at_home="concern")
    begin(coach, cases[:3], handout, confirmed=read(cases[1]))
    rows = db.session.execute(sa.text("SELECT * FROM bulk_assignment_item")).mappings().all()
    assert {row["state"] for row in rows} == {"skipped", "waiting"}
    assert {len(row["codes"]) for row in rows} == {SHORTEST_SEAL + BLOCK_SIZE}
    stored = " ".join(str(dict(row)) for row in rows)
    assert not [code for code in REASON_LABELS if code in stored]


@pytest.mark.slow
def test_start_skips_blocked_and_unconfirmed_cases(team, cases):
    coach, handout = team["coach"], "my-limits"
    held, already_assigned, unsure, sure = cases[0], cases[1], cases[2], cases[3]
    builders.screen(coach, held.client_id, fear_at_home="concern")
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, already_assigned.case_id),
            handout,
            message="",
            channel="print",
            confirmed=True,
        )
    bulk_assignment_id = begin(
        coach,
        [held, already_assigned, unsure, sure],
        handout,
        confirmed=read(sure, held, already_assigned),
    )
    found = states(coach, bulk_assignment_id)
    assert found[NAMES[0]][0] == "skipped"
    assert "hold_open" in found[NAMES[0]][1]
    assert found[NAMES[1]] == ("skipped", ["already_assigned"])
    assert found[NAMES[2]] == ("skipped", ["not_confirmed", "later_stage"])
    assert found[NAMES[3]] == ("waiting", [])
    deliver()
    assert states(coach, bulk_assignment_id)[NAMES[3]] == ("assigned", [])
    assert count(Assignment) == 2


@pytest.mark.slow
def test_start_without_eligible_case_creates_nothing(team, cases):
    builders.screen(team["coach"], cases[0].client_id, fear_at_home="concern")
    before = count(OutboxRow)
    with pytest.raises(RuleBroken) as refused:
        begin(team["coach"], cases[:1], "reaching-out")
    codes = [reason.code for reason in refused.value.reasons]
    assert codes[0] == "no_eligible_client"
    assert "hold_open" in codes
    assert (count(BulkAssignment), count(BulkAssignmentItem), count(OutboxRow)) == (0, 0, before)


@pytest.mark.slow
def test_start_invalid_request_is_refused_with_reasons(team, cases):
    coach = team["coach"]
    with pytest.raises(Invalid) as odd:
        begin(coach, cases, due_on=(now() - timedelta(days=30)).date())
    assert odd.value.fields.keys() == {"due_on"}
    with pytest.raises(RuleBroken) as old:
        begin(coach, cases, handout_version=7)
    assert [reason.code for reason in old.value.reasons] == ["handout_version_changed"]
    with pytest.raises(NotFound):
        begin(coach, cases, "no-such-sheet")
    with pytest.raises(Forbidden):
        begin(team["admin"], cases)
    assert count(BulkAssignment) == 0


@pytest.mark.slow
def test_start_ignores_foreign_cases(team, cases):
    foreign = builders.case(team["coach2"], "Not Theirs")
    bulk_assignment_id = begin(team["coach"], [*cases[:1], foreign])
    assert states(team["coach"], bulk_assignment_id).keys() == {NAMES[0]}
    with pytest.raises(NotFound):
        begin(team["coach"], [foreign])
    for stranger in (team["coach2"], staff.add("supervisor2", role="supervisor")):
        with pytest.raises(NotFound):
            get_bulk_assignment(stranger, bulk_assignment_id)
    with pytest.raises(Forbidden):
        get_bulk_assignment(team["admin"], bulk_assignment_id)


@pytest.mark.slow
def test_get_bulk_assignment_supervisor_sees_visible_cases(team, cases):
    bulk_assignment_id = begin(team["coach"], cases)
    assert states(team["supervisor"], bulk_assignment_id).keys() == set(NAMES)
    with transaction() as session:
        session.execute(
            sa.delete(CareTeamMember).where(CareTeamMember.client_id == cases[0].client_id)
        )
    assert states(team["supervisor"], bulk_assignment_id).keys() == set(NAMES[1:])
    assert states(team["coach"], bulk_assignment_id).keys() == set(NAMES[1:])


@pytest.mark.slow
def test_start_new_caution_is_not_covered_by_the_confirmation(team, cases):
    coach = team["coach"]
    with transaction():
        set_manual_flag(coach, lock_client(coach, cases[0].client_id), "unsafe_delivery")
    bulk_assignment_id = begin(coach, cases[:2], "my-limits", confirmed=read(*cases[:2]))
    found = states(coach, bulk_assignment_id)
    assert found[NAMES[0]][0] == "skipped"
    assert found[NAMES[0]][1][0] == "not_confirmed"
    assert found[NAMES[1]] == ("waiting", [])


@pytest.mark.slow
def test_list_candidates_runs_a_fixed_number_of_statements(team):
    coach = team["coach"]
    item, counts = get_handout_version("help-right-now"), []
    for more, since in ((10, 0), (190, 10)):
        bulk_rows.caseload(coach, more, since=since)
        ids = everyone(coach)
        db.session.rollback()
        with Statements() as looking:
            assert len(list_candidates(coach, item, "print", ids)) == len(ids)
        with Statements() as beginning, transaction():
            start_bulk_assignment(coach, "help-right-now", wish(ids))
        counts.append((len(looking.seen), len(beginning.seen)))
    assert counts[0] == counts[1]
    assert counts[0] <= (8, 16)


@pytest.mark.slow
def test_list_case_contexts_equals_single_contexts(team, cases):
    coach = team["coach"]
    builders.screen(coach, cases[0].client_id, fear_at_home="concern", comment="Afraid at night.")
    builders.screen(coach, cases[1].client_id, sleep="watch", days_ago=3)
    with transaction():
        set_manual_flag(coach, lock_client(coach, cases[2].client_id), "unsafe_delivery")
    found = list_case_contexts(coach, [one.case_id for one in cases])
    assert [context.case.id for context in found] == [one.case_id for one in cases][::-1]
    for context in found:
        single = get_case_context(coach, context.case.id)
        assert (context.client, context.key, context.coach) == (
            single.client,
            single.key,
            single.coach,
        )
        for name in ("hold", "flags", "answers", "is_complete", "highest_level"):
            assert getattr(context.safety, name) == getattr(single.safety, name)
    assert list_case_contexts(team["coach2"], [one.case_id for one in cases]) == []


def test_every_stored_reason_has_a_label():
    for handout in library().values():
        for tag in TAGS:
            if any(found.tag == tag for found in handout.contraindications):
                assert describe_reason(tag, handout).message.endswith((".", "!", "?", "”")), tag
    plain = library()["help-right-now", "en"]
    for code in REASON_LABELS:
        assert describe_reason(code, plain).message == REASON_LABELS[code]
        assert REASON_LABELS[code].endswith(".")
