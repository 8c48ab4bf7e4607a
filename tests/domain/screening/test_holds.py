"""A screening opens what it demands in one change, and whatever happens, only clearing ends a hold."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.followups.queries import followups_of, tasks_from
from caseapp.domain.screening.models import Flag, Hold, Screening
from caseapp.domain.screening.operations import lower_flag, record_screening
from caseapp.domain.screening.protocol import demanded
from caseapp.domain.screening.queries import (
    flags_of,
    holds_of,
    recent_screenings,
    safety_of,
    screening_shown,
    screenings_of,
)
from caseapp.domain.screening.schemas import NewScreening
from tests.domain.screening.steps import (
    KEYS,
    REASON,
    START,
    clear,
    day,
    finish_tasks,
    keeps,
    only_hold,
    open_holds,
)
from tests.support import builders
from tests.support.concurrency import together
from tests.support.depth import times

pytestmark = pytest.mark.both


def test_a_screening_and_all_that_it_demands_are_one_change(team, ines):
    with day(0):
        screening_id = builders.screen(team["coach"], ines, self_harm="urgent", sleep="concern")
    record = screening_shown(team["coach"], screening_id)
    assert record.levels["self_harm"] == 3
    holds = open_holds(ines)
    assert set(holds) == {"care", "safety"}
    assert holds["safety"].reasons == [
        {"item": "self_harm", "level": 3, "screening": str(screening_id)}
    ]
    assert {flag.kind for flag in flags_of(team["coach"], ines)} == {"self_harm_flag"}
    tasks = tasks_from(holds["safety"].id)
    assert {task.kind for task in tasks} == set(demanded(record.levels, record.at).tasks)
    assert {task.due_at - record.at for task in tasks if task.kind == "safety_24h"} == {
        timedelta(hours=24)
    }
    assert {task.assigned_to for task in tasks} == {team["coach"].id}
    assert list(tasks_from(holds["care"].id)) == []


def test_a_fault_in_any_part_leaves_nothing_half_done(team, ines):
    """The last part to be written is the log entry; without it there is no screening either."""
    with transaction() as session:
        session.execute(sa.text("ALTER TABLE audit_entry RENAME TO audit_entry_gone"))
    with pytest.raises(sa.exc.DBAPIError), day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    db.session.rollback()
    for table in (Screening, Hold, Flag):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    assert followups_of(team["coach"], ines) == []


def test_nothing_asked_is_no_screening(team, ines):
    with pytest.raises(Invalid):
        builders.screen(team["coach"], ines, **dict.fromkeys(KEYS))
    assert recent_screenings(ines) == []


def test_a_second_urgent_screening_joins_the_open_hold_and_alerts_again(team, ines):
    with day(0):
        first = builders.screen(team["coach"], ines, self_harm="urgent")
        finish_tasks(team["coach"], ines)
    with day(1):
        second = builders.screen(team["coach"], ines, fear_at_home="urgent")
    hold = only_hold(ines)
    assert [(r["item"], r["screening"]) for r in hold.reasons] == [
        ("self_harm", str(first)),
        ("fear_at_home", str(second)),
    ]
    assert hold.opened_at == START
    again = {task.kind for task in tasks_from(hold.id) if task.done_at is None}
    assert {"tell_supervisor", "safety_24h", "emergency_steps"} <= again


def test_two_urgent_screenings_at_the_same_moment_open_one_hold(team, ines, app):
    answers = together(app, 4, lambda _: builders.screen(team["coach"], ines, self_harm="urgent"))
    assert all(isinstance(answer, UUID) for answer in answers), answers
    hold = only_hold(ines)
    assert len(hold.reasons) == 4
    kinds = [task.kind for task in followups_of(team["coach"], ines, open_only=True)]
    assert len(kinds) == len(set(kinds))


def test_a_safety_hold_opens_beside_a_care_hold_and_is_the_stricter(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    assert safety_of(ines).hold == "care"
    with day(1):
        builders.screen(team["coach"], ines, sleep="urgent")
    assert set(open_holds(ines)) == {"care", "safety"}
    assert safety_of(ines).hold == "safety"


def test_after_an_end_a_new_urgent_answer_opens_a_new_hold(team, held, ines):
    with day(8):
        clear(team["supervisor"], held)
    with day(9):
        builders.screen(team["coach"], ines, self_harm="urgent")
    holds = holds_of(team["coach"], ines)
    assert [hold.cleared_at is None for hold in holds] == [True, False]
    assert holds[0].id != held.id


def test_a_foreign_client_looks_like_none_at_all(team, ines):
    with day(0):
        screening_id = builders.screen(team["coach"], ines, self_harm="urgent")
    for wanted in (ines, UUID(int=1)):
        for call in (
            lambda one: builders.screen(team["coach2"], one),
            lambda one: screenings_of(team["coach2"], one, None, 10),
            lambda one: holds_of(team["coach2"], one),
            lambda one: flags_of(team["coach2"], one),
        ):
            with pytest.raises(NotFound):
                call(wanted)
    with pytest.raises(NotFound):
        screening_shown(team["coach2"], screening_id)


def test_the_log_holds_codes_and_the_words_stay_sealed(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent", comment="said: by the river")
    rows = db.session.execute(sa.select(AuditEntry.action, AuditEntry.details)).all()
    assert ("screening.record", {"holds": ["safety"], "flags": ["self_harm_flag"]}) in [
        tuple(row) for row in rows
    ]
    assert "river" not in str(rows)
    assert b"river" not in db.session.scalar(sa.select(Screening.comment))
    assert recent_screenings(ines)[0].comment == "said: by the river"
    assert "river" not in repr(recent_screenings(ines)[0])


levels = st.fixed_dictionaries(
    {}, optional={key: st.sampled_from([None, 0, 1, 2, 3]) for key in KEYS}
)
step = st.one_of(
    st.tuples(st.just("screen"), levels),
    st.tuples(st.just("steady"), st.none()),
    st.tuples(st.just("wait"), st.integers(0, 30)),
    st.tuples(st.just("finish tasks"), st.none()),
    st.tuples(st.just("lower flags"), st.none()),
    st.tuples(st.just("try to clear as the coach"), st.none()),
    st.tuples(st.just("try to clear too early"), st.none()),
)


def try_to_clear(team, client_id, who, what):
    """Let somebody try to end each open hold, though it may not end yet or not by them."""
    for hold in open_holds(client_id).values():
        if what is Forbidden or keeps(hold, team[who]):
            with pytest.raises(what):
                clear(team[who], hold)


def act(team, client_id, what, value):
    """Do one thing that happens to a client; give the kinds of hold that it demands."""
    if what == "screen" and any(level is not None for level in value.values()):
        with transaction():
            record_screening(team["coach"], client_id, NewScreening(dict.fromkeys(KEYS) | value))
        return set(demanded(value, START).holds)
    if what == "steady":
        builders.screen(team["coach"], client_id)
    elif what == "finish tasks":
        finish_tasks(team["coach"], client_id)
    elif what == "lower flags":
        with transaction():
            for flag in flags_of(team["supervisor"], client_id):
                lower_flag(team["supervisor"], flag.id, REASON)
    elif what == "try to clear as the coach":
        try_to_clear(team, client_id, "coach", Forbidden)
    elif what == "try to clear too early":
        try_to_clear(team, client_id, "supervisor", RuleBroken)
    return set()


@pytest.mark.soak
@settings(
    max_examples=times(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, min_size=1, max_size=8))
def test_nothing_but_clearing_ends_a_hold(team, steps):
    """Whatever happens, in whatever order: the open holds are those ever demanded, until somebody clears one."""
    moment = START
    with at(moment):
        client_id = builders.client(team["coach"])
    wanted = set()
    for what, value in steps:
        moment += timedelta(days=value) if what == "wait" else timedelta(hours=1)
        with at(moment):
            wanted |= act(team, client_id, what, value)
            assert set(open_holds(client_id)) == wanted
