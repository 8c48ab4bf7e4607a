"""Days that turn on safety, in a real browser: an alert reaches the deputy, an order comes to light, a hold ends."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from itertools import pairwise

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from caseapp.core import outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.models import Case, CaseEvent
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.followups.queries import list_client_followups
from tests.domain.alerts.steps import add_deputies
from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, followups, portal_client, staff

pytestmark = [
    pytest.mark.journey,
    # The pages are the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def sign_in_to_portal(page, live, found):
    page.goto(f"{live}/portal/sign-in")
    page.get_by_label("The code on your card").fill(found.card_code)
    page.get_by_role("button", name="Use the card").click()
    page.get_by_label("Your six digits").fill(portal_client.PIN)
    page.get_by_role("button", name="Open my reading list").click()
    page.wait_for_url("**/portal")


def test_deputy_acknowledges_an_alert_while_the_supervisor_is_away(app, live, page, look):
    coach = add_deputies(staff.team())["coach"]
    with at(now() - timedelta(minutes=35)):
        made = builders.case(coach, "Ines Okafor")
        builders.screen(coach, made.client_id, self_harm="urgent")
    outbox.sweep()
    db.session.remove()
    sign_in(page, live, "supervisor3")
    look.at("Today of a deputy with an alert")
    page.get_by_role("link", name="Ines Okafor").first.click()
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    look.at("the alert of a deputy")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    # The alert opens nothing else about the client.
    assert page.request.get(f"{live}/case/{made.number}").status == HTTPStatus.NOT_FOUND
    page.context.clear_cookies()
    sign_in(page, live, "coach")
    page.goto(f"{live}/case/{made.number}/hold")
    expect(page.get_by_text("Priya Nair").first).to_be_visible()
    assert look.said == []


def move_to_contact(coach, found):
    """Move a case to the fourth stage, as if every criterion on the way had been met."""
    way = ("steady", "understand", "rebuild", "contact")
    with transaction() as session:
        session.execute(sa.update(Case).where(Case.id == found.case_id).values(stage=way[-1]))
        session.add_all(
            CaseEvent(
                case_id=found.case_id,
                client_id=found.client_id,
                kind="moved",
                from_stage=before,
                to_stage=after,
                occurred_at=now(),
                recorded_by=coach.id,
            )
            for before, after in pairwise(way)
        )


def test_order_that_comes_to_light_ends_what_is_about_contact(app, live, page, look):
    coach = staff.team()["coach"]
    _, found = portal_client.sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    move_to_contact(coach, found)
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, found.case_id),
            "reaching-out",
            message="",
            channel="portal",
            confirmed=True,
        )
    number = db.session.scalar(sa.select(Case.number).where(Case.id == found.case_id))
    db.session.remove()
    sign_in_to_portal(page, live, found)
    expect(page.get_by_role("link", name="Open Before you press send")).to_be_visible()
    page.context.clear_cookies()
    sign_in(page, live, "coach")
    page.goto(f"{live}/case/{number}/details")
    page.locator("#order").select_option("protects_spouse")
    with page.expect_navigation():
        page.get_by_role("button", name="Save case").click()
    page.goto(f"{live}/case/{number}")
    look.at("a case in which contact is barred")
    page.get_by_role("link", name="Move the case back").click()
    look.at("a stage about contact while it is barred")
    expect(page.get_by_label("Why", exact=True)).to_have_value(
        "Contact with the spouse is blocked for now."
    )
    with page.expect_navigation():
        page.get_by_role("button", name="Move back").click()
    expect(page.get_by_role("link", name="Move the case back")).to_have_count(0)
    page.context.clear_cookies()
    sign_in_to_portal(page, live, found)
    expect(page.get_by_role("link", name="Open Before you press send")).to_have_count(0)
    assert look.said == []


def record_result(page, title, result):
    task = page.locator("li", has_text=title).filter(has=page.locator("details")).first
    task.locator("summary").click()
    task.get_by_label("Result").select_option(result)
    task.get_by_label("How").select_option("call")
    task.get_by_label("Note").fill("We spoke at length, and she is well.")
    with page.expect_navigation():
        task.get_by_role("button", name="Record result").click()
    expect(page.get_by_text("Result recorded.")).to_be_visible()


def test_release_is_refused_for_four_reasons_and_then_granted(app, live, page, look):
    team = staff.team()
    coach, supervisor = team["coach"], team["supervisor"]
    begin = now() - timedelta(days=9)
    with at(begin):
        made = builders.case(coach, "Ines Okafor")
        builders.screen(coach, made.client_id, self_harm="urgent")
    for hours in (1, 25, 73, 8 * 24):
        with at(begin + timedelta(hours=hours)):
            for task in list_client_followups(coach, made.client_id, open_only=True):
                is_early = task.not_before_at is not None and task.not_before_at > now()
                left = {"safety_7d", "referral_outcome", "plan_review"}
                if task.kind not in left and not is_early:
                    followups.complete(coach, task.id)
    builders.screen(supervisor, made.client_id, asked_alone=False)
    db.session.remove()
    sign_in(page, live, "supervisor")
    page.goto(f"{live}/case/{made.number}/hold")
    look.at("a hold that can’t be released yet")
    ends = page.locator(".hold-end li")
    expect(ends).to_have_count(4)
    for text in ("was not alone", "7-day safety check", "how the referral went", "recorded"):
        expect(ends.filter(has_text=text)).to_have_count(1)
    expect(page.get_by_role("button", name="Release the safety hold")).to_have_count(0)
    page.context.clear_cookies()
    sign_in(page, live, "coach")
    page.goto(f"{live}/case/{made.number}/hold")
    record_result(page, "7-day safety check", "reached")
    record_result(page, "Find out how the referral went", "done")
    page.goto(f"{live}/case/{made.number}/screening")
    for item in page.locator("fieldset.seg").all():
        item.get_by_label("None", exact=True).check(force=True)
    page.locator("input[name=asked_alone]").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Record screening").click()
    page.context.clear_cookies()
    sign_in(page, live, "supervisor")
    page.goto(f"{live}/case/{made.number}/hold")
    page.get_by_label("Why it is safe to continue").fill(
        "She sleeps, has her plan, and named two people she rings."
    )
    look.at("a hold that can be released")
    page.get_by_role("button", name="Release the safety hold").click()
    expect(page.get_by_text("Hold released.")).to_be_visible()
    assert look.said == []
