from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest

from caseapp.domain.alerts.codes import STEPS
from caseapp.domain.alerts.rules import (
    MAX_CLOCK_SKEW,
    ends_alert,
    list_deputy_faults,
    list_due_steps,
    list_manager_faults,
    list_people,
    list_positions,
    list_second_people,
    plan_steps,
)
from caseapp.domain.alerts.schemas import AlertTimes, StaffMember, TeamMember

FRIDAY = datetime(2026, 5, 15, 17, tzinfo=UTC)
TIMES = AlertTimes(30, 120, 1, None)


def person(role="supervisor", *, is_active=True):
    return StaffMember(uuid4(), "Helen Marsh", role, "", "", is_active=is_active)


def test_safety_hold_passes_on_after_minutes_at_any_hour():
    assert plan_steps("safety", FRIDAY, TIMES, "Europe/London") == {
        "coach": FRIDAY,
        "supervisor": FRIDAY,
        "deputy": FRIDAY + timedelta(minutes=30),
        "manager": FRIDAY + timedelta(hours=2),
    }


def test_care_hold_passes_on_after_working_days_and_to_the_manager_only_if_asked():
    monday = FRIDAY + timedelta(days=3)
    assert plan_steps("care", FRIDAY, TIMES, "Europe/London") == {
        "coach": FRIDAY,
        "supervisor": FRIDAY,
        "deputy": monday,
        "manager": None,
    }
    found = plan_steps("care", FRIDAY, AlertTimes(30, 120, 1, 2), "Europe/London")
    assert found["manager"] == monday + timedelta(days=1)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("role", ["coach", "supervisor", "admin"])
@pytest.mark.parametrize("is_active", [True, False])
def test_step_reaches_active_people_of_the_right_role(step, role, is_active):
    found = person(role, is_active=is_active)
    other = person("coach", is_active=False)
    member = TeamMember(
        found if step == "coach" else other,
        found if step == "supervisor" else None,
        found if step == "deputy" else None,
    )
    manager = found if step == "manager" else None
    reached = is_active and (step == "coach" or role == "supervisor")
    assert list_people(step, [member], manager) == ([found] if reached else [])


def test_step_reaches_the_people_of_every_member_of_the_team_once():
    supervisor, one, two = person(), person("coach"), person("coach")
    team = [TeamMember(one, supervisor, None), TeamMember(two, supervisor, None)]
    assert list_people("coach", team, None) == [one, two]
    assert list_people("supervisor", team, None) == [supervisor]


def test_deputy_is_reached_although_the_supervisor_has_left():
    deputy = person()
    team = [TeamMember(person("coach"), person(is_active=False), deputy)]
    assert list_people("deputy", team, None) == [deputy]


MINUTES = (0, 0, 30, 120)
DUE = {
    step: FRIDAY + timedelta(minutes=minutes) for step, minutes in zip(STEPS, MINUTES, strict=True)
}
WHO = {step: uuid4() for step in STEPS}
COACHES = {WHO["coach"]}
SECOND = {*WHO.values()} - COACHES


@pytest.mark.parametrize("after", [0, 29, 30, 119, 120, 10_000])
@pytest.mark.parametrize("has_manager_time", [True, False])
def test_steps_are_due_in_time_and_at_once_while_nobody_is_reached(after, has_manager_time):
    """Try every set of people who are there, after each number of steps that were taken."""
    at = FRIDAY + timedelta(minutes=after)
    due: dict = dict(DUE) if has_manager_time else DUE | {"manager": None}
    for there, taken in product(product([True, False], repeat=4), range(5)):
        people: dict[str, set[UUID]] = {
            step: {WHO[step]} if one else set() for step, one in zip(STEPS, there, strict=True)
        }
        before = STEPS[:taken]
        alerted = set().union(*(people[step] for step in before))
        found = list_due_steps(due, before, people, alerted, SECOND, at, FRIDAY)
        expected: list[str] = []
        for number, step in enumerate(STEPS):
            if number < taken:
                continue
            earlier = STEPS[:number]
            chosen = {*before, *expected}
            reached = set().union(*(people[each] for each in earlier if each in chosen)) - COACHES
            in_time = due[step] is not None and due[step] <= at
            if in_time or not reached:
                expected.append(step)
        assert found == expected
        reached = alerted.union(*(people[step] for step in found))
        assert reached - COACHES or not any(there[1:])


