"""Since when something has lasted, the decision after two weeks, and the trend, in a browser."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from caseapp.domain.practice.queries import today
from tests.journeys.test_browser_day import choose
from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, staff
from tests.support.page_checks import NARROW

pytestmark = [
    pytest.mark.journey,
    # The pages are the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def made(app):
    coach = staff.team()["coach"]
    return coach, builders.case(coach, "Ines Okafor")


def test_reported_day_is_asked_for_from_watch_on_and_saves_itself_in_a_note(live, made, page):
    coach, case = made
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    for path in (f"/case/{case.number}/screening", f"/note/{note_id}"):
        page.goto(f"{live}{path}")
        since = page.get_by_label("Sleep: lasting since")
        expect(since).to_be_hidden()
        choose(page, "Sleep", "Watch")
        expect(since).to_be_visible()
        choose(page, "Sleep", "None")
        expect(since).to_be_hidden()
    choose(page, "Sleep", "Watch")
    day = (today() - timedelta(days=40)).isoformat()
    with page.expect_response(
        lambda answer: (
            answer.url.endswith("/draft")
            and f"lasting_since.sleep={day}" in (answer.request.post_data or "")
        )
    ):
        since.fill(day)
    page.reload()
    expect(page.get_by_label("Sleep: lasting since")).to_have_value(day)


def test_coach_decides_and_reads_the_trend(live, made, page, look):
    coach, case = made
    for days, level in ((30, "watch"), (20, "watch"), (3, "watch")):
        builders.screen(coach, case.client_id, days_ago=days, sleep=level, eating=level)
    builders.note(coach, case.case_id, days_ago=5)
    sign_in(page, live)
    look.at("today with a proposed concern")
    page.get_by_role("link", name="Decide about Ines Okafor").click()
    look.at("decision")
    sleep = page.get_by_role("group", name="Sleep", exact=True).last
    sleep.get_by_label("It is not a concern").check()
    sleep.get_by_label("Sleep: reason").fill("Too short.")
    page.get_by_role("button", name="Record decision").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "Write why this is not a concern, in 20 characters or more."
    )
    look.said.clear()
    look.at("decision without a reason")
    sleep.get_by_label("Sleep: reason").fill("Two short nights before an exam, well otherwise.")
    page.get_by_role("group", name="Eating", exact=True).last.get_by_label(
        "It is a concern"
    ).check()
    page.get_by_role("button", name="Record decision").click()
    page.wait_for_url("**/hold")

    page.goto(f"{live}/case/{case.number}")
    expect(page.get_by_text("Worse: Eating, from Watch to Concern since")).to_be_visible()
    look.at("case with a trend")
    page.get_by_text("The trend as a table").click()
    expect(page.get_by_role("cell", name="Care hold opened")).to_be_visible()
    look.at("case with the trend as a table")
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    chart = page.locator("figure.chart").first
    assert chart.evaluate("figure => figure.scrollWidth <= figure.clientWidth")
    look.said.clear()
