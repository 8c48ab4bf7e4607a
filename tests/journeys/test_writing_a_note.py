"""Writing a note in a real browser: autosave, a conflict with another window, immediate steps in a crisis."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.notes.operations import mark_screening_in_error
from caseapp.domain.notes.queries import get_note
from caseapp.domain.notes.snippet_operations import save_snippet
from caseapp.domain.notes.snippet_schemas import SnippetText
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.queries import lock_screening
from tests.journeys.page_waits import saving, stop_time
from tests.support import builders, staff

pytestmark = pytest.mark.journey


def load_note(actor, note_id):
    db.session.rollback()
    return get_note(actor, note_id)


def sign_in(page, live, who="coach"):
    page.goto(f"{live}/sign-in")
    page.get_by_label("Email").fill(f"{who}@practice.test")
    page.get_by_label("Password").fill(staff.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/today")


@pytest.fixture
def coach(app):
    return staff.team()["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


def test_snippet_goes_behind_a_selection_and_only_into_sections(coach, case, live, page):
    with transaction():
        save_snippet(coach, SnippetText("Breath", "We breathed."), 0)
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    plan = page.get_by_label("Plan", exact=True)
    plan.fill("Walk. ")
    plan.select_text()
    page.get_by_label("Note on the screening").focus()
    page.get_by_text("Snippets", exact=True).click()
    page.get_by_role("button", name="Breath").click()
    expect(plan).to_have_value("Walk. We breathed.")
    expect(page.get_by_label("Note on the screening")).to_have_value("")


def test_draft_autosaves_and_leaves_nothing_in_the_browser(coach, case, live, page):
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    page.get_by_label("Plan", exact=True).fill("Ring on Tuesday.")
    expect(page.locator("[data-save-state]")).to_have_attribute("data-state", "saved")
    expect(page.locator("input[name=version]").first).to_have_value("2")
    assert load_note(coach, note_id).sections["plan"] == "Ring on Tuesday."
    page.get_by_label("Assessment", exact=True).fill("Rested.")
    page.keyboard.press("Control+s")
    expect(page.locator("input[name=version]").first).to_have_value("3")
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    page.get_by_role("button", name="Sign and lock").click()
    page.get_by_role("heading", name="Sign and lock this note?").wait_for()


def test_autosave_from_two_windows_asks_which_version_to_keep(coach, case, live, page):
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    other = page.context.new_page()
    other.goto(f"{live}/note/{note_id}")
    with saving(other, "Rested, in the other window.", "From the other window."):
        other.get_by_label("Assessment", exact=True).fill("Rested, in the other window.")
        other.get_by_label("Plan", exact=True).fill("From the other window.")
    page.get_by_label("Plan", exact=True).fill("From this window.")
    banner = page.locator("[data-conflict]")
    expect(banner).to_be_visible()
    expect(banner).to_contain_text(re.compile(r"at \d\d:\d\d\. What you wrote here at \d\d:\d\d"))
    assert load_note(coach, note_id).sections["plan"] == "From the other window."
    page.get_by_role("button", name="Combine both versions").click()
    # What only the other window changed is taken over; what both changed stands beside.
    page.get_by_text("Saved in the meantime: From the other window.").wait_for()
    assessment = page.get_by_label("Assessment", exact=True)
    expect(assessment).to_have_value("Rested, in the other window.")
    with saving(page, "From this window."):
        page.get_by_role("button", name="Keep this version").click()
    expect(banner).to_be_hidden()
    expect(page.locator("[data-save-state]")).to_have_attribute("data-state", "saved")
    sections = load_note(coach, note_id).sections
    assert sections["plan"] == "From this window."
    assert sections["assessment"] == "Rested, in the other window."


def test_autosave_retries_after_a_lost_connection(coach, case, live, page):
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    page.context.set_offline(True)
    page.get_by_label("Plan", exact=True).fill("Written in a tunnel.")
    expect(page.locator("[data-save-text]")).to_have_text("Not saved. Trying again…")
    page.context.set_offline(False)
    expect(page.locator("[data-save-state]")).to_have_attribute("data-state", "saved")
    assert load_note(coach, note_id).sections["plan"] == "Written in a tunnel."


def test_page_asks_in_place_before_it_saves_a_level_that_opens_a_hold(
    coach, case, live, page, look
):
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    fear, version = page.locator("#fear_at_home"), page.locator("input[name=version]").first
    step = page.get_by_text("Believe the client. Do not advise staying or leaving.").first
    question = page.get_by_role("group", name="This answer opens a safety hold when it is saved.")
    hold = page.locator("[data-opened-hold]")
    expect(step).to_be_hidden()
    fear.get_by_label("None").check()
    expect(version).to_have_value("2")
    fear.get_by_label("Concern").check()
    expect(step).to_be_visible()
    expect(question).to_be_focused()
    look.at("the question")
    # Other words are saved meanwhile, with the level of before.
    page.get_by_label("Plan", exact=True).fill("Ring on Tuesday.")
    expect(version).to_have_value("3")
    note = load_note(coach, note_id)
    assert (note.sections["plan"], note.draft.answers) == (
        "Ring on Tuesday.",
        {"fear_at_home": 0},
    )
    # A button sends nothing before the question is answered.
    page.get_by_role("button", name="Sign and lock").click()
    expect(question).to_be_focused()
    question.get_by_role("button", name="Change").click()
    expect(question).to_be_hidden()
    expect(fear.get_by_label("None")).to_be_focused()
    expect(fear.get_by_label("None")).to_be_checked()
    # With the keyboard, the question waits until the choice is made.
    stop_time(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(fear.get_by_label("Urgent")).to_be_checked()
    page.clock.resume()
    expect(question).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(hold).to_be_focused()
    expect(question).to_be_hidden()
    assert load_note(coach, note_id).draft.answers == {"fear_at_home": 3}
    assert get_safety_state(case.client_id).hold == "safety"
    look.at("the hold")
    hold.get_by_role("link", name="Open the hold").click()
    page.wait_for_url(f"**/case/{case.number}/hold")


def test_level_confirmed_while_another_save_is_on_its_way_is_saved_after_it(
    coach, case, live, page
):
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    page.clock.install()
    held = []

    def hold_back(route):
        held.append(route)

    page.route("**/draft", hold_back, times=1)
    fear = page.locator("#fear_at_home")
    with page.expect_request("**/draft"):
        fear.get_by_label("None").check()
    fear.get_by_label("Urgent").check()
    question = page.get_by_role("group", name="This answer opens a safety hold when it is saved.")
    question.get_by_role("button", name="Yes, save").click()
    expect(question).to_be_hidden()
    page.clock.run_for(10_000)
    assert load_note(coach, note_id).draft.answers == {}
    held[0].continue_()
    expect(page.locator("[data-opened-hold]")).to_be_focused()
    assert load_note(coach, note_id).draft.answers == {"fear_at_home": 3}


def test_page_asks_in_place_before_it_saves_a_circumstance_that_opens_a_hold(
    coach, case, live, page
):
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    pregnant, choked = page.get_by_label("Is pregnant"), page.get_by_label("Has ever been choked")
    version = page.locator("input[name=version]").first
    question = page.get_by_role("group", name="This answer opens a safety hold when it is saved.")
    hold = page.locator("[data-opened-hold]")
    pregnant.check()
    expect(version).to_have_value("2")
    choked.check()
    expect(question).to_be_focused()
    page.get_by_label("Plan", exact=True).fill("Ring on Tuesday.")
    expect(version).to_have_value("3")
    assert load_note(coach, note_id).draft.screening.circumstances == ("pregnancy",)
    question.get_by_role("button", name="Change").click()
    expect(question).to_be_hidden()
    expect(choked).not_to_be_checked()
    expect(pregnant).to_be_checked()
    expect(hold).to_be_hidden()
    choked.check()
    question.get_by_role("button", name="Yes, save").click()
    expect(hold).to_be_focused()
    assert load_note(coach, note_id).draft.screening.circumstances == ("pregnancy", "choking")
    assert get_safety_state(case.client_id).hold == "safety"


def test_level_that_waits_for_an_answer_is_saved_when_the_page_goes_away(coach, case, live, page):
    note_id = builders.draft(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    page.locator("#self_harm").get_by_label("Urgent").check()
    with saving(page, "self_harm=urgent"):
        page.evaluate(
            """() => {
            Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
        )
    assert load_note(coach, note_id).draft.answers == {"self_harm": 3}
    assert get_safety_state(case.client_id).hold == "safety"


