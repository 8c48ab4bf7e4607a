import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.board import get_board
from caseapp.domain.dashboard.unattended import list_unattended_clients
from caseapp.domain.screening.operations import set_manual_flag
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
    return {found.client: found.is_responsible for found in list_unattended_clients(actor)}


def hold(actor, name):
    made = builders.case(actor, name)
    builders.screen(actor, made.client_id, self_harm=3)
    return made


def test_client_with_a_coach_and_a_supervisor_is_attended(team):
    hold(team["coach"], "Ines Okafor")
    hold(team["supervisor"], "Own Client")
    assert unattended() == {}


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
    expected = {"Ines Okafor": False, "Late One": False, "Flagged One": False}
    helen = team["supervisor"]
    assert unattended() == unattended(helen) == expected
    group = get_board(helen).groups["unattended"]
    assert (group.count, group.page.items[0].client) == (3, "Ines Okafor")
    with transaction():
        hand_over(helen, lock_client(helen, made.client_id), team["coach"].id, helen.id)
    assert unattended() == unattended(helen) == {"Late One": False, "Flagged One": False}


def test_client_without_a_second_person_is_listed(team):
    hold(team["coach2"], "Without Supervisor")
    hold(team["supervisor2"], "Of The Last Supervisor")
    assert unattended() == {"Without Supervisor": True, "Of The Last Supervisor": True}
    assert unattended(team["supervisor"]) == {}
    assert unattended(team["supervisor2"]) == {"Of The Last Supervisor": True}
    hold(team["coach"], "Supervisor Gone")
    disable("supervisor")
    assert unattended()["Supervisor Gone"] is True


def test_client_without_any_need_is_nobodys_worry(team):
    made = builders.case(team["coach2"], "Quiet One")
    builders.screen(team["coach2"], made.client_id)
    disable("coach2")
    assert unattended() == {}