@pytest.mark.parametrize("told", [COACHES, {WHO["deputy"]}])
def test_taken_step_is_due_again_when_somebody_else_is_responsible(told):
    """Whoever else knows: the new person is the one who has to do something."""
    people: dict[str, set[UUID]] = {step: set() for step in STEPS}
    at = FRIDAY + timedelta(hours=3)
    assert list_due_steps(DUE, STEPS, people, told, SECOND, at, FRIDAY) == []
    people["supervisor"], people["manager"] = {WHO["supervisor"]}, {WHO["manager"]}
    found = list_due_steps(DUE, STEPS, people, told, SECOND, at, FRIDAY)
    assert found == ["supervisor", "manager"]
    everybody = {*WHO.values()}
    assert list_due_steps(DUE, STEPS, people, everybody, SECOND, at, FRIDAY) == []


def test_whoever_is_no_second_person_now_does_not_count_as_knowing():
    former, people = uuid4(), {step: {WHO[step]} for step in STEPS}
    at = FRIDAY + timedelta(minutes=1)
    for knowing in ({former}, COACHES):
        found = list_due_steps(DUE, STEPS[:1], people, knowing | COACHES, set(), at, FRIDAY)
        assert found == ["supervisor", "deputy", "manager"]


def test_coach_who_is_manager_too_is_no_second_person():
    people: dict[str, set[UUID]] = {step: set() for step in STEPS} | {"manager": COACHES}
    found = list_due_steps(DUE, (), people, COACHES, set(), FRIDAY, FRIDAY)
    assert found == [*STEPS]


def test_second_people_are_active_and_coach_nobody_of_the_team():
    coach, supervisor, left, deputy = person("coach"), person(), person(is_active=False), person()
    team = [TeamMember(coach, supervisor, deputy), TeamMember(supervisor, left, None)]
    assert list_second_people(team, coach) == {deputy.id}
    assert list_positions(team, None) == {coach.id, supervisor.id, deputy.id, left.id}


def test_coach_ends_an_alert_only_about_a_care_hold_or_after_a_second_person_opened_it():
    coach, supervisor, other = WHO["coach"], WHO["supervisor"], uuid4()
    assert ends_alert("care", coach, other, COACHES, SECOND)
    assert not ends_alert("safety", coach, other, COACHES, SECOND)
    assert ends_alert("safety", coach, supervisor, COACHES, SECOND)
    assert not ends_alert("safety", coach, supervisor, COACHES, SECOND - {supervisor})
    for kind in ("care", "safety"):
        assert ends_alert(kind, supervisor, coach, COACHES, SECOND)


def test_every_step_is_due_when_the_clock_was_set_back():
    people = {step: {WHO[step]} for step in STEPS}
    early, told = FRIDAY - MAX_CLOCK_SKEW, {WHO["coach"], WHO["supervisor"]}
    assert list_due_steps(DUE, STEPS[:2], people, told, SECOND, early, FRIDAY) == []
    earlier = early - timedelta(seconds=1)
    assert list_due_steps(DUE, STEPS[:2], people, told, SECOND, earlier, FRIDAY) == [
        "deputy",
        "manager",
    ]


@pytest.mark.parametrize("role", ["coach", "supervisor", "admin"])
@pytest.mark.parametrize("is_active", [True, False])
def test_manager_and_deputy_are_active_supervisors(role, is_active):
    chosen, expected = person(role, is_active=is_active), role == "supervisor" and is_active
    assert (list_manager_faults(chosen) == []) == expected
    assert (list_deputy_faults(person(), chosen) == []) == expected


def test_nobody_is_their_own_deputy_and_only_supervisors_have_one():
    supervisor = person()
    assert [fault.code for fault in list_deputy_faults(supervisor, supervisor)] == ["own_deputy"]
    assert [fault.code for fault in list_deputy_faults(person("coach"), supervisor)] == [
        "needs_no_deputy"
    ]
    assert list_deputy_faults(person("coach"), None) == []
    assert list_manager_faults(None) == []
