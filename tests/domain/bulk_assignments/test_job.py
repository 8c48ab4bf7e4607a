"""The job of a bulk assignment: idempotent, in small steps, with a new assessment for each case."""

import inspect
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, runtime
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.outbox import CLAIM_PERIOD, OutboxRow
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.core.vault import unseal_json
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.bulk_assignments.models import BulkAssignmentItem
from caseapp.domain.bulk_assignments.operations import BULK_ASSIGNMENT, MAX_ATTEMPTS
from caseapp.domain.bulk_assignments.queries import get_bulk_assignment
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.users.models import User
from caseapp.jobs.bulk_assignments import BATCH_SIZE, process_bulk_assignment
from tests.domain.bulk_assignments.steps import (
    NAMES,
    SLUG,
    begin,
    count,
    deliver,
    everyone,
    read,
    states,
)
from tests.domain.dashboard import bulk_rows
from tests.support import builders, staff
from tests.support.concurrency import run_concurrently
from tests.support.staff_pages import Statements

pytestmark = pytest.mark.both


@pytest.mark.slow
def test_job_repeated_assigns_once(team, cases):
    bulk_assignment_id = begin(team["coach"], cases)
    for _ in range(3):
        process_bulk_assignment(bulk_assignment_id, {"bulk_assignment": bulk_assignment_id.hex})
    assert count(Assignment) == 6
    deliver()
    assert count(Assignment) == 6


class Cut:
    """Stop the process, as SIGKILL would, before it stores the nth assignment."""

    def __init__(self, nth):
        self.left = nth

    def __enter__(self):
        """Start listening."""
        sa.event.listen(db.engine, "before_cursor_execute", self._hear)

    def _hear(self, _connection, _cursor, statement, *_rest):
        if statement.startswith("INSERT INTO assignment "):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def __exit__(self, *_fault):
        """Stop listening."""
        sa.event.remove(db.engine, "before_cursor_execute", self._hear)


@pytest.mark.slow
def test_job_killed_half_way_continues(team, cases):
    coach = team["coach"]
    bulk_assignment_id = begin(coach, cases)
    with Cut(3), pytest.raises(KeyboardInterrupt):
        outbox.sweep()
    assert count(Assignment) == 2
    assert get_bulk_assignment(coach, bulk_assignment_id).waiting == 4
    assert outbox.sweep() == 0, "another worker leaves it alone for a while"
    with at(now() + CLAIM_PERIOD + timedelta(seconds=1)):
        assert outbox.sweep() == 1
    assert states(coach, bulk_assignment_id) == dict.fromkeys(NAMES, ("assigned", []))
    assert count(Assignment) == 6


@pytest.mark.slow
def test_job_two_workers_assign_once(app, team, cases):
    bulk_assignment_id = begin(team["coach"], cases)
    payload = {"bulk_assignment": bulk_assignment_id.hex}
    found = run_concurrently(
        app, 2, lambda _number: process_bulk_assignment(bulk_assignment_id, payload)
    )
    assert found == [None, None]
    assert count(Assignment) == 6
    assert states(team["coach"], bulk_assignment_id) == dict.fromkeys(NAMES, ("assigned", []))


@pytest.mark.slow
def test_job_two_bulk_assignments_of_one_handout_assign_once(app, team, cases):
    ids = [begin(team["coach"], cases) for _ in range(2)]
    run_concurrently(
        app,
        2,
        lambda number: process_bulk_assignment(ids[number], {"bulk_assignment": ids[number].hex}),
    )
    assert count(Assignment) == 6
    found = [states(team["coach"], one) for one in ids]
    for name in NAMES:
        assert sorted(one[name] for one in found) == [
            ("assigned", []),
            ("skipped", ["already_assigned"]),
        ]


@pytest.mark.slow
def test_job_new_hold_or_flag_skips_the_client(team, cases):
    coach = team["coach"]
    bulk_assignment_id = begin(coach, cases[:3], "first-days-pause", channel="portal")
    builders.screen(coach, cases[0].client_id, fear_at_home="concern")
    with transaction():
        set_manual_flag(coach, lock_client(coach, cases[1].client_id), "unsafe_delivery")
    deliver()
    found = states(coach, bulk_assignment_id)
    assert found[NAMES[0]][0] == found[NAMES[1]][0] == "skipped"
    assert "hold_open" in found[NAMES[0]][1]
    assert found[NAMES[2]] == ("assigned", [])
    assert count(Assignment) == 1


@pytest.mark.slow
def test_job_new_caution_is_not_covered_by_the_confirmation(team, cases):
    coach = team["coach"]
    bulk_assignment_id = begin(coach, cases[:2], "my-limits", confirmed=read(*cases[:2]))
    with transaction():
        set_manual_flag(coach, lock_client(coach, cases[0].client_id), "unsafe_delivery")
    deliver()
    found = states(coach, bulk_assignment_id)
    state, codes = found[NAMES[0]]
    assert state == "skipped"
    assert codes[0] == "not_confirmed"
    assert len(codes) > 2
    assert found[NAMES[1]] == ("assigned", [])


