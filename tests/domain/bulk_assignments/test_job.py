"""The job that gives: once however often it runs, in small steps, and judging anew what happened in between."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.outbox import TAKEN_FOR, OutboxRow
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.bulk_assignments import operations as givings
from caseapp.domain.bulk_assignments.models import GivingItem
from caseapp.domain.bulk_assignments.operations import AT_ONCE, TRIES, carry_out
from caseapp.domain.bulk_assignments.queries import giving_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import CareTeam
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.queries import edition_of
from caseapp.domain.screening.operations import raise_flag
from caseapp.domain.users.models import User
from caseapp.domain.users.operations import disable_user
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
from tests.support.concurrency import together
from tests.support.staff_pages import Statements

pytestmark = pytest.mark.both


def test_running_twice_gives_once(team, cases):
    giving_id = begin(team["coach"], cases)
    for _ in range(3):
        carry_out(giving_id, {"giving": giving_id.hex})
    assert count(Assignment) == 6
    deliver()
    assert count(Assignment) == 6


class Cut:
    """Cut the process off, as SIGKILL would, when it is about to store the nth assignment."""

    def __init__(self, nth):
        self.left = nth

    def __enter__(self):
        """Begin to listen."""
        sa.event.listen(db.engine, "before_cursor_execute", self._hear)

    def _hear(self, _connection, _cursor, statement, *_rest):
        if statement.startswith("INSERT INTO assignment "):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def __exit__(self, *_fault):
        """Stop listening."""
        sa.event.remove(db.engine, "before_cursor_execute", self._hear)


def test_killed_half_way_it_continues_where_it_stopped(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases)
    with Cut(3), pytest.raises(KeyboardInterrupt):
        outbox.sweep()
    assert count(Assignment) == 2
    assert giving_shown(coach, giving_id).waiting == 4
    assert outbox.sweep() == 0, "another worker leaves it alone for a while"
    with at(now() + TAKEN_FOR + timedelta(seconds=1)):
        assert outbox.sweep() == 1
    assert states(coach, giving_id) == dict.fromkeys(NAMES, ("given", []))
    assert count(Assignment) == 6


def test_two_workers_side_by_side_give_once(app, team, cases):
    giving_id = begin(team["coach"], cases)
    payload = {"giving": giving_id.hex}
    found = together(app, 2, lambda _number: carry_out(giving_id, payload))
    assert found == [None, None]
    assert count(Assignment) == 6
    assert states(team["coach"], giving_id) == dict.fromkeys(NAMES, ("given", []))


def test_two_givings_of_the_same_sheet_at_once_give_it_once(app, team, cases):
    ids = [begin(team["coach"], cases) for _ in range(2)]
    together(app, 2, lambda number: carry_out(ids[number], {"giving": ids[number].hex}))
    assert count(Assignment) == 6
    found = [states(team["coach"], one) for one in ids]
    for name in NAMES:
        assert sorted(one[name] for one in found) == [
            ("given", []),
            ("left_out", ["already_given"]),
        ]


def test_a_hold_or_flag_that_comes_in_between_stops_it_for_that_client(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases[:3], "first-days-pause", channel="portal")
    builders.screen(coach, cases[0].client_id, fear_at_home="concern")
    with transaction():
        raise_flag(coach, cases[1].client_id, "unsafe_delivery")
    deliver()
    found = states(coach, giving_id)
    assert found[NAMES[0]][0] == found[NAMES[1]][0] == "left_out"
    assert "hold_open" in found[NAMES[0]][1]
    assert found[NAMES[2]] == ("given", [])
    assert count(Assignment) == 1


def test_a_confirmation_covers_no_reason_that_comes_later(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases[:2], "my-limits", confirmed=read(*cases[:2]))
    with transaction():
        raise_flag(coach, cases[0].client_id, "unsafe_delivery")
    deliver()
    found = states(coach, giving_id)
    state, codes = found[NAMES[0]]
    assert state == "left_out"
    assert codes[0] == "not_confirmed"
    assert len(codes) > 2
    assert found[NAMES[1]] == ("given", [])


def test_a_recall_in_between_stops_it_for_all(team, cases):
    giving_id = begin(team["coach"], cases)
    with transaction():
        recall(team["supervisor"], edition_of(SLUG).edition_id, "A number is wrong.")
    deliver()
    found = states(team["coach"], giving_id)
    assert found == dict.fromkeys(NAMES, ("left_out", ["recalled"]))
    assert count(Assignment) == 0


@pytest.mark.parametrize("how", ["disabled", "no longer a coach"])
def test_the_job_has_the_rights_of_the_moment_it_runs(team, cases, how):
    giving_id = begin(team["coach"], cases)
    with transaction() as session:
        if how == "disabled":
            disable_user(operator(), staff.email_of(team["coach"]))
        else:
            session.execute(
                sa.update(User).where(User.id == team["coach"].id).values(role=Role.ADMIN)
            )
    deliver()
    found = states(team["supervisor"], giving_id)
    assert found == dict.fromkeys(NAMES, ("left_out", ["sender_gone"]))
    assert count(Assignment) == 0


def test_a_case_that_left_the_coachs_care_or_was_closed_gets_nothing(team, cases):
    giving_id = begin(team["coach"], cases[:3])
    with transaction() as session:
        session.execute(sa.delete(CareTeam).where(CareTeam.client_id == cases[0].client_id))
        session.execute(sa.update(Case).where(Case.id == cases[1].case_id).values(status="closed"))
    deliver()
    db.session.rollback()
    found = {
        row.case_id: (row.state, row.reasons) for row in db.session.scalars(sa.select(GivingItem))
    }
    assert found[cases[0].case_id] == ("left_out", ["case_gone"])
    assert found[cases[1].case_id] == ("left_out", ["case_closed"])
    assert found[cases[2].case_id] == ("given", [])
    assert giving_shown(team["coach"], giving_id).left_out == 1


def test_one_case_that_fails_keeps_nobody_waiting_and_is_given_up_in_the_end(team, cases):
    coach = team["coach"]
    giving_id = begin(coach, cases[:3])
    with transaction() as session:
        session.execute(
            sa.update(Case).where(Case.id == cases[1].case_id).values(facts=b"\x01 not a seal")
        )
    moment = now()
    for tries in range(1, TRIES + 1):
        with at(moment):
            assert outbox.sweep() == 0
        assert states(coach, giving_id)[NAMES[0]] == ("given", [])
        assert states(coach, giving_id)[NAMES[2]] == ("given", [])
        assert count(GivingItem, GivingItem.tries == tries) == 1
        moment += timedelta(hours=2)
    assert states(coach, giving_id)[NAMES[1]] == ("left_out", ["fault"])
    with at(moment):
        assert outbox.sweep() == 1
    assert count(Assignment) == 2


@pytest.mark.slow
def test_five_hundred_are_given_a_few_at_a_time_each_for_the_same_price(team):
    coach = team["coach"]
    bulk_rows.caseload(coach, 500)
    giving_id = begin(coach, everyone(coach), "help-right-now")
    [row] = db.session.scalars(sa.select(OutboxRow.id)).all()
    with Statements() as heard:
        assert outbox.deliver(row)
    shown = giving_shown(coach, giving_id)
    assert (shown.given, shown.waiting) == (AT_ONCE, 500 - AT_ONCE)
    commits = sum(statement.startswith("UPDATE giving_item") for statement in heard.seen)
    assert commits == AT_ONCE
    assert len(heard.seen) <= 19 * AT_ONCE + 10
    deliver()
    db.session.rollback()
    shown = giving_shown(coach, giving_id)
    assert (shown.given, shown.waiting, shown.left_out) == (500, 0, 0)
    assert count(Assignment, Assignment.channel == "print") == 500


def test_nothing_is_locked_for_longer_than_one_case(team, cases):
    giving_id, heard = begin(team["coach"], cases), []

    def hear(_connection, _cursor, statement, *_rest):
        if statement.startswith("INSERT INTO assignment "):
            heard.append("give")

    def end(_connection):
        heard.append("commit")

    sa.event.listen(db.engine, "before_cursor_execute", hear)
    sa.event.listen(db.engine, "commit", end)
    try:
        carry_out(giving_id, {"giving": giving_id.hex})
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", hear)
        sa.event.remove(db.engine, "commit", end)
    given = heard[heard.index("give") :]
    assert given == ["give", "commit"] * len(cases)


def test_the_job_is_known_to_the_outbox(the_app):
    assert outbox._handlers[givings.GIVE] is carry_out  # noqa: SLF001
