"""The people of a practice in a real browser: from its first admin to a coach who has left, and who may be coached."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

import pyotp
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from playwright.sync_api import expect

from caseapp.cli.commands import caseapp
from caseapp.cli.context import CommandContext
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.sessions import Session
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Case
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import today
from caseapp.domain.staffing.transfer_operations import accept_transfer
from caseapp.domain.staffing.transfer_queries import list_transfers, lock_transfer
from caseapp.http import openid
from tests.domain.worksheets import sample_files
from tests.journeys.test_browser_day import Person
from tests.journeys.test_passkeys import DEVICE
from tests.journeys.test_writing_a_note import sign_in
from tests.portal.portal_handout import CANARY, assign, case_number, write
from tests.support import builders, portal_client, staff
from tests.support.openid_provider import NAME, SampleProvider

pytestmark = [
    pytest.mark.journey,
    # The pages are the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
CASES = 40


@pytest.fixture
def provider(app, live):
    """Serve an OpenID provider on another site than the application, whose name is that of the server."""
    use_settings(replace(active_settings(), base_url=live))
    made = SampleProvider(openid.return_address())
    with made.running():
        made.use()
        yield made


class Member(Person):
    """Somebody on the staff, with their own browser."""

    def __init__(self, browser, live, who):
        """Open a window for one of the sample staff."""
        super().__init__(browser, live, looking=True)
        self.name, self.email = staff.NAMES[who], f"{who}@practice.test"

    def enter_password(self):
        """Send the sign-in form."""
        self.go("/sign-in")
        self.page.get_by_label("Email").fill(self.email)
        self.page.get_by_label("Password").fill(staff.PASSWORD)
        self.press("Sign in", exact=True)

    def accept_invitation(self, code):
        """Choose a password with a printed code, and sign in with it."""
        self.go("/sign-in")
        self.follow("Forgotten your password, or got a code?")
        self.follow("I have a code")
        self.page.get_by_label("Code").fill(code)
        self.page.get_by_label("New password").fill(staff.PASSWORD)
        self.press("Set the password")
        self.page.wait_for_url("**/sign-in")
        self.enter_password()

    def keep_recovery_codes(self):
        """Read the recovery codes, which are shown once."""
        self.page.get_by_role("heading", name="Recovery codes", level=1).wait_for()
        codes = self.page.locator("li.code").all_inner_texts()
        self.follow("Done, hide the codes")
        return codes


def make_first_admin(app, data_dir, admin):
    """Add the first admin as whoever installs the application does."""
    environ = {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(data_dir)}
    arguments = ["user", "add", admin.email, "--name", admin.name, "--role", "admin"]
    context = CommandContext(lambda _settings: app, environ)
    db.session.remove()
    done = CliRunner().invoke(caseapp, arguments, input=f"{staff.PASSWORD}\n", obj=context)
    assert done.exit_code == 0, done.output
    # As it begins in production.
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=["supervisor", "admin"]))
    db.session.remove()


def set_up_app(admin):
    """Follow the way to the second factor, and set up an app with codes; return the recovery codes."""
    page = admin.page
    admin.enter_password()
    page.wait_for_url("**/account/second-factor")
    admin.see("second factor")
    secret = page.locator(".code").first.inner_text().replace(" ", "")
    page.get_by_label("Code that the app shows now").fill(pyotp.TOTP(secret).now())
    admin.press("Set up", exact=True)
    return admin.keep_recovery_codes()


def invite(admin, member, role, supervisor=None):
    """Invite somebody without mail, and return the code to hand over."""
    page = admin.page
    admin.go("/people/invite")
    page.get_by_label("Name", exact=True).fill(member.name)
    page.get_by_label("Email address").fill(member.email)
    page.get_by_label("Role", exact=True).select_option(role)
    if supervisor:
        page.get_by_label("Supervisor", exact=True).select_option(label=supervisor)
    page.get_by_label("How they get the invitation").select_option("code")
    admin.press("Invite", exact=True)
    page.get_by_role("heading", name=f"Code for {member.name}").wait_for()
    return page.locator(".print-card .code").inner_text()


def use_passkey(supervisor):
    """Set up a passkey, and sign in with it instead of the password."""
    devices = supervisor.context.new_cdp_session(supervisor.page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    supervisor.page.get_by_label("Name of the passkey").fill("Work laptop")
    supervisor.press("Add a passkey")
    assert len(supervisor.keep_recovery_codes()) == 10
    supervisor.context.clear_cookies()
    supervisor.go("/sign-in")
    supervisor.press("Sign in with a passkey")
    supervisor.page.wait_for_url("**/today")


def use_single_sign_on(coach, provider):
    """Link the account at the provider, and sign in there instead of with the password."""
    coach.go("/account")
    coach.press(f"Link my account at {NAME}")
    provider.moment = now()
    coach.follow(f"Go to {NAME}")
    coach.page.get_by_text("Account linked.").wait_for()
    coach.press("Sign out", exact=True)
    provider.moment = now()
    coach.follow(f"Sign in with {NAME}")
    coach.page.wait_for_url("**/today")
    db.session.rollback()
    newest = sa.select(Session.method).order_by(Session.created_at.desc())
    assert db.session.scalar(newest.limit(1)) == "provider"


def arrange_cover(coach, colleague):
    """Arrange cover for all clients, and say what to know about one."""
    page = coach.page
    coach.go("/cover")
    coach.follow("Arrange cover for my clients")
    page.get_by_label(f"All clients ({CASES})").check()
    page.get_by_label("Who will cover").select_option(label=colleague.name)
    page.get_by_label("First day").fill(today().isoformat())
    page.get_by_label("Last day").fill((today() + timedelta(days=1)).isoformat())
    coach.press("Arrange cover", exact=True)
    row = page.get_by_role("listitem").filter(has_text="Ines Okafor").first
    row.locator("summary").click()
    row.get_by_label("What the covering colleague should know").fill("Prefers to be rung.")
    with page.expect_navigation():
        row.get_by_role("button", name="Save").click()


def work_as_cover(colleague):
    """Read the page of the cover, and open the record of one client from it."""
    page = colleague.page
    colleague.enter_password()
    colleague.follow("See the clients of Marta Lindqvist")
    page.get_by_text(f"{CASES} of {CASES}").wait_for()
    expect(page.get_by_text("Safety hold", exact=True)).to_have_count(2)
    expect(page.get_by_text("Prefers to be rung.")).to_be_visible()
    colleague.see("the clients of a cover")
    colleague.follow("Ines Okafor", exact=True)
    expect(page.get_by_role("heading", name="Ines Okafor", level=1)).to_be_visible()


def offer_all(coach, colleague):
    """Offer every case to a colleague."""
    page = coach.page
    coach.go("/transfers")
    coach.follow("Offer my cases")
    page.get_by_label(f"All clients ({CASES})").check()
    page.get_by_label("Colleague", exact=True).select_option(label=colleague.name)
    page.get_by_label("Why", exact=True).select_option("leaving")
    coach.press("Offer", exact=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("Transfers")


def decide(colleague, actor):
    """Decline one case and accept another in the browser, and accept the rest."""
    page = colleague.page
    colleague.go("/transfers")
    colleague.see("offered cases")
    for choice in ("Decline.*Mara Lind", "Accept.*Ines Okafor"):
        with page.expect_navigation():
            colleague.press(re.compile(choice))
    db.session.rollback()
    for found in [found for found in list_transfers(actor) if found.may_decide]:
        with transaction():
            accept_transfer(actor, lock_transfer(actor, found.id))
    db.session.remove()


def test_practice_from_its_first_admin_to_a_coach_who_has_left(
    app, live, browser, data_dir, provider
):
    admin, supervisor, coach, colleague = (
        Member(browser, live, who) for who in ("admin", "supervisor", "coach", "coach2")
    )
    make_first_admin(app, data_dir, admin)
    recovery_codes = set_up_app(admin)
    supervisor.accept_invitation(invite(admin, supervisor, "supervisor"))
    supervisor.page.wait_for_url("**/account/second-factor")
    use_passkey(supervisor)
    coach.accept_invitation(invite(admin, coach, "coach", supervisor.name))
    admin.see("the code of an invitation")
    coach.page.wait_for_url("**/today")
    use_single_sign_on(coach, provider)
    # The admin's phone is lost.
    admin.context.clear_cookies()
    admin.enter_password()
    admin.page.get_by_label("Code", exact=True).fill(recovery_codes[0])
    admin.press("Sign in", exact=True)
    admin.page.wait_for_url("**/today")

    for who in ("coach2", "coach3"):
        staff.add(who, role="coach", supervisor="supervisor")
    team = staff.find_team()
    names = ["Ines Okafor", "Tomasz Held", "Mara Lind", *[None] * (CASES - 3)]
    cases = [builders.case(team["coach"], name) for name in names]
    for made in cases[:2]:
        builders.screen(team["coach"], made.client_id, self_harm="urgent")
    db.session.remove()
    arrange_cover(coach, colleague)
    work_as_cover(colleague)

    offer_all(coach, colleague)
    coach.go(f"/case/{cases[0].number}")
    decide(colleague, team["coach2"])
    with coach.page.expect_navigation() as clicked:
        coach.page.get_by_role("navigation", name="Case").get_by_role("link", name="Notes").click()
    assert clicked.value.status == HTTPStatus.NOT_FOUND
    supervisor.go("/hand-over")
    supervisor.follow("Marta Lindqvist")
    row = supervisor.page.get_by_role("listitem").filter(has_text="Mara Lind")
    row.get_by_label("Who takes over").select_option(label="Coach3")
    row.get_by_role("button", name="Hand over").click()
    supervisor.page.get_by_text("Nothing is left to hand over.").wait_for()
    admin.go(f"/people/{team['coach'].id}")
    admin.press("Disable", exact=True)
    admin.page.get_by_text("No access since").wait_for()
    coach.go("/today")
    coach.page.wait_for_url("**/sign-in*")
    provider.moment = now()
    coach.follow(f"Sign in with {NAME}")
    coach.page.get_by_role("heading", name="That didn’t work", level=1).wait_for()
    db.session.rollback()
    coaches = Counter(db.session.scalars(sa.select(Case.coach_id)))
    assert coaches[team["coach2"].id] == CASES - 1
    assert len(coaches) == 2
    assert team["coach"].id not in coaches


def test_spouse_is_found_under_a_name_that_is_written_differently(app, live, page):
    team = staff.team()
    builders.client(team["coach2"], "Ольга Петрова")
    sign_in(page, live)
    page.goto(f"{live}/cases/new")
    page.get_by_label("Full name").fill("Ivan Petrov")
    page.get_by_label("Spouse’s or partner’s name").fill("Petrova Olga")
    page.locator("input[name=safe_channels]").first.check()
    page.get_by_role("button", name="Add client").click()
    page.get_by_text("Talk to your supervisor before saving.").first.wait_for()
    assert "Ольга" not in page.content()
    assert "Jonas Adler" not in page.content()
    page.get_by_role("button", name="Ask your supervisor").click()
    page.wait_for_url("**/intakes**")
    page.context.clear_cookies()
    sign_in(page, live, "supervisor")
    page.goto(f"{live}/intakes")
    page.get_by_role("link", name="Ivan Petrov").click()
    page.get_by_text("Ольга Петрова (coach: Jonas Adler)").wait_for()
    page.get_by_label("Can this person be coached here?").select_option("no")
    page.get_by_role("button", name="Record the decision").click()
    page.get_by_text("This person can’t be coached here").wait_for()
    page.context.clear_cookies()
    sign_in(page, live)
    page.goto(f"{live}/intakes")
    page.get_by_role("link", name="Ivan Petrov").click()
    page.get_by_text("You can’t open this case").wait_for()
    assert "Ольга" not in page.content()


def use_codes(page, live, card_code, start_code, pin):
    """Come into the portal with a card, a start code and a PIN that one chooses."""
    page.goto(f"{live}/portal/sign-in")
    page.get_by_label("The code on your card").fill(card_code)
    page.get_by_role("button", name="Use the card").click()
    page.get_by_label("Start code").fill(start_code)
    page.get_by_label("Choose a PIN").fill(pin)
    page.get_by_label("Repeat your PIN").fill(pin)
    page.get_by_role("button", name="Save PIN").click()


def test_coach_who_tries_to_become_a_client_reads_no_word_of_theirs(app, live, page):
    """One person gets half of the new codes; with both halves, private writing stays locked, and the client sees it."""
    coach = staff.team()["coach"]
    visitor, found = portal_client.sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    assign(coach, found, sample_files.PAUSE)
    write(visitor, what_happened=CANARY)
    invitation = f"{live}/case/{case_number(found)}/invite"
    sign_in(page, live)
    page.goto(invitation)
    page.get_by_label("Why Ines needs new codes").select_option("lost")
    page.get_by_role("button", name="Create new codes").click()
    start_code = page.locator("#start-code").inner_text()
    expect(page.locator("#card-code")).to_have_count(0)
    page.goto(invitation)
    page.get_by_text("nobody here may have both").first.wait_for()
    expect(page.get_by_role("button", name="Make the card")).to_have_count(0)
    # Somebody believes the coach, makes the card and gives it to them.
    page.context.clear_cookies()
    sign_in(page, live, "supervisor")
    page.goto(invitation)
    page.get_by_role("button", name="Make the card").click()
    card_code = page.locator("#card-code").inner_text()
    expect(page.locator("#start-code")).to_have_count(0)
    page.context.clear_cookies()
    use_codes(page, live, card_code, start_code, "739182")
    page.wait_for_url("**/portal")
    page.goto(f"{live}/portal/h/1")
    page.get_by_text("What you wrote before you got new codes is locked.").first.wait_for()
    assert CANARY not in page.content()
    # Whose list it is reads who made the codes, and that they came in.
    page.goto(f"{live}/portal/privacy")
    page.get_by_text("Your codes were made by Marta on").wait_for()
    assert visitor.get("/portal").status_code == HTTPStatus.SEE_OTHER
