"""The page of staff who must not see a client."""

import re

import pytest

from tests.support import builders
from tests.support.staff_pages import StaffBrowser

PATH = "/denied-access"


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.mark.slow
def test_supervisor_records_somebody_by_case_number_and_ends_it(app, team, ines):
    helen = StaffBrowser(app, team["supervisor"])
    assert f'href="{PATH}"' in helen.text("/board")
    words = {"number": f" {ines.number.lower()} ", "user_id": str(team["coach2"].id)}
    answer = helen.send(PATH, PATH, **words, reason="")
    assert answer.status_code == 422
    assert "Choose a reason." in answer.get_data(as_text=True)
    answer = helen.send(PATH, PATH, **words, reason="therapist")
    assert (answer.status_code, answer.location) == (303, PATH)
    page = helen.text(PATH)
    assert "From now on this person doesn’t see the client anywhere." in page
    assert "Treats or advises the client elsewhere" in page
    assert "Ines" not in page
    [action] = re.findall(rf'action="({PATH}/.+/end)"', page)
    assert helen.send(PATH, action, reason="past").status_code == 303
    assert "Nobody is recorded." in helen.text(PATH)


def test_coach_and_whoever_coaches_the_client_are_refused(app, team, ines):
    helen = StaffBrowser(app, team["supervisor"])
    answer = helen.send(
        PATH, PATH, number=ines.number, user_id=str(team["coach"].id), reason="relative"
    )
    assert answer.status_code == 409
    assert "This person coaches the client." in answer.get_data(as_text=True)
    assert StaffBrowser(app, team["coach"]).get(PATH).status_code == 403
