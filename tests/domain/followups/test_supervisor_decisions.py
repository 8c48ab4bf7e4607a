"""What only a supervisor decides: whether coaching goes on without something, and that contact is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.cases.operations import close_case, open_case, reopen_case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseClosing, CaseDetails
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.followups.queries import (
    list_client_followups,
)
from caseapp.domain.screening.hold_operations import release_hold
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.screening.queries import list_holds, list_release_blockers, lock_hold
from caseapp.domain.screening.releasable import list_releasable_holds
from tests.domain.followups.steps import NOON, open_tasks
from tests.support import builders, followups

pytestmark = pytest.mark.both

LOST = CaseClosing(
    "lost_contact",
    "decision",
    "not_possible",
    "No answer.",
    follow_up_consent=False,
    follow_up_on=None,
)


@pytest.mark.parametrize("kind", ["safety_plan", "referral"])
def test_declined_action_waits_for_a_supervisor_and_blocks_the_release(team, ines, kind):
    with at(NOON):
        level = {"safety_plan": {"self_harm": "urgent"}, "referral": {"sleep": "concern"}}[kind]
        builders.screen(team["coach"], ines, **level)
    coach, supervisor = team["coach"], team["supervisor"]
    [hold] = list_holds(coach, ines)
    with at(NOON + timedelta(hours=1)):
        followups.complete(coach, open_tasks(team, ines)[kind].id, "declined")
        decision = open_tasks(team, ines)["declined_decision"]
        assert decision.assigned_to == supervisor.id
        assert "declined_decision" in open_kinds(hold, coach)
        with pytest.raises(RuleBroken) as refused:
            followups.complete(coach, decision.id)
        assert refused.value.reasons[0].code == "supervisor_needed"
        db.session.rollback()
        followups.complete(supervisor, decision.id, "try_again")
        again = open_tasks(team, ines)[kind]
        assert (again.attempt, again.assigned_to, again.origin_id) == (2, coach.id, hold.id)
        assert again.due_at > now()
        followups.complete(coach, again.id, "declined")
        followups.complete(supervisor, open_tasks(team, ines)["declined_decision"].id, "accepted")
    found = open_kinds(hold, coach)
    assert kind not in found
    assert "declined_decision" not in found


def open_kinds(hold, actor):
    blockers = list_release_blockers(hold, actor)
    labels = {f"Still open: {label}.": kind for kind, label in TASK_LABELS.items()}
    return {labels[reason.message] for reason in blockers if reason.code == "task_open"}


def lose_contact(team, client_id):
    return followups.lose_contact(team["coach"], team["supervisor"], client_id)


def test_contact_is_not_lost_at_the_first_welfare_check(team, held):
    coach, supervisor, moment = team["coach"], team["supervisor"], NOON + timedelta(days=1)
    for hours in (0, 4, 8):
        with at(moment + timedelta(hours=hours)):
            followups.complete(coach, open_tasks(team, held)["safety_24h"].id, "not_reached", "")
    check = open_tasks(team, held)["welfare_check"]
    assert "lost_contact" not in check.allowed_results
    with pytest.raises(Invalid) as refused:
        followups.complete(supervisor, check.id, "lost_contact")
    assert "result" in refused.value.fields


@pytest.mark.slow
def test_case_of_lost_contact_is_closed_and_its_hold_stays_with_its_actions(team):
    coach, supervisor = team["coach"], team["supervisor"]
    with at(NOON):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm="urgent")
        [hold] = list_holds(coach, made.client_id)

    def close(actor, moment):
        with at(moment), transaction():
            case = lock_case(actor, made.case_id)
            close_case(actor, case, LOST, case.case.version)

    with pytest.raises(RuleBroken) as refused:
        close(supervisor, NOON + timedelta(hours=1))
    assert [reason.code for reason in refused.value.reasons] == ["contact_not_lost"]
    moment = lose_contact(team, made.client_id)
    with pytest.raises(RuleBroken) as refused:
        close(coach, moment)
    assert "second_person_needed" in [reason.code for reason in refused.value.reasons]
    before = open_kinds(hold, supervisor)
    assert {"safety_24h", "safety_72h", "safety_plan"} <= before
    close(supervisor, moment)
    assert open_tasks(team, made.client_id) == {}
    ended = [
        task
        for task in list_client_followups(coach, made.client_id)
        if task.result == "lost_contact" and task.kind != "welfare_check"
    ]
    assert {task.kind for task in ended} == before
    assert {(task.note, task.completed_by) for task in ended} == {("No answer.", supervisor.id)}
    [still] = list_holds(coach, made.client_id)
    assert still.released_at is None
    assert open_kinds(still, supervisor) == before
    later = moment + timedelta(days=30)
    with at(later), transaction():
        case = lock_case(coach, made.case_id)
        reopen_case(coach, case, "The client rang.", case.case.version)
    found = open_tasks(team, made.client_id)
    assert found.keys() == before == open_kinds(still, supervisor)
    assert found["safety_24h"].due_at == later + timedelta(hours=24)
    assert {(task.origin_id, task.assigned_to) for task in found.values()} == {(hold.id, coach.id)}


@pytest.mark.slow
def test_hold_of_lost_contact_waits_for_no_second_person_before_the_case_is_open_again(team):
    coach, supervisor = team["coach"], team["supervisor"]
    with at(NOON):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm="urgent")
        [hold] = list_holds(coach, made.client_id)
    moment = lose_contact(team, made.client_id)
    with at(moment), transaction():
        close_case(supervisor, lock_case(supervisor, made.case_id), LOST, 1)
    with at(moment + timedelta(days=9)):
        builders.screen(coach, made.client_id)
        assert list_releasable_holds(supervisor, list_marks(supervisor.id, HOLD_KINDS)) == []
        with pytest.raises(RuleBroken) as refused, transaction():
            release_hold(supervisor, lock_hold(supervisor, hold.id), "Steady again.", 1)
    assert {reason.code for reason in refused.value.reasons} == {"task_open"}


def test_new_case_asks_again_for_what_lost_contact_had_ended(team):
    coach, supervisor = team["coach"], team["supervisor"]
    with at(NOON):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm="urgent")
    moment = lose_contact(team, made.client_id)
    with at(moment), transaction():
        close_case(supervisor, lock_case(supervisor, made.case_id), LOST, 1)
    with at(moment + timedelta(days=1)), transaction():
        details = CaseDetails({}, "undecided", None)
        open_case(coach, lock_client(coach, made.client_id), details, coach_id=coach.id)
    assert {"safety_24h", "safety_72h", "duty_check"} <= open_tasks(team, made.client_id).keys()


@pytest.mark.parametrize("heard", ["reached", "screened"])
def test_contact_that_was_found_again_is_not_lost(team, heard):
    coach, supervisor = team["coach"], team["supervisor"]
    with at(NOON):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm="urgent")
    moment = lose_contact(team, made.client_id)
    with at(moment):
        if heard == "reached":
            followups.complete(coach, open_tasks(team, made.client_id)["safety_24h"].id)
        else:
            builders.screen(coach, made.client_id, self_harm="urgent")
    with at(moment + timedelta(hours=1)), pytest.raises(RuleBroken) as refused, transaction():
        close_case(supervisor, lock_case(supervisor, made.case_id), LOST, 1)
    assert [reason.code for reason in refused.value.reasons] == ["contact_not_lost"]
