"""Nobody leaves, and no client is handed over, where nobody could then release a hold."""

from __future__ import annotations

import pytest

from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.queries import lock_hold
from tests.domain.staffing.steps import disable, give, marked
from tests.support import builders, staff

pytestmark = pytest.mark.both


def name_second(actor, made, second):
    hold = get_safety_state(made.client_id).holds[0]
    with transaction():
        locked = lock_hold(actor, hold.id)
        name_second_person(actor, locked, second.id, locked.hold.version)


@pytest.mark.slow
def test_client_with_a_hold_goes_to_nobody_under_whom_it_could_not_be_released(team):
    coach, supervisor = team["coach"], team["supervisor"]
    alone = staff.add("coach3", role="coach")
    made, quiet = builders.case(coach), builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    builders.screen(coach, quiet.client_id, sleep=1)
    give(supervisor, quiet, coach, alone)
    with pytest.raises(Invalid) as refused:
        give(supervisor, made, coach, alone)
    assert "name another supervisor" in refused.value.fields["heir_id"][0]
    assert marked(coach) == {made.client_id}
    name_second(coach, made, team["supervisor2"])
    give(supervisor, made, coach, alone)
    assert marked(alone) == {made.client_id}


def test_client_with_a_hold_is_handed_over_when_nobody_has_a_second_person(app):
    supervisor = staff.add("supervisor")
    coach = staff.add("coach", supervisor="supervisor")
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    give(supervisor, made, coach, supervisor)
    assert marked(supervisor) == {made.client_id}
    disable(coach)


def test_only_second_person_of_a_hold_is_not_disabled(team):
    alone, second = staff.add("coach3", role="coach"), staff.add("supervisor3")
    made = builders.case(alone)
    builders.screen(alone, made.client_id, self_harm=3)
    name_second(alone, made, second)
    with pytest.raises(RuleBroken) as refused:
        disable(second)
    (reason,) = refused.value.reasons
    assert reason.code == "second_person"
    assert made.number in reason.message
    name_second(alone, made, team["supervisor2"])
    disable(second)


def test_second_person_stays_when_the_supervisor_has_recorded_a_screening_of_the_hold(team):
    coach, supervisor, second = team["coach"], team["supervisor"], staff.add("supervisor3")
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    name_second(coach, made, second)
    builders.screen(supervisor, made.client_id, self_harm=3)
    with pytest.raises(RuleBroken) as refused:
        disable(second)
    assert [reason.code for reason in refused.value.reasons] == ["second_person"]
    name_second(coach, made, team["supervisor2"])
    disable(second)


def test_client_whose_screening_the_supervisor_recorded_goes_to_nobody_else_of_the_team(team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(supervisor, made.client_id, self_harm=3)
    with pytest.raises(Invalid) as refused:
        give(supervisor, made, coach, team["coach2"])
    assert "name another supervisor" in refused.value.fields["heir_id"][0]
    give(supervisor, made, coach, supervisor)
    assert marked(supervisor) == {made.client_id}


def test_client_whose_screening_the_only_supervisor_recorded_is_handed_over(app):
    supervisor = staff.add("supervisor")
    coach, heir = (staff.add(who, supervisor="supervisor") for who in ("coach", "coach2"))
    made = builders.case(coach)
    builders.screen(supervisor, made.client_id, self_harm=3)
    give(supervisor, made, coach, heir)
    assert marked(heir) == {made.client_id}
