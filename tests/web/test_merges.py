"""Merging the records of a client who was entered twice: choose, compare side by side, say why, and what is left."""

from __future__ import annotations

import pytest

from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.dashboard.copy_contents import WITHHELD
from caseapp.domain.dashboard.record_printing import render_html
from caseapp.domain.dashboard.timeline_filter import TimelineFilter
from tests.support import builders, safety_plans
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_supervisor_compares_two_records_and_merges_them(app, team):
    coach, supervisor = team["coach"], team["supervisor"]
    stays = builders.case(coach, "Ines Okafor")
    gone = builders.client(coach, "Ines Okafor", agreed=True, email="ines@example.org")
    builders.screen(coach, gone, sleep="concern")
    safety_plans.write(coach, gone, text="Call Anne")
    safety_plans.write(coach, stays.client_id)
    browser, of_coach = StaffBrowser(app, supervisor), StaffBrowser(app, coach)
    choose = f"/client/{gone}/merge"
    page, details = f"{choose}/{stays.number}", f"/case/{stays.number}/details"
    assert of_coach.browser.get(choose).status_code == 403
    assert f"/client/{stays.client_id}/merge" in browser.text(details)
    assert "Earlier records" not in browser.text(details)
    assert f'href="{page}"' in browser.text(choose)
    # What only the record that is merged has keeps the two apart.
    compared = browser.text(page)
    assert "ines@example.org" in compared
    assert "Only the record that is merged has" in compared
    builders.screen(coach, stays.client_id, sleep="concern")
    assert browser.send(page, reason="short").status_code == 422
    # Both were found to be alike when the second one was entered, and somebody has decided.
    told = {"reason": "She says that she called twice."}
    assert browser.send(page, **told).status_code == 409
    answer = browser.send(page, **told, despite_decision="yes")
    assert (answer.status_code, answer.headers["Location"]) == (303, details)
    earlier = f"/case/{stays.number}/earlier-records"
    assert f'href="{earlier}"' in browser.text(details)
    left = of_coach.text(earlier)
    for words in ("She says that she called twice.", "ines@example.org", "Call Anne 1"):
        assert words in left
    context = get_case_context(coach, stays.case_id)
    printed = render_html(coach, context, TimelineFilter(), [])
    assert "Another record of this client was merged into this one." in printed
    copied = render_html(coach, context, TimelineFilter(), [], withheld=WITHHELD)
    assert "You had another record here" in copied
    assert browser.browser.get(page).status_code == 404
