"""When a follow-up can be completed, with which result, and what follows from it; without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from caseapp.core.errors import RuleBroken
from caseapp.domain.followups.codes import (
    CUSTOM,
    METHOD_LABELS,
    NOTE_LENGTHS,
    RESULT_LABELS,
    TASK_KINDS,
    TASK_LABELS,
    WELFARE_CHECK,
)
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import LockedFollowUp
from caseapp.domain.followups.rules import (
    DueState,
    NextTask,
    check_complete,
    derive_attempt,
    derive_decided,
    derive_next_task,
    earliest_at,
    find_result_faults,
    get_due_state,
    is_contact_lost,
    is_waiting,
    list_completion_blockers,
    list_unfinished,
)
from caseapp.domain.followups.schemas import HoldTask, NewResult, TaskFacts
from tests.support.contexts import KEY, NOW, complete
from tests.support.followups import result_for

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LATER = NOW + 30 * DAY
EVERY_RESULT = [(kind, result) for kind, task in TASK_KINDS.items() for result in task.results]


def task(kind="recheck", **values):
    """Return an open task that is due now and was added yesterday."""
    return TaskFacts(
        **{
            "kind": kind,
            "due_at": NOW,
            "not_before_at": None,
            "attempt": 1,
            "created_at": NOW - DAY,
            "completed_at": None,
        }
        | values
    )


def locked(facts):
    return LockedFollowUp(FollowUp(), KEY, facts)


def codes(reasons):
    assert complete(reasons)
    return [reason.code for reason in reasons]


def blockers(row, occurred_at=NOW, moment=NOW, *, is_supervisor=False):
    return codes(list_completion_blockers(row, occurred_at, moment, is_supervisor=is_supervisor))


def test_follow_up_is_completed_once():
    row = task()
    assert blockers(row) == []
    check_complete(locked(row), NOW, NOW, is_supervisor=False)
    row = replace(row, completed_at=NOW)
    assert blockers(row) == ["already_completed"]
    with pytest.raises(RuleBroken):
        check_complete(locked(row), NOW, NOW, is_supervisor=False)


@pytest.mark.parametrize("seconds", [0, 59])
def test_check_is_refused_before_its_minute(seconds):
    row = task("safety_24h", not_before_at=NOW + timedelta(seconds=seconds))
    assert blockers(row, NOW - timedelta(seconds=1)) == ["too_early"]
    assert blockers(row, NOW) == []
    assert blockers(row, NOW + HOUR) == []


@pytest.mark.parametrize("kind", TASK_KINDS)
@pytest.mark.parametrize("attempt", [1, 2])
def test_only_a_supervisor_decides_what_was_passed_on(kind, attempt):
    row = task(kind, attempt=attempt)
    passed_on = kind in {WELFARE_CHECK, "declined_decision"} or (kind, attempt) == ("duty_check", 2)
    assert blockers(row) == (["supervisor_needed"] if passed_on else [])
    assert blockers(row, is_supervisor=True) == []


def test_kind_takes_only_its_results():
    for kind, result in product(TASK_KINDS, RESULT_LABELS):
        faults = find_result_faults(task(kind, attempt=2), result_for(kind, result), NOW)
        assert list(faults) == ([] if result in TASK_KINDS[kind].results else ["result"]), (
            kind,
            result,
        )


def test_contact_is_lost_only_after_another_welfare_check_was_decided():
    new = result_for(WELFARE_CHECK, "lost_contact")
    assert list(find_result_faults(task(WELFARE_CHECK), new, NOW)) == ["result"]
    assert find_result_faults(task(WELFARE_CHECK, attempt=2), new, NOW) == {}


def test_kind_takes_only_its_methods():
    for kind, method in product(TASK_KINDS, [None, *METHOD_LABELS]):
        allowed = TASK_KINDS[kind].methods or (None,)
        new = result_for(kind)
        new = NewResult(new.result, method, told=new.told, note=new.note)
        assert list(find_result_faults(task(kind), new, NOW)) == (
            [] if method in allowed else ["method"]
        ), (kind, method)


NOTE = "Rangher,hersistercame."


def test_result_needs_its_note_and_whoever_was_told():
    for kind, result in EVERY_RESULT:
        whole = result_for(kind, result)
        least = NOTE_LENGTHS.get(result, TASK_KINDS[kind].note_length)
        needed = TASK_KINDS[kind].told_for
        for told, length in product(("", "Helen"), (0, 1, 19, 20)):
            new = NewResult(result, whole.method, None, told, NOTE[:length])
            expected = ["told"] if result in needed and not told else []
            expected += ["note"] if length < least else []
            faults = find_result_faults(task(kind, attempt=2), new, NOW)
            assert list(faults) == expected, (kind, result, told, length)


def test_declined_and_emergency_steps_need_a_reason():
    for kind, result in EVERY_RESULT:
        new = replace(result_for(kind, result), note=NOTE[:19])
        reasoned = {"declined", "no", "emergency_services", "named_person", "keep_trying"}
        reasoned |= {"accepted", "try_again", "lost_contact"}
        refused = result in reasoned or kind == "emergency_steps"
        found = find_result_faults(task(kind, attempt=2), new, NOW)
        assert list(found) == (["note"] if refused else []), (kind, result)


@pytest.mark.parametrize("filler", ["x" * 40, "." * 40, "- " * 40, "x" * 18 + ".."])
def test_fillers_are_no_note_and_nobody_who_was_told(filler):
    new = NewResult("no", None, told="..", note=filler)
    faults = find_result_faults(task("duty_check"), new, NOW)
    assert faults["told"] == ["Write who was told, with at least one letter or digit."]
    assert faults["note"][0].startswith("Write the reason, in 20 characters or more.")


@pytest.mark.parametrize(
    "blank",
    ["\u200b", "\u2060", "\u00ad", "\ufeff", "\u00a0", "\u2003", " ", "\u3164", "\u2800", "\u115f"],
)
def test_characters_that_cannot_be_seen_are_no_note_and_nobody_who_was_told(blank):
    unseen, padded = blank * 20, f"Her{blank * 20}sister"
    new = NewResult("no", None, told=unseen, note=unseen)
    assert list(find_result_faults(task("duty_check"), new, NOW)) == ["told", "note"]
    new = replace(new, told=padded, note=padded)
    assert list(find_result_faults(task("duty_check"), new, NOW)) == ["note"]


@pytest.mark.parametrize("later", [timedelta(0), -HOUR, timedelta(seconds=1)])
def test_result_in_the_future_is_refused(later):
    new = NewResult("reached", "call", NOW + later, "", "She is well.")
    expected = ["occurred_at"] if later > timedelta(0) else []
    assert list(find_result_faults(task(), new, NOW)) == expected


@pytest.mark.parametrize("kind", TASK_KINDS)
@pytest.mark.parametrize(
    ("before", "refused"), [(MINUTE, False), (5 * MINUTE, False), (6 * MINUTE, True), (DAY, True)]
)
def test_result_from_before_the_protocol_asked_for_it_is_refused(kind, before, refused):
    new = replace(result_for(kind), occurred_at=NOW - before)
    expected = ["occurred_at"] if refused and kind != CUSTOM else []
    assert list(find_result_faults(task(kind, created_at=NOW), new, NOW)) == expected


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_next_attempt_starts_no_sooner_than_the_task_and_an_hour_after_a_counted_attempt(kind):
    counted = TASK_KINDS[kind].welfare_check
    for starts in (None, NOW - DAY, NOW + DAY):
        row = task(kind, not_before_at=starts)
        last = max(starts, NOW + HOUR) if starts else NOW + HOUR
        assert derive_attempt(row, NOW).not_before_at == (last if counted else starts)
    row = task(kind, completed_at=NOW - MINUTE)
    expected = NOW - MINUTE + HOUR if counted else None
    assert derive_attempt(row, NOW).not_before_at == expected


def test_not_reached_not_sure_and_declined_lead_on():
    for (kind, result), attempt in product(EVERY_RESULT, range(1, 8)):
        found = derive_next_task(task(kind, attempt=attempt), result, NOW)
        starts = NOW + HOUR if TASK_KINDS[kind].welfare_check else None
        retry = NextTask(kind, NOW + TASK_KINDS[kind].retry_after, attempt + 1, starts)
        if result == "not_reached":
            third = TASK_KINDS[kind].welfare_check and attempt in {3, 6}
            check = NextTask(WELFARE_CHECK, NOW, attempt // 3, for_supervisor=True)
            assert found == (check if third else retry), (kind, attempt)
        elif result == "not_sure":
            assert found == NextTask(kind, NOW, attempt + 1, for_supervisor=True), kind
        elif result == "declined" and kind in {"referral", "referral_outcome", "safety_plan"}:
            assert found == NextTask("declined_decision", NOW, attempt, for_supervisor=True)
        else:
            assert found is None, (kind, result)
        assert derive_attempt(task(kind, attempt=attempt), NOW) == retry, (kind, attempt)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_open_task_is_due_now_and_overdue_by_its_kind(kind):
    row, grace = task(kind), TASK_KINDS[kind].grace
    assert get_due_state(row, NOW - MINUTE) == DueState.DUE
    assert get_due_state(row, NOW) == (DueState.NOW if grace else DueState.OVERDUE)
    assert get_due_state(row, NOW + grace) == DueState.OVERDUE
    row = replace(row, not_before_at=NOW)
    assert get_due_state(row, NOW - MINUTE) == DueState.LATER
    row = replace(row, not_before_at=NOW + 2 * grace)
    assert get_due_state(row, NOW + grace) == DueState.OVERDUE
    assert is_waiting(row, NOW + grace) == bool(grace)
    row = replace(row, completed_at=NOW)
    assert get_due_state(row, NOW + grace) == DueState.DONE


def test_kinds_can_be_shown_and_tried_again():
    assert {*TASK_KINDS} == {*TASK_LABELS, "custom"}
    for found in TASK_KINDS.values():
        assert found.minutes > 0
        assert set(found.results) <= set(RESULT_LABELS)
        assert set(found.methods) <= set(METHOD_LABELS)
        assert set(found.told_for) <= set(found.results)
        assert set(found.repeated_only) < set(found.results)
        assert bool(found.retry_after) == ("not_reached" in found.results)
        assert not found.welfare_check or "not_reached" in found.results


@pytest.mark.parametrize("kind", ["referral", "referral_outcome", "safety_plan"])
def test_what_was_declined_is_asked_again_unless_it_is_accepted(kind):
    row = task(kind, attempt=2)
    assert derive_decided("declined_decision", "accepted", row, NOW) is None
    again = derive_decided("declined_decision", "try_again", row, NOW)
    assert (again.kind, again.attempt, again.for_supervisor) == (kind, 3, False)
    assert again.due_at > NOW
    assert derive_decided(WELFARE_CHECK, "lost_contact", row, NOW) == derive_attempt(row, NOW)


def held(number, kind, result=None, *, previous=None, made=0, ended=None):
    """Return a task of a hold; times are hours after NOW."""
    return HoldTask(
        UUID(int=number),
        kind,
        UUID(int=previous) if previous else None,
        None,
        NOW + made * HOUR,
        None if ended is None else NOW + ended * HOUR,
        result,
    )


def test_task_that_lost_contact_ended_is_unfinished_until_it_is_asked_for_again():
    done = held(1, "duty_check", "no", ended=1)
    ended = held(2, "safety_24h", "lost_contact", ended=5)
    still_open = held(3, "referral")
    assert list_unfinished([done, ended, still_open]) == ["referral", "safety_24h"]
    again = held(4, "safety_24h", made=6)
    assert list_unfinished([done, ended, again]) == ["safety_24h"]
    assert list_unfinished([done, ended, held(4, "safety_24h", "reached", made=6, ended=7)]) == []


def test_ended_decision_leaves_the_task_that_led_to_it_unfinished():
    tried = held(1, "safety_24h", "not_reached", ended=1)
    check = held(2, WELFARE_CHECK, "lost_contact", previous=1, made=1, ended=5)
    assert list_unfinished([tried, check]) == ["safety_24h"]
    declined = held(3, "safety_plan", "declined", ended=2)
    decision = held(4, "declined_decision", "lost_contact", previous=3, made=2, ended=5)
    assert list_unfinished([tried, check, declined, decision]) == ["safety_24h", "safety_plan"]
    decided_earlier = [tried, check, held(5, "safety_24h", "reached", previous=1, made=5, ended=9)]
    assert list_unfinished(decided_earlier) == []


def test_contact_is_lost_until_the_client_is_reached_or_screened():
    check = held(1, WELFARE_CHECK, "lost_contact", ended=5)
    assert is_contact_lost([check], [NOW], LATER)
    assert is_contact_lost([check], [], LATER)
    assert not is_contact_lost([], [], LATER)
    assert not is_contact_lost([held(1, WELFARE_CHECK, "keep_trying", ended=5)], [], LATER)
    assert not is_contact_lost([check], [NOW + 6 * HOUR], LATER)
    assert not is_contact_lost([held(1, "safety_24h", "lost_contact", ended=5)], [], LATER)
    for kind, result in (
        ("safety_72h", "reached"),
        ("referral", "declined"),
        ("safety_plan", "done"),
    ):
        assert not is_contact_lost([check, held(2, kind, result, ended=6)], [NOW], LATER)
        assert is_contact_lost([check, held(2, kind, result, ended=4)], [NOW], LATER)
    assert is_contact_lost([check, held(2, "tell_supervisor", "done", ended=6)], [NOW], LATER)


def test_what_a_clock_ahead_recorded_is_neither_a_decision_nor_heard_since():
    check = held(1, WELFARE_CHECK, "lost_contact", ended=5)
    assert is_contact_lost([check], [NOW + 9 * HOUR], NOW + 8 * HOUR)
    assert not is_contact_lost([check], [NOW + 9 * HOUR], NOW + 9 * HOUR)
    assert not is_contact_lost([check], [], NOW + 4 * HOUR)
    reached = held(2, "safety_72h", "reached", ended=9)
    assert is_contact_lost([check, reached], [], NOW + 8 * HOUR)
    assert not is_contact_lost([check, reached], [], NOW + 9 * HOUR)
    # Two servers' clocks differ a little.
    assert not is_contact_lost([check, reached], [], NOW + 9 * HOUR - MINUTE)


def test_check_counts_from_the_latest_time_in_the_record_unless_that_lies_ahead():
    row = task("safety_24h", not_before_at=NOW + 4 * DAY, created_at=NOW)
    assert earliest_at(row, NOW + 2 * DAY) == NOW + DAY
    assert earliest_at(row, NOW + 3 * DAY) == NOW + 4 * DAY
    assert blockers(row, NOW + 2 * DAY, NOW + 2 * DAY) == []
    assert blockers(row, NOW + 3 * DAY, NOW + 3 * DAY) == ["too_early"]
    assert blockers(row, NOW + 2 * DAY, NOW + 3 * DAY) == ["too_early"]
    assert earliest_at(task("recheck"), NOW) is None
    again = task("safety_24h", not_before_at=NOW + 4 * DAY, created_at=NOW, attempt=2)
    assert earliest_at(again, NOW) == NOW + 4 * DAY
