"""A day in a real browser: intake, session, hold, handout on the client's phone, admin report."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from caseapp.core import mail, outbox
from caseapp.core.database import db
from tests.journeys.page_waits import saving
from tests.support import builders, staff
from tests.support.page_checks import PHONE, Look

NEUTRAL_SITE = "https://www.wikipedia.org/"


@pytest.fixture
def looking(app):
    """Check the look of every page on one database only; the other runs the same steps without it."""
    return app and db.engine.dialect.name == "sqlite"


class Person:
    """A person with their own browser."""

    def __init__(self, browser, live, *, looking, phone=False):
        """Open a window, on a desk or on a phone."""
        width, height = PHONE if phone else (1440, 900)
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, has_touch=phone
        )
        self.page = self.context.new_page()
        self.live, self.looking = live, looking
        self.look = Look(self.page)

    def go(self, path):
        """Open an address."""
        return self.page.goto(self.live + path)

    def see(self, name):
        """Look at the page from every side, unless this is the walk without stops."""
        if self.looking:
            size = self.page.viewport_size
            self.look.at(name)
            self.page.set_viewport_size(size)

    def press(self, name, **more):
        """Press a button."""
        self.page.get_by_role("button", name=name, **more).click()

    def follow(self, name, **more):
        """Follow the first link of that name."""
        self.page.get_by_role("link", name=name, **more).first.click()

    def sign_in(self, actor):
        """Sign in through the form."""
        self.go("/sign-in")
        self.page.get_by_label("Email").fill(staff.email_of(actor))
        self.page.get_by_label("Password").fill(staff.PASSWORD)
        self.press("Sign in")
        self.page.wait_for_url("**/today")


def choose(page, question, level):
    """Answer one screening item."""
    page.locator("fieldset", has=page.locator("legend", has_text=question)).get_by_label(
        level, exact=True
    ).check(force=True)


def answer_all(page, level="None", **but):
    """Answer every item with `level` except those in the keyword arguments."""
    for question in page.locator("fieldset.seg").all():
        question.get_by_label(level, exact=True).check(force=True)
    for question, other in but.items():
        choose(page, question, other)


def last_link():
    """Return the link in the newest mail."""
    outbox.sweep()
    newest = max(mail.mail_folder().glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    return re.search(r"(/portal/enter/[\w-]+)", newest.read_text())[1]


@pytest.mark.journey
def test_staff_day_in_browser(app, live, browser, looking):
    team = staff.team()
    coach = Person(browser, live, looking=looking)
    coach.sign_in(team["coach"])
    coach.see("today, empty")
    page = coach.page

    # Intake, with a mistake first: nothing that was typed is lost.
    coach.follow("Add a client")
    page.get_by_label("Full name").fill("Ines Okafor")
    page.get_by_label("Pronouns").fill("she/her")
    coach.press("Add client")
    expect(page.get_by_role("alert")).to_contain_text("Ask which ways are safe")
    expect(page.get_by_label("Full name")).to_have_value("Ines Okafor")
    coach.look.said.clear()
    coach.see("intake with a mistake")
    coach.look.said.clear()
    page.locator("#email").fill("ines@example.test")
    for way in ("Email", "Portal"):
        page.locator("#safe_channels").get_by_label(way, exact=True).check()
    page.get_by_label("Consent given on").fill("2026-01-12")
    page.get_by_label("How it was given").select_option("written")
    coach.press("Add client")
    page.wait_for_url("**/case/C-*")
    number = page.url.rsplit("/", 1)[1].split("#")[0].split("?")[0]
    coach.see("case, new")
    for tab in (
        "notes",
        "screening",
        "handouts",
        "follow-ups",
        "details",
        "stage",
        "hold",
        "close",
        "invite",
    ):
        coach.go(f"/case/{number}/{tab}")
        coach.see(f"case {tab}, new")

    # A session: the draft saves itself; a concern in it is only words until it is recorded.
    coach.go(f"/case/{number}/notes/new")
    coach.see("note, new")
    coach.press("Start")
    page.wait_for_url("**/note/*")
    page.get_by_label("Data").fill("Sleeps three hours a night since the letter came.")
    page.get_by_label("Assessment").fill("Worn out. Safe at home.")
    answer_all(page, Sleep="Concern")
    with saving(page, "asked_alone=yes", "sleep=concern") as saved:
        page.get_by_label(re.compile("asked alone")).check()
    assert saved.value.ok
    expect(page.locator("[data-save-state]")).to_contain_text("Saved at")
    expect(page.locator("[data-save-state]")).to_have_attribute("data-state", "saved")
    coach.see("note, draft with a concern")
    coach.go("/today")
    expect(page.get_by_text("Not recorded yet")).to_be_visible()
    coach.see("today with an unrecorded concern")
    page.get_by_role("link", name=re.compile("Record screening")).first.click()
    coach.press("Record screening")
    expect(page.get_by_text("Care hold").first).to_be_visible()
    coach.see("after recording")

    # Signing asks for what is missing, then locks.
    coach.go("/notes")
    coach.see("notes")
    page.get_by_role("link", name=re.compile("Ines Okafor|Session|Finish")).last.click()
    page.wait_for_url("**/note/*")
    coach.press("Sign and lock")
    expect(page.get_by_role("alert").first).to_contain_text("plan", ignore_case=True)
    coach.look.said.clear()
    page.get_by_role("textbox", name="Plan").fill("Doctor this week; ring on Friday.")
    coach.press("Sign and lock")
    page.get_by_role("heading", name="Sign and lock this note?").wait_for()
    coach.see("sign, confirm")
    coach.press("Sign and lock")
    expect(page.get_by_text("can no longer be changed").first).to_be_visible()
    coach.see("note, signed")

    # The hold stops the stage and the handouts that do not suit, with reasons.
    coach.go(f"/case/{number}")
    coach.see("case with a care hold")
    coach.go(f"/case/{number}/hold")
    coach.see("hold")
    coach.go(f"/case/{number}/stage")
    coach.press(re.compile("Move to Understand"))
    expect(page.get_by_text("A care hold is open").first).to_be_visible()
    coach.look.said.clear()
    coach.see("stage, refused")
    coach.look.said.clear()
    coach.go(f"/case/{number}/handouts/assign?stage=")
    expect(page.locator("#o-reaching-out")).to_have_count(0)
    coach.see("assign")
    page.locator("#o-help-right-now").check()
    page.locator("#o-better-nights").check()
    page.get_by_label("Your message").fill("The log on page two is the part to start with.")
    coach.press("Assign handouts")
    expect(page.get_by_text("Handouts assigned.")).to_be_visible()
    coach.see("case handouts")
    coach.go("/handouts")
    coach.see("library")
    coach.go("/handouts/better-nights")
    coach.see("handout")
    coach.go("/handouts/sources")
    coach.see("sources")
    for path in (
        "/cases",
        "/follow-ups",
        "/help/levels",
        "/help/keys",
        "/protocol",
        f"/case/{number}/follow-ups",
        f"/case/{number}/screening",
    ):
        coach.go(path)
        coach.see(path)

    # The client, on a phone.
    coach.go(f"/case/{number}/invite")
    coach.press("Invite Ines")
    code = page.locator("#start-code").inner_text()
    coach.see("invitation")
    ines = Person(browser, live, looking=looking, phone=True)
    ines.go("/portal/sign-in")
    ines.see("portal sign-in")
    ines.go(last_link())
    ines.see("portal link")
    ines.press("Open it now")
    ines.page.get_by_label("Start code").fill(code)
    ines.page.get_by_label("Choose a PIN").fill("482913")
    ines.page.get_by_label("Repeat your PIN").fill("482913")
    ines.see("portal PIN")
    ines.press("Save PIN")
    expect(ines.page.get_by_role("button", name="Go to my reading list")).to_be_visible()
    ines.see("portal first visit")
    ines.press("Go to my reading list")
    expect(ines.page.get_by_role("heading", name="Hello Ines")).to_be_visible()
    assert ines.page.title() == "Reading list"
    ines.see("reading list")
    ines.page.get_by_role("link", name="Open When sleep won’t come").click()
    expect(ines.page.get_by_text("The log on page two")).to_be_visible()
    ines.see("worksheet")
    with ines.page.expect_download() as download:
        ines.page.get_by_role("link", name="Save PDF").first.click()
    assert re.fullmatch(r"reading-\d+\.pdf", download.value.suggested_filename)
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    ines.press("I have read this")
    expect(ines.page.get_by_role("heading", name="Already read")).to_be_visible()
    for path in ("/portal/safety", "/portal/privacy"):
        ines.go(path)
        ines.see(path)

    # Leave now: the neutral site at once, and Back shows nothing of the list.
    ines.go("/portal")
    ines.page.route(NEUTRAL_SITE, lambda route: route.fulfill(body="Elsewhere"))
    ines.page.get_by_role("link", name="Leave now").click()
    ines.page.wait_for_url(NEUTRAL_SITE)
    ines.page.go_back()
    expect(ines.page.get_by_text("Hello Ines")).to_have_count(0)

    coach.go(f"/case/{number}")
    expect(page.get_by_text("Handout read").first).to_be_visible()

    # Another client is steady enough to move on.
    ready = builders.steady_case(team["coach"], "Daniel Brandt")
    db.session.remove()
    coach.go(f"/case/{ready.number}/stage")
    for box in page.get_by_label("What you saw or heard").all():
        box.fill("Told me so on the phone, with an example.")
    coach.press(re.compile("Move to Understand"))
    expect(page.get_by_text("Stage changed.")).to_be_visible()
    coach.go("/today")
    coach.see("today")

    supervisor = Person(browser, live, looking=looking)
    supervisor.sign_in(team["supervisor"])
    supervisor.see("today of a supervisor")
    supervisor.go(f"/case/{number}/hold")
    expect(
        supervisor.page.get_by_text("no full screening with every level at None or Watch").first
    ).to_be_visible()
    supervisor.see("hold of a supervisor")

    admin = Person(browser, live, looking=looking)
    admin.sign_in(team["admin"])
    admin.see("today of an admin")
    admin.go("/reports")
    admin.see("reports, empty")
    for words, ending in (("CSV", ".csv"), ("PDF", ".pdf")):
        admin.go("/reports")
        admin.page.get_by_label("File format").select_option(ending[1:])
        admin.press("Create report")
        with admin.page.expect_download() as download:
            admin.page.get_by_role("button", name=f"Download {words}").first.click()
        assert download.value.suggested_filename.endswith(ending)
        assert "Okafor" not in download.value.path().read_bytes().decode("latin-1")
    admin.see("reports")
    for path in ("/log", "/settings", "/settings/numbers", "/people", "/handouts"):
        admin.go(path)
        admin.see(f"admin {path}")
    admin.go("/log?action=report.export")
    expect(admin.page.get_by_role("table")).to_contain_text("Created or downloaded a report")
    admin.go("/cases")
    expect(admin.page.get_by_role("heading", level=1)).to_have_text(
        "Your role doesn’t include this"
    )
