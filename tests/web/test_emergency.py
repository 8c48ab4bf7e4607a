"""The pages of emergency access."""

import re

import pytest

from tests.support import builders
from tests.support.staff_pages import StaffBrowser

PATH = "/emergency-access"


@pytest.mark.slow
def test_record_is_read_with_a_banner_and_every_form_of_it_is_refused(app, team):
    made = builders.case(team["coach"], "Ines Okafor")
    jonas, case = StaffBrowser(app, team["coach2"]), f"/case/{made.number}"
    assert jonas.get(case).status_code == 404
    words = {"number": made.number, "reason": "contact", "words": "She rang, and Marta is ill."}
    assert jonas.send(PATH, PATH, **words | {"words": ""}).status_code == 422
    answer = jonas.send(PATH, PATH, **words)
    assert (answer.status_code, answer.location) == (303, case)
    page = jonas.text(f"{case}/details")
    assert "Ines Okafor" in page
    assert "You have emergency access to a client’s record until" in page
    assert "You have emergency access" in jonas.text("/today")
    action = f"{case}/details/client"
    assert f'action="{action}"' not in page
    kept = jonas.post(action, jonas.token | jonas.key_for(action) | {"pronouns": "they"})
    assert kept.status_code == 404
    marta = StaffBrowser(app, team["coach"]).text("/today")
    assert "Read using emergency access" in marta
    helen = StaffBrowser(app, team["supervisor"])
    assert "Emergency access to review" in helen.text("/board")
    [review] = re.findall(rf'href="({PATH}/[^"]+/review)"', helen.text("/board"))
    assert "She rang, and Marta is ill." in helen.text(review)
    assert helen.send(review, review, outcome="needed").status_code == 303
    assert "Every emergency access has been reviewed." in helen.text("/board?show=emergencies")
    [end] = re.findall(rf'action="({PATH}/[^"]+/end)"', jonas.text(PATH))
    assert jonas.send(PATH, end).status_code == 303
    assert jonas.get(case).status_code == 404
