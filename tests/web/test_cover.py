from datetime import timedelta

import pytest

from caseapp.core.actor import operator
from caseapp.core.transaction import transaction
from caseapp.domain.practice.queries import today
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import lock_member
from tests.support import builders
from tests.support.staff_pages import StaffBrowser

DAY = timedelta(days=1)


@pytest.mark.slow
def test_coach_arranges_cover_tells_what_matters_and_ends_it(app, team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3)
    browser, other = StaffBrowser(app, coach), StaffBrowser(app, colleague)
    path = f"/cover/for/{coach.id}"
    assert f'href="{path}"' in browser.text("/cover")
    first = today()
    days = {"starts_on": first.isoformat(), "ends_on": (first + DAY).isoformat()}
    refused = browser.send(path, path, user_id=str(colleague.id), **days)
    assert refused.status_code == 422
    assert "Choose at least one client." in refused.get_data(as_text=True)
    answer = browser.send(path, path, user_id=str(colleague.id), all="yes", **days)
    assert answer.status_code == 303
    page = answer.location
    assert f"You are covering for {coach.name}" in other.text("/today")
    line = f"{page}/{made.client_id}"
    assert browser.send(page, line, line="Prefers to be rung").status_code == 303
    shown = other.text(page)
    for text in ("Ines Okafor", "Safety hold", "This week", "Prefers to be rung"):
        assert text in shown
    assert "End this cover now" not in shown
    assert "Covers for the coach since" in browser.text(f"/case/{made.number}/details")
    assert browser.send(page, f"{page}/end").status_code == 303
    assert "Ines Okafor" not in other.text(page)
    assert "You are covering for" not in other.text("/today")
    assert "Since" in browser.text(page)
    # Arranged again, until whoever covers leaves.
    assert browser.send(path, path, user_id=str(colleague.id), all="yes", **days).status_code == 303
    with transaction():
        disable_member(operator(), lock_member(colleague.id), None)
    assert f"{colleague.name} can no longer cover for you." in browser.text("/today")
    assert "Nobody is covering" in browser.text("/cover")
