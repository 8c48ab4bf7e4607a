"""A screening that was recorded in error counts for nothing, and stays in the history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.queries import list_waiting_alerts
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.reading import list_suspended_assignments
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.corrections import OWN_CORRECTION, correction_blockers
from caseapp.domain.screening.current import get_current_safety, get_safety_state
from caseapp.domain.screening.events import RecordedEvent, ScreeningInError, ScreeningRecorded
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.marks import KINDS, list_marks
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.queries import get_screening, lock_screening
from caseapp.domain.screening.records import InError
from caseapp.domain.screening.state import fold
from tests.domain.screening.hold_helpers import KEYS, blockers, clear, day
from tests.support import builders, followups
from tests.support.contexts import CLIENT, COACH, NOW, SUPERVISOR, complete, screening
from tests.support.staff_pages import Statements

WHY = "Wrong key: she was never asked."


def mark(actor, screening_id, reason=WHY):
    with transaction():
        mark_in_error(actor, lock_screening(actor, screening_id), reason)
    db.session.rollback()


def codes(caught):
    return [reason.code for reason in caught.value.reasons]


def tasks(actor, client_id, *, open_only=True):
    found = list_client_followups(actor, client_id, open_only=open_only)
    return {(task.kind, task.episode_id) for task in found}


def flags(client_id):
    return get_safety_state(client_id).flags


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def supervisor(team):
    return team["supervisor"]


@pytest.mark.both
def test_hold_that_one_screening_opened_ends_and_is_not_released(coach, ines):
    builders.screen(coach, ines, sleep=1)
    calm = get_safety_state(ines)
    wrong = builders.screen(coach, ines, self_harm="urgent", sleep="concern")
    assert {hold.kind for hold in get_safety_state(ines).holds} == {"care", "safety"}
    mark(coach, wrong)
    safety, history = get_safety_state(ines), get_safety_history(ines)
    assert (safety.holds, safety.flags, safety.answers) == ((), calm.flags, calm.answers)
    assert get_current_safety(get_client_key(ines)).state == fold(history.events)
    for hold in history.holds.values():
        assert (hold.in_error, hold.release_reason, hold.standing) == (True, None, [])
        assert all(reason["in_error"] for reason in hold.reasons)
    assert [flag.in_error for flag in history.flags.values()] == [True]
    assert [each.id == wrong for each in history.all_screenings] == [True, False]
    assert [each.id == wrong for each in history.screenings] == [False]
    found = get_screening(coach, wrong)
    assert (found.in_error.reason, found.in_error.marked_by) == (WHY, coach.id)
    assert found.levels["self_harm"] == 3


@pytest.mark.both
def test_tasks_of_the_episode_end_with_a_result_of_their_own(coach, ines):
    right = builders.screen(coach, ines, self_harm="urgent")
    wrong = builders.screen(coach, ines, self_harm="urgent")
    before = tasks(coach, ines)
    mark(coach, wrong)
    assert tasks(coach, ines) == {task for task in before if task[1] == right}
    found = list_client_followups(coach, ines)
    ended = {task.result for task in found if task.episode_id == wrong}
    assert ended == {"in_error"}
    [hold] = get_safety_state(ines).holds
    assert [reason.get("in_error", False) for reason in hold.reasons] == [False, True]
    assert "task_open" in blockers(hold, coach)


def test_later_concern_gets_the_tasks_that_were_open_for_the_one_in_error(coach, ines):
    wrong = builders.screen(coach, ines, sleep="concern")
    right = builders.screen(coach, ines, sleep="concern")
    assert {episode for _, episode in tasks(coach, ines)} == {wrong}
    kinds = {kind for kind, _ in tasks(coach, ines)}
    mark(coach, wrong)
    assert tasks(coach, ines) == {(kind, right) for kind in kinds}
    assert get_safety_state(ines).hold == "care"


def test_later_watch_gets_the_recheck_that_was_open_for_the_one_in_error(coach, ines):
    wrong = builders.screen(coach, ines, sleep="watch")
    builders.screen(coach, ines, sleep="watch")
    [task] = list_client_followups(coach, ines, open_only=True)
    mark(coach, wrong)
    [again] = list_client_followups(coach, ines, open_only=True)
    assert (again.kind, again.id == task.id) == (task.kind, False)


def test_recheck_is_made_again_when_the_screening_that_answered_it_was_an_error(coach, ines):
    first = builders.screen(coach, ines, sleep="watch")
    [recheck] = list_client_followups(coach, ines, open_only=True)
    followups.complete(coach, recheck.id)
    wrong = builders.screen(coach, ines)
    mark(coach, wrong)
    [again] = list_client_followups(coach, ines, open_only=True)
    assert (again.kind, again.origin_id) == (recheck.kind, first)
    assert again.id != recheck.id
    # Nothing is asked twice.
    mark(coach, builders.screen(coach, ines))
    assert [task.id for task in list_client_followups(coach, ines, open_only=True)] == [again.id]


def test_known_concern_after_an_error_goes_on_in_an_episode_that_counts(coach, ines):
    right = builders.screen(coach, ines, self_harm="concern")
    wrong = builders.screen(coach, ines, self_harm="urgent")
    mark(coach, wrong)
    followups.complete(coach, next(iter(list_client_followups(coach, ines, open_only=True))).id)
    builders.screen(coach, ines, self_harm="concern")
    assert {episode for _, episode in tasks(coach, ines)} == {right}


def test_flag_stays_while_anything_else_sets_it(coach, ines):
    wrong = builders.screen(coach, ines, eating="concern", fear_at_home="concern")
    with transaction():
        set_manual_flag(coach, lock_client(coach, ines), "unsafe_delivery")
    again = builders.screen(coach, ines, eating="concern", fear_at_home="none")
    assert {"contact_block", "unsafe_delivery", "violence_flag"} <= flags(ines)
    mark(coach, wrong)
    assert flags(ines) == {"eating_disorder_flag", "unsafe_delivery"}
    mark(coach, again)
    assert flags(ines) == {"unsafe_delivery"}


def test_flag_of_an_older_screening_stays(coach, ines):
    builders.screen(coach, ines, self_harm="watch")
    builders.screen(coach, ines)
    wrong = builders.screen(coach, ines, self_harm="urgent")
    mark(coach, wrong)
    assert flags(ines) == {"self_harm_flag"}


def test_released_hold_stays_released(team, held, ines):
    with day(8):
        clear(team["supervisor"], held)
        opened = get_safety_history(ines).screenings[-1].id
        mark(team["supervisor"], opened)
    [hold] = get_safety_history(ines).holds.values()
    assert (hold.in_error, hold.release_reason is not None) == (False, True)
    assert all(reason["in_error"] for reason in hold.reasons)


def test_last_calm_screening_in_error_blocks_the_release_again(team, held, ines):
    with day(8):
        assert blockers(held, team["supervisor"]) == []
        mark(team["supervisor"], get_safety_history(ines).screenings[0].id)
        assert blockers(held, team["supervisor"]) == ["screening_not_steady"]


def test_gate_is_as_without_the_screening(coach):
    made = builders.steady_case(coach)
    before = get_case_context(coach, made.case_id).safety
    mark(coach, builders.screen(coach, made.client_id, fear_at_home="urgent"))
    after = get_case_context(coach, made.case_id).safety
    assert (after.holds, after.flags, after.answers) == (before.holds, before.flags, before.answers)


def test_supervisor_is_alerted_that_answers_were_recorded_in_error(coach, supervisor, ines):
    wrong = builders.screen(coach, ines, self_harm="urgent")
    calm = builders.screen(coach, ines)
    mark(coach, wrong)
    mark(coach, calm)
    assert [(alert.kind, alert.opened_by) for alert in list_waiting_alerts(supervisor)] == [
        ("safety", coach.id),
        ("safety_in_error", coach.id),
        ("in_error", coach.id),
    ]


def test_audit_log_names_the_screening_and_no_level(coach, ines):
    wrong = builders.screen(coach, ines, self_harm="urgent")
    mark(coach, wrong)
    [entry] = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == "screening.correct")
    )
    assert (entry.object_kind, entry.object_id, entry.details) == ("screening", wrong, {})


def test_screening_is_marked_once(coach, supervisor, ines):
    wrong = builders.screen(coach, ines)
    mark(coach, wrong)
    for actor in (coach, supervisor):
        with pytest.raises(RuleBroken) as caught:
            mark(actor, wrong)
        assert codes(caught) == ["already_in_error"]


def test_coach_marks_their_own_screening_within_an_hour(coach, supervisor, ines):
    wrong = builders.screen(coach, ines)
    with at(now() + OWN_CORRECTION + timedelta(seconds=1)):
        with pytest.raises(RuleBroken) as caught:
            mark(coach, wrong)
        assert codes(caught) == ["correction_too_late"]
        mark(supervisor, wrong)


def test_coach_marks_no_screening_whose_action_has_a_result(coach, supervisor, ines):
    wrong = builders.screen(coach, ines, self_harm="urgent")
    found = {task.kind: task.id for task in list_client_followups(coach, ines, open_only=True)}
    followups.complete(coach, found["tell_supervisor"])
    assert not [r for r in blockers_of(coach, wrong) if r == "action_has_result"]
    followups.complete(coach, found["emergency_steps"])
    with pytest.raises(RuleBroken) as caught:
        mark(coach, wrong)
    assert codes(caught) == ["action_has_result"]
    mark(supervisor, wrong)
    assert get_safety_state(ines).hold is None


def blockers_of(actor, screening_id):
    with transaction():
        locked = lock_screening(actor, screening_id)
    return [
        reason.code
        for reason in correction_blockers(
            locked.screening, actor.id, now(), is_supervisor=False, has_result=locked.has_result
        )
    ]


def test_supervisor_who_recorded_it_has_an_hour_too(supervisor, ines):
    wrong = builders.screen(supervisor, ines)
    with at(now() + 2 * OWN_CORRECTION), pytest.raises(RuleBroken) as caught:
        mark(supervisor, wrong)
    assert codes(caught) == ["correction_too_late"]


def test_foreign_screening_looks_missing(team, coach, ines):
    wrong = builders.screen(coach, ines, self_harm="urgent")
    hold_id = get_safety_state(ines).holds[0].id
    for actor, screening_id in ((team["coach2"], wrong), (coach, hold_id), (coach, UUID(int=1))):
        with pytest.raises(NotFound):
            mark(actor, screening_id)
    with pytest.raises(Forbidden):
        mark(team["admin"], wrong)


@given(
    minutes=st.integers(-5, 180),
    by=st.sampled_from([COACH, SUPERVISOR]),
    is_supervisor=st.booleans(),
    has_result=st.booleans(),
    is_marked=st.booleans(),
)
def test_who_may_mark_a_screening(minutes, by, is_supervisor, has_result, is_marked):
    from dataclasses import replace

    found = screening(by=by)
    if is_marked:
        found = replace(found, in_error=InError(NOW, COACH, WHY))
    reasons = correction_blockers(
        found,
        COACH,
        NOW + timedelta(minutes=minutes),
        is_supervisor=is_supervisor,
        has_result=has_result,
    )
    allowed = (minutes <= 60 and not has_result) if by == COACH else is_supervisor
    assert complete(reasons)
    assert (not reasons) == (allowed and not is_marked)


@st.composite
def streams(draw):
    """Draw screenings as events, and which of them one more event marks as recorded in error."""
    levels = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 3), min_size=1)
    events = []
    for seq, (answers, alone, hours) in enumerate(
        draw(
            st.lists(st.tuples(levels, st.booleans(), st.integers(0, 100)), min_size=1, max_size=6)
        ),
        1,
    ):
        moment = NOW + timedelta(hours=seq)
        fact = ScreeningRecorded(None, moment - timedelta(hours=hours), answers, alone)
        events.append(RecordedEvent(UUID(int=seq), CLIENT, seq, moment, COACH, fact))
    return events, draw(st.integers(0, len(events) - 1))


@pytest.mark.slow
@given(streams(), st.data())
def test_state_after_an_error_is_that_of_the_other_screenings(stream, data):
    """Only its time stays: it tells how late the clock was."""
    events, number = stream
    marked = RecordedEvent(
        UUID(int=99), CLIENT, 99, NOW, COACH, ScreeningInError(events[number].id, WHY)
    )
    place = data.draw(st.integers(number + 1, len(events)))
    others = fold(event for event in events if event.id != events[number].id)
    for found in (
        fold([*events[:place], marked, *events[place:]]),
        fold(events, events[number].id),
    ):
        assert replace(found, latest_at=others.latest_at) == others


def test_repeated_answer_counts_only_with_the_screening_that_recorded_it_first():
    first, second = UUID(int=1), UUID(int=2)
    facts = [
        (first, ScreeningRecorded(None, NOW, {"self_harm": 3}, asked_alone=True)),
        (
            second,
            ScreeningRecorded(
                None,
                NOW,
                {"self_harm": 3, "sleep": 1},
                asked_alone=True,
                repeats={"self_harm": str(first)},
            ),
        ),
    ]
    events = [
        RecordedEvent(event_id, CLIENT, seq, NOW, COACH, fact)
        for seq, (event_id, fact) in enumerate(facts, 1)
    ]
    assert {*fold(events, first).answers} == {"sleep"}
    assert {*fold(events, second).answers} == {"self_harm"}
    assert {*fold(events, first, second).answers} == set()


def test_marks_are_those_of_the_screenings_that_count(team, coach, ines):
    builders.screen(coach, ines, sleep="watch", days_ago=20)
    db.session.rollback()
    right = {mark.hold_id for mark in list_marks(coach.id, KINDS)}
    wrong = builders.screen(coach, ines, self_harm="urgent", eating="watch", days_ago=40)
    assert right.isdisjoint(mark.hold_id for mark in list_marks(coach.id, KINDS))
    mark(team["supervisor"], wrong)
    assert {found.hold_id for found in list_marks(coach.id, KINDS)} == right


def test_statements_of_a_correction_do_not_grow_with_the_history(coach, supervisor):
    def count_statements(screenings):
        client_id = builders.client(coach)
        for _ in range(screenings):
            builders.screen(coach, client_id, self_harm="urgent", sleep="concern")
        wrong = builders.screen(coach, client_id, self_harm="urgent", sleep="concern")
        db.session.rollback()
        with Statements() as counted:
            mark(supervisor, wrong)
        return len(counted.seen)

    few = count_statements(1)
    assert count_statements(6) == few
    assert few <= 60


def test_suspended_handouts_are_back_after_a_correction(coach):
    made = builders.steady_case(coach, "Ines Okafor")
    with transaction():
        case = lock_case(coach, made.case_id)
        assign_handout(coach, case, "first-days-pause", message="", channel="print", confirmed=True)
    assert get_open_suspended(coach, made) == 0
    wrong = builders.screen(coach, made.client_id, fear_at_home="urgent")
    assert get_open_suspended(coach, made) == 1
    mark(coach, wrong)
    assert get_open_suspended(coach, made) == 0


def get_open_suspended(coach, made):
    return len(list_suspended_assignments(coach, get_case_context(coach, made.case_id)))
