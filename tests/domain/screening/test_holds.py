"""A screening opens what it demands in one change, and whatever happens, only clearing ends a hold."""

from __future__ import annotations

from contextlib import suppress
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
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.models import ClientSafety, SafetyEvent, ViewerMark
from caseapp.domain.screening.operations import clear_flag, record_screening
from caseapp.domain.screening.queries import get_screening, list_flags, list_holds, list_screenings
from caseapp.domain.screening.rules import derive_required_actions
from caseapp.domain.screening.schemas import NewScreening
from tests.domain.screening.hold_helpers import (
    KEYS,
    REASON,
    START,
    blockers,
    clear,
    day,
    finish_tasks,
    only_hold,
    open_holds,
)
from tests.support import builders, followups
from tests.support.concurrency import run_concurrently
from tests.support.depth import times
from tests.support.owner import owner_connection


def test_screening_creates_required_actions_in_one_transaction(team, ines):
    with day(0):
        screening_id = builders.screen(team["coach"], ines, self_harm="urgent", sleep="concern")
    record = get_screening(team["coach"], screening_id)
    assert record.levels["self_harm"] == 3
    holds = open_holds(ines)
    assert set(holds) == {"care", "safety"}
    assert holds["safety"].reasons == [
        {"item": "self_harm", "level": 3, "screening": str(screening_id)}
    ]
    assert {flag.kind for flag in list_flags(team["coach"], ines)} == {"self_harm_flag"}
    tasks = list_client_followups(team["coach"], ines)
    assert {task.origin_id for task in tasks} == {holds["safety"].id}
    assert {task.episode_id for task in tasks} == {screening_id}
    assert {task.kind for task in tasks} == set(
        derive_required_actions(record.levels, record.recorded_at).tasks
    )
    assert {task.due_at - record.recorded_at for task in tasks if task.kind == "safety_24h"} == {
        timedelta(hours=24)
    }
    assert {task.assigned_to for task in tasks} == {team["coach"].id}


def test_failed_audit_event_rolls_back_screening(team, ines):
    """The audit event is written last; when it fails, no screening is stored."""
    with owner_connection() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO audit_event_gone")
    with pytest.raises(sa.exc.DBAPIError), day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    db.session.rollback()
    for table in (SafetyEvent, ClientSafety, ViewerMark):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    assert list_client_followups(team["coach"], ines) == []


def test_screening_without_answers_is_refused(team, ines):
    with pytest.raises(Invalid):
        builders.screen(team["coach"], ines, **dict.fromkeys(KEYS))
    assert get_safety_history(ines).screenings == []


def test_second_urgent_screening_joins_open_hold(team, ines):
    with day(0):
        first = builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        second = builders.screen(team["coach"], ines, fear_at_home="urgent")
    hold = only_hold(ines)
    assert [(r["item"], r["screening"]) for r in hold.reasons] == [
        ("self_harm", str(first)),
        ("fear_at_home", str(second)),
    ]
    assert hold.opened_at == START
    again = list_client_followups(team["coach"], ines, open_only=True)
    assert {"tell_supervisor", "safety_24h", "emergency_steps"} <= {task.kind for task in again}
    # The review of the plan that was made belongs to no episode.
    required = [task for task in again if task.episode_id is not None]
    assert {task.episode_id for task in required} == {second}
    assert {task.origin_id for task in required} == {hold.id}


@pytest.mark.both
def test_concurrent_urgent_screenings_open_one_hold(team, ines, app):
    answers = run_concurrently(
        app, 4, lambda _: builders.screen(team["coach"], ines, self_harm="urgent")
    )
    assert all(isinstance(answer, UUID) for answer in answers), answers
    hold = only_hold(ines)
    assert len(hold.reasons) == 4
    tasks = list_client_followups(team["coach"], ines, open_only=True)
    assert len({(task.episode_id, task.kind) for task in tasks}) == len(tasks) == 40


def test_safety_hold_opens_beside_care_hold(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    assert get_safety_state(ines).hold == "care"
    with day(1):
        builders.screen(team["coach"], ines, sleep="urgent")
    assert set(open_holds(ines)) == {"care", "safety"}
    assert get_safety_state(ines).hold == "safety"


def test_urgent_screening_after_release_opens_new_hold(team, held, ines):
    with day(8):
        clear(team["supervisor"], held)
    with day(9):
        builders.screen(team["coach"], ines, self_harm="urgent")
    holds = list_holds(team["coach"], ines)
    assert [hold.released_at is None for hold in holds] == [True, False]
    assert holds[0].id != held.id


def test_client_of_other_coach_is_not_found(team, ines):
    with day(0):
        screening_id = builders.screen(team["coach"], ines, self_harm="urgent")
    for wanted in (ines, UUID(int=1)):
        for call in (
            lambda one: builders.screen(team["coach2"], one),
            lambda one: list_screenings(team["coach2"], one, None, 10),
            lambda one: list_holds(team["coach2"], one),
            lambda one: list_flags(team["coach2"], one),
        ):
            with pytest.raises(NotFound):
                call(wanted)
    with pytest.raises(NotFound):
        get_screening(team["coach2"], screening_id)


def test_audit_log_says_neither_kinds_nor_levels_nor_texts(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent", comment="said: by the river")
        followups.complete_all(team["coach"], ines)
    rows = db.session.execute(sa.select(AuditEvent.action, AuditEvent.details)).all()
    assert {"screening.record", "safety.write", "followup.write"} <= {row.action for row in rows}
    for word in ("safety", "care", "self_harm", "urgent", "river"):
        assert word not in str([row.details for row in rows])
    assert get_safety_history(ines).screenings[0].comment == "said: by the river"
    assert "river" not in repr(get_safety_history(ines).screenings[0])


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


def try_to_release(team, client_id, who, what):
    """Try to release each open hold before it is possible, or as a user who may not."""
    for hold in open_holds(client_id).values():
        if what is Forbidden or blockers(hold, team[who]):
            with pytest.raises(what):
                clear(team[who], hold)


def act(team, client_id, what, value):
    """Perform one event of a client and return the kinds of hold that it requires."""
    if what == "screen" and any(level is not None for level in value.values()):
        with transaction():
            record_screening(
                team["coach"],
                lock_client(team["coach"], client_id),
                NewScreening(dict.fromkeys(KEYS) | value),
            )
        return set(derive_required_actions(value, START).holds)
    if what == "steady":
        builders.screen(team["coach"], client_id)
    elif what == "finish tasks":
        finish_tasks(team["coach"], client_id)
    elif what == "lower flags":
        with transaction():
            for flag in list_flags(team["supervisor"], client_id):
                client = lock_client(team["supervisor"], client_id)
                with suppress(RuleBroken):
                    clear_flag(team["supervisor"], client, flag.id, REASON)
    elif what == "try to clear as the coach":
        try_to_release(team, client_id, "coach", Forbidden)
    elif what == "try to clear too early":
        try_to_release(team, client_id, "supervisor", RuleBroken)
    return set()


@pytest.mark.slow
@pytest.mark.soak
@settings(
    max_examples=times(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, min_size=1, max_size=8))
def test_only_release_ends_a_hold(team, steps):
    """After any sequence of events the open holds are those required so far, until one is released."""
    moment = START
    with at(moment):
        client_id = builders.client(team["coach"])
    wanted = set()
    for what, value in steps:
        moment += timedelta(days=value) if what == "wait" else timedelta(hours=1)
        with at(moment):
            wanted |= act(team, client_id, what, value)
            assert set(open_holds(client_id)) == wanted