def test_note_pages_pass_the_page_checks(coach, case, live, page, look):
    """Look at what `test_staff_day_in_browser` doesn't see."""
    builders.screen(coach, case.client_id, fear_at_home=2, sleep=1)
    signed = builders.note(coach, case.case_id, days_ago=2)
    note_id = builders.draft(coach, case.case_id, levels={"self_harm": 3})
    plain = builders.draft(coach, case.case_id)
    wrong = builders.screen(coach, case.client_id, self_harm=3)
    with transaction():
        mark_screening_in_error(
            coach, lock_screening(coach, wrong), "Wrong key: she was never asked."
        )
    right = builders.screen(coach, case.client_id, sleep=1)
    sign_in(page, live)
    for path in (
        f"/case/{case.number}/screening",
        f"/case/{case.number}/screening/{right}/error",
        f"/case/{case.number}/screening/{wrong}/error",
        f"/case/{case.number}/hold",
        "/today",
        "/notes/new",
        f"/case/{case.number}/notes",
        f"/note/{note_id}",
        f"/note/{signed}",
        f"/note/{signed}/addendum",
        f"/note/{plain}/sign",
    ):
        page.goto(f"{live}{path}")
        look.at(path)
    page.goto(f"{live}/note/{note_id}")
    page.get_by_role("button", name="Sign and lock").click()
    page.get_by_role("heading", name="Complete these before you sign").wait_for()
    expect(page.locator(".error-summary")).to_be_focused()
    look.said.clear()
    look.at("what is missing")
    page.goto(f"{live}/note/{signed}/addendum")
    page.get_by_label("What it is").select_option("correction")
    page.get_by_label("Reason").fill("I wrote the wrong day.")
    page.get_by_label("Session began").fill("2026-01-05T10:15")
    page.get_by_role("button", name="Sign the addendum").click()
    page.get_by_text("I wrote the wrong day.").wait_for()
    look.at("a corrected note")


def test_enter_in_a_field_of_an_addendum_signs_nothing(coach, case, live, page):
    note_id = builders.note(coach, case.case_id)
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}/addendum")
    page.get_by_label("What it is").select_option("in_error")
    page.get_by_label("Reason").fill("Written for another client.")
    for label in ("Minutes", "Session began"):
        page.get_by_label(label).press("Enter")
        page.get_by_text("Nothing is signed yet.").first.wait_for()
    assert load_note(coach, note_id).addenda == ()
    page.get_by_role("button", name="Sign the addendum").click()
    page.get_by_text("This note was entered in error").first.wait_for()
    assert len(load_note(coach, note_id).addenda) == 1
