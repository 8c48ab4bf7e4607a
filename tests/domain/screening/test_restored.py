"""What a correction brings back: the state is as strict afterwards as the answers that count again demand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.queries import list_waiting_alerts
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.cases.rules import list_common_blockers
from caseapp.domain.clients.operations import confirm_contact
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.followups.codes import PLAN_REVIEW
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.corrections import correction_blockers
from caseapp.domain.screening.current import get_current_safety, get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.operations import clear_flag
from caseapp.domain.screening.queries import lock_screening
from caseapp.domain.screening.state import fold
from tests.domain.screening.hold_helpers import (
    START,
    blockers,
    clear,
    day,
    finish_tasks,
    only_hold,
    open_holds,
)
from tests.support import builders
from tests.support.contexts import COACH, NOW, screening

CHECK_DAYS = (0.1, 1.1, 3.1, 7.2)


def mark(actor, screening_id):
    with transaction():
        mark_in_error(
            actor, lock_screening(actor, screening_id), "Entered for the wrong client here."
        )
    db.session.rollback()


def open_tasks(actor, client_id):
    """List the open actions that a screening requires."""
    found = list_client_followups(actor, client_id, open_only=True)
    return [task for task in found if task.kind != PLAN_REVIEW]


def open_kinds(actor, client_id):
    db.session.rollback()
    return sorted(task.kind for task in open_tasks(actor, client_id))


def finish_all_checks(actor, client_id, *, since=0):
    for number in CHECK_DAYS:
        with day(since + number):
            finish_tasks(actor, client_id)


def release_fear(team):
    """Open a hold about fear at home, do everything, and release it on day 8; return the case and both screenings."""
    coach, supervisor = team["coach"], team["supervisor"]
    with day(0):
        contact = SafeContact(("call", "portal", "email"), "before 17:00")
        case = builders.case(coach, email="ines@example.test", safe=contact)
        fear = builders.screen(coach, case.client_id, fear_at_home="urgent")
    finish_all_checks(coach, case.client_id)
    with day(8):
        calm = builders.screen(coach, case.client_id)
        clear(supervisor, only_hold(case.client_id))
        with transaction():
            version = get_client_record(coach, case.client_id).version
            confirm_contact(coach, lock_client(coach, case.client_id), version)
        db.session.rollback()
        for flag in get_safety_history(case.client_id).flags.values():
            with transaction():
                client = lock_client(supervisor, case.client_id)
                clear_flag(supervisor, client, flag.id, "She has moved out.")
    db.session.rollback()
    assert (get_safety_state(case.client_id).flags, open_holds(case.client_id)) == (frozenset(), {})
    return case, fear, calm


@pytest.mark.slow
@pytest.mark.both
@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_hold_whose_release_rests_on_a_screening_in_error_opens_again(team, who):
    case, fear, calm = release_fear(team)
    coach, supervisor = team["coach"], team["supervisor"]
    with at(START + timedelta(days=8, minutes=50)):
        mark(team[who], calm)
        safety = get_safety_state(case.client_id)
        [hold] = safety.holds
        history = get_safety_history(case.client_id)
        assert get_current_safety(get_client_key(case.client_id)).state == fold(history.events)
        assert (hold.kind, safety.levels["fear_at_home"]) == ("safety", 3)
        assert [(each["item"], each["screening"]) for each in hold.standing] == [
            ("fear_at_home", str(fear))
        ]
        assert safety.flags == {"contact_block", "unsafe_delivery", "violence_flag"}
        assert get_case_context(coach, case.case_id).client.contact_confirmed_at is None
        assert "hold_open" in [reason.code for reason in list_common_blockers(safety)]
        found = open_tasks(coach, case.client_id)
        assert {"emergency_steps", "safety_plan", "safety_7d"} <= {task.kind for task in found}
        assert {(task.origin_id, task.assigned_to) for task in found} == {(hold.id, coach.id)}
        alerts = list_waiting_alerts(coach if who == "supervisor" else supervisor)
        assert alerts[-1].kind == "safety"


@pytest.mark.slow
def test_restored_hold_needs_its_own_week_and_screening(team):
    case, _fear, calm = release_fear(team)
    coach, supervisor = team["coach"], team["supervisor"]
    with at(START + timedelta(days=8, minutes=50)):
        mark(coach, calm)
        hold = open_holds(case.client_id)["safety"]
        builders.screen(coach, case.client_id)
        finish_tasks(coach, case.client_id)
        assert {"screening_too_early", "task_open"} <= {*blockers(hold, supervisor)}
    finish_all_checks(coach, case.client_id, since=8.1)
    with day(16):
        builders.screen(coach, case.client_id)
        assert blockers(hold, supervisor) == []
        clear(supervisor, hold)


@pytest.mark.slow
def test_restored_hold_and_flags_end_when_their_answers_are_in_error_too(team):
    case, fear, calm = release_fear(team)
    with day(8.1):
        mark(team["supervisor"], calm)
        mark(team["supervisor"], fear)
    safety = get_safety_state(case.client_id)
    assert (safety.holds, safety.flags) == ((), frozenset())
    assert open_kinds(team["coach"], case.client_id) == []


@pytest.mark.slow
def test_open_hold_gets_the_reason_that_counts_again(team):
    case, _fear, calm = release_fear(team)
    coach = team["coach"]
    with at(START + timedelta(days=8, minutes=30)):
        builders.screen(coach, case.client_id, self_harm="concern", fear_at_home=None)
        mark(coach, calm)
    [hold] = get_safety_state(case.client_id).holds
    assert {each["item"] for each in hold.standing} == {"self_harm", "fear_at_home"}
    with day(13):
        builders.screen(coach, case.client_id)
        assert "screening_too_early" in blockers(hold, team["supervisor"])


def test_release_stands_when_a_screening_before_the_last_one_was_in_error(team, held, ines):
    with day(8):
        builders.screen(team["coach"], ines)
        clear(team["supervisor"], held)
        mark(team["supervisor"], get_safety_history(ines).screenings[1].id)
    assert open_holds(ines) == {}


@pytest.mark.slow
def test_renewal_keeps_the_actions_that_ended_with_a_screening_in_error(team, ines):
    coach = team["coach"]
    with day(0):
        builders.screen(coach, ines, fear_at_home="concern")
    finish_all_checks(coach, ines)
    with day(8):
        wrong = builders.screen(coach, ines, self_harm="urgent", fear_at_home=None)
    with at(START + timedelta(days=8, minutes=5)):
        right = builders.screen(coach, ines, fear_at_home="concern")
    with at(START + timedelta(days=8, minutes=10)):
        mark(coach, wrong)
        found = open_tasks(coach, ines)
        assert {task.episode_id for task in found} == {right}
        assert {"referral", "safety_plan", "safety_7d", "tell_supervisor"} <= {
            task.kind for task in found
        }
    with day(15.5):
        builders.screen(coach, ines)
        assert "task_open" in blockers(only_hold(ines), team["supervisor"])


def test_whoever_opened_a_hold_is_no_second_person_after_their_own_correction(team, ines):
    coach, supervisor = team["coach"], team["supervisor"]
    with day(0):
        opened = builders.screen(supervisor, ines, self_harm="urgent")
    with at(START + timedelta(minutes=5)):
        builders.screen(coach, ines, self_harm="urgent")
        mark(supervisor, opened)
    finish_all_checks(coach, ines)
    with day(8):
        builders.screen(coach, ines)
        hold = only_hold(ines)
        assert blockers(hold, supervisor) == ["second_person_needed"]
        assert blockers(hold, team["supervisor2"]) == []


def test_care_hold_waits_for_its_own_renewed_actions_beside_a_safety_hold(team, ines):
    coach, supervisor = team["coach"], team["supervisor"]
    with day(0):
        builders.screen(coach, ines, sleep="concern")
    for number in (0.1, 1, 8, 15):
        with day(number):
            finish_tasks(coach, ines)
    with day(16):
        builders.screen(coach, ines, sleep=None, self_harm="urgent")
    with day(17):
        builders.screen(coach, ines, sleep="concern", self_harm="concern")
    with day(18):
        builders.screen(coach, ines)
    with day(26):
        builders.screen(coach, ines)
        assert {*blockers(open_holds(ines)["care"], supervisor)} == {"task_open"}


def test_actions_that_a_supervisors_correction_brings_back_are_the_coachs(team, ines):
    coach, supervisor = team["coach"], team["supervisor"]
    with day(0):
        wrong = builders.screen(coach, ines, self_harm="concern")
    with at(START + timedelta(minutes=5)):
        builders.screen(coach, ines, self_harm="concern")
        mark(supervisor, wrong)
        found = open_tasks(coach, ines)
    assert {task.assigned_to for task in found} == {coach.id}


def test_recording_by_a_clock_that_ran_ahead_is_not_recent():
    for ahead, expected in (
        (timedelta(minutes=5), []),
        (timedelta(days=30), ["correction_too_late"]),
    ):
        found = correction_blockers(
            screening(by=COACH), COACH, NOW - ahead, is_supervisor=False, has_result=False
        )
        assert [reason.code for reason in found] == expected