@pytest.mark.slow
def test_job_recalled_version_skips_all(team, cases):
    bulk_assignment_id = begin(team["coach"], cases)
    with transaction():
        recall(
            team["supervisor"], get_handout_version(SLUG).handout_version_id, "A number is wrong."
        )
    deliver()
    found = states(team["coach"], bulk_assignment_id)
    assert found == dict.fromkeys(NAMES, ("skipped", ["recalled"]))
    assert count(Assignment) == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["disabled", "no longer a coach"])
def test_job_uses_the_creators_current_rights(team, cases, how):
    """Whoever began it and has lost the right assigns nothing more (VULN-17)."""
    bulk_assignment_id = begin(team["coach"], cases)
    with transaction() as session:
        if how == "disabled":
            staff.disable(staff.email_of(team["coach"]))
        else:
            session.execute(
                sa.update(User).where(User.id == team["coach"].id).values(role=Role.ADMIN)
            )
    deliver()
    found = states(team["supervisor"], bulk_assignment_id)
    assert found == dict.fromkeys(NAMES, ("skipped", ["creator_inactive"]))
    assert count(Assignment) == 0


@pytest.mark.slow
def test_job_transferred_or_closed_case_is_skipped(team, cases):
    bulk_assignment_id = begin(team["coach"], cases[:3])
    with transaction() as session:
        session.execute(
            sa.delete(CareTeamMember).where(CareTeamMember.client_id == cases[0].client_id)
        )
        session.execute(sa.update(Case).where(Case.id == cases[1].case_id).values(status="closed"))
    deliver()
    db.session.rollback()
    found = {row.case_id: row for row in db.session.scalars(sa.select(BulkAssignmentItem))}
    lost, closed, given = (found[one.case_id] for one in cases[:3])
    assert (lost.state, lost.failure, lost.codes) == ("skipped", "case_not_found", None)
    assert (closed.state, closed.failure) == ("skipped", None)
    key = get_client_key(closed.client_id)
    assert unseal_json(closed, "codes", key) == ["case_closed"]
    assert (given.state, given.failure, given.codes) == ("assigned", None, None)
    assert get_bulk_assignment(team["coach"], bulk_assignment_id).skipped == 1


@pytest.mark.slow
def test_job_failing_case_does_not_stop_others_and_is_skipped_at_last(team, cases):
    coach = team["coach"]
    bulk_assignment_id = begin(coach, cases[:3])
    with transaction() as session:
        session.execute(
            sa.update(Case).where(Case.id == cases[1].case_id).values(facts=b"\x01 not a seal")
        )
    moment = now()
    for attempts in range(1, MAX_ATTEMPTS + 1):
        with at(moment):
            assert outbox.sweep() == 0
        assert states(coach, bulk_assignment_id)[NAMES[0]] == ("assigned", [])
        assert states(coach, bulk_assignment_id)[NAMES[2]] == ("assigned", [])
        assert count(BulkAssignmentItem, BulkAssignmentItem.attempts == attempts) == 1
        moment += timedelta(hours=2)
    assert states(coach, bulk_assignment_id)[NAMES[1]] == ("skipped", ["failed"])
    with at(moment):
        assert outbox.sweep() == 1
    assert count(Assignment) == 2


@pytest.mark.both(later=True)
@pytest.mark.slow
def test_job_five_hundred_cases_run_in_batches_at_constant_cost(team):
    coach = team["coach"]
    bulk_rows.caseload(coach, 500)
    bulk_assignment_id = begin(coach, everyone(coach), "help-right-now")
    [row] = db.session.scalars(sa.select(OutboxRow.id)).all()
    with Statements() as heard:
        assert outbox.deliver(row)
    shown = get_bulk_assignment(coach, bulk_assignment_id)
    assert (shown.assigned, shown.waiting) == (BATCH_SIZE, 500 - BATCH_SIZE)
    commits = sum(statement.startswith("UPDATE bulk_assignment_item") for statement in heard.seen)
    assert commits == BATCH_SIZE
    assert len(heard.seen) <= 19 * BATCH_SIZE + 10
    deliver()
    db.session.rollback()
    shown = get_bulk_assignment(coach, bulk_assignment_id)
    assert (shown.assigned, shown.waiting, shown.skipped) == (500, 0, 0)
    assert count(Assignment) == 1000


@pytest.mark.slow
def test_job_holds_locks_for_one_case_only(team, cases):
    bulk_assignment_id, heard = begin(team["coach"], cases), []

    def hear(_connection, _cursor, statement, *_rest):
        if statement.startswith("INSERT INTO assignment "):
            heard.append("give")

    def end(_connection):
        heard.append("commit")

    sa.event.listen(db.engine, "before_cursor_execute", hear)
    sa.event.listen(db.engine, "commit", end)
    try:
        process_bulk_assignment(bulk_assignment_id, {"bulk_assignment": bulk_assignment_id.hex})
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", hear)
        sa.event.remove(db.engine, "commit", end)
    given = heard[heard.index("give") :]
    assert given == ["give", "commit"] * len(cases)


def test_job_is_registered_with_the_outbox(session_app):
    handler = runtime.current().outbox_handlers[BULK_ASSIGNMENT]
    assert inspect.unwrap(handler) is process_bulk_assignment
