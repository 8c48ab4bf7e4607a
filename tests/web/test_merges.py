"""Merging the records of a client who was entered twice: choose, compare side by side, say why, and what is left."""

from __future__ import annotations

import pytest

from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_supervisor_compares_two_records_and_merges_them(app, team):
    coach, supervisor = team["coach"], team["supervisor"]
    stays = builders.case(coach, "Ines Okafor")
    gone = builders.client(coach, "Ines Okafor", agreed=True, email="ines@example.org")
    builders.screen(coach, gone, sleep="concern")
    browser, of_coach = StaffBrowser(app, supervisor), StaffBrowser(app, coach)
    choose = f"/client/{gone}/merge"
    page, details = f"{choose}/{stays.number}", f"/case/{stays.number}/details"
    assert of_coach.browser.get(choose).status_code == 403
    assert f"/client/{stays.client_id}/merge" in browser.text(details)
    assert "Earlier records" not in browser.text(details)
    assert f'href="{page}"' in browser.text(choose)
    # What only the record that goes has keeps the two apart.
    compared = browser.text(page)
    assert "ines@example.org" in compared
    assert "Only the record that goes has" in compared
    builders.screen(coach, stays.client_id, sleep="concern")
    assert browser.send(page, reason="short").status_code == 422
    answer = browser.send(page, reason="She says that she called twice.")
    assert (answer.status_code, answer.headers["Location"]) == (303, details)
    earlier = f"/case/{stays.number}/earlier-records"
    assert f'href="{earlier}"' in browser.text(details)
    assert "She says that she called twice." in of_coach.text(earlier)
    assert browser.browser.get(page).status_code == 404
