import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.board import get_board
from caseapp.domain.dashboard.unattended import (
    ACTION,
    RESPONSIBLE,
    SECOND,
    list_unattended_clients,
)
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.queries import lock_hold
from caseapp.domain.staffing.operations import hand_over
from tests.support import builders, staff

pytestmark = pytest.mark.both


@pytest.fixture
def team(app):
    return {
        "supervisor2": staff.add("supervisor2"),
        "supervisor": staff.add("supervisor", supervisor="supervisor2"),
        "coach": staff.add("coach", supervisor="supervisor"),
        "coach2": staff.add("coach2"),
    }


def disable(*who):
    with transaction():
        for one in who:
            staff.disable(f"{one}@practice.test")


def unattended(actor=None):
    return {found.client: found.lacks for found in list_unattended_clients(actor)}


def hold(actor, name):
    made = builders.case(actor, name)
    builders.screen(actor, made.client_id, self_harm=3)
    return made


def test_client_with_a_coach_and_a_supervisor_is_attended(team):
    hold(team["coach"], "Ines Okafor")
    hold(team["supervisor"], "Own Client")
    assert unattended() == {}


@pytest.mark.slow
def test_client_in_need_whose_coach_has_left_is_listed_until_handed_over(team):
    made = hold(team["coach"], "Ines Okafor")
    late = builders.case(team["coach"], "Late One")
    builders.screen(team["coach"], late.client_id, sleep=1, days_ago=30)
    flagged = builders.case(team["coach"], "Flagged One")
    with transaction():
        set_manual_flag(
            team["coach"], lock_client(team["coach"], flagged.client_id), "contact_block"
        )
    builders.case(team["coach"], "Quiet One")
    disable("coach")
    expected = {"Ines Okafor": RESPONSIBLE, "Late One": RESPONSIBLE, "Flagged One": RESPONSIBLE}
    helen = team["supervisor"]
    assert unattended() == unattended(helen) == expected
    group = get_board(helen).groups["unattended"]
    assert (group.count, group.page.items[0].client) == (3, "Ines Okafor")
    with transaction():
        hand_over(helen, lock_client(helen, made.client_id), team["coach"].id, helen.id)
    assert (
        unattended() == unattended(helen) == {"Late One": RESPONSIBLE, "Flagged One": RESPONSIBLE}
    )


@pytest.mark.slow
def test_client_without_a_second_person_is_listed(team):
    hold(team["coach2"], "Without Supervisor")
    hold(team["supervisor2"], "Of The Last Supervisor")
    assert unattended() == {"Without Supervisor": SECOND, "Of The Last Supervisor": SECOND}
    assert unattended(team["supervisor"]) == {}
    assert unattended(team["supervisor2"]) == {"Of The Last Supervisor": SECOND}
    hold(team["coach"], "Supervisor Gone")
    disable("supervisor")
    assert unattended()["Supervisor Gone"] == SECOND


def name(actor, made, second):
    hold = get_safety_state(made.client_id).holds[0]
    with transaction():
        name_second_person(actor, lock_hold(actor, hold.id), second.id, hold.version)


@pytest.mark.slow
def test_whoever_recorded_a_screening_of_the_hold_is_no_second_person(team):
    coach, helen, ruth = team["coach"], team["supervisor"], team["supervisor2"]
    made = hold(coach, "Ines Okafor")
    assert unattended() == {}
    builders.screen(helen, made.client_id, self_harm=3)
    assert unattended() == unattended(helen) == {"Ines Okafor": SECOND}
    (found,) = list_unattended_clients(None)
    assert (found.coach, found.hold, found.number) == (coach.name, "safety", made.number)
    name(coach, made, ruth)
    assert unattended() == unattended(helen) == {}
    disable("supervisor2")
    assert unattended() == {"Ines Okafor": SECOND}


@pytest.mark.slow
def test_full_screening_that_would_end_the_hold_counts_until_a_newer_one(team):
    made = hold(team["coach"], "Ines Okafor")
    builders.screen(team["supervisor"], made.client_id)
    assert unattended() == {"Ines Okafor": SECOND}
    builders.screen(team["coach"], made.client_id)
    assert unattended() == {}


@pytest.mark.slow
def test_care_hold_and_other_events_need_nobody_else(team):
    coach, helen = team["coach"], team["supervisor"]
    care = builders.case(coach, "Care Hold")
    builders.screen(helen, care.client_id, sleep=2)
    earlier = builders.case(coach, "Screened Before")
    builders.screen(helen, earlier.client_id)
    builders.screen(coach, earlier.client_id, self_harm=3)
    assert unattended() == {}


@pytest.mark.slow
def test_client_without_any_need_is_listed_only_when_nobody_sees_them(team):
    quiet = builders.case(team["coach"], "Quiet One")
    builders.screen(team["coach"], quiet.client_id)
    alone = builders.case(team["coach2"], "Seen By Nobody")
    builders.screen(team["coach2"], alone.client_id)
    disable("coach", "coach2")
    assert unattended() == {"Seen By Nobody": RESPONSIBLE}
    disable("supervisor")
    assert unattended() == {"Seen By Nobody": RESPONSIBLE, "Quiet One": RESPONSIBLE}


@pytest.mark.slow
def test_open_action_of_somebody_who_cannot_do_it_is_listed(team):
    coach, helen = team["coach"], team["supervisor"]
    left = builders.case(coach, "Action Of A Leaver")
    hidden = builders.case(coach, "Action Of A Stranger")
    for made in (left, hidden):
        builders.screen(coach, made.client_id, sleep=1)
    assert unattended() == {}
    gone = staff.add("coach3", role="coach", supervisor="supervisor")
    for made, who in ((left, gone), (hidden, team["coach2"])):
        with transaction():
            db.session.execute(
                sa.update(FollowUp)
                .where(FollowUp.client_id == made.client_id)
                .values(assigned_to=who.id)
            )
    disable("coach3")
    expected = {"Action Of A Leaver": ACTION, "Action Of A Stranger": ACTION}
    assert unattended() == unattended(helen) == expected
    assert unattended(team["supervisor2"]) == {}
