"""Words typed in a browser survive whatever happens to session, network and server, and are saved exactly once.

Each round types a word of its own into a form, sends the form, and breaks something at a random moment. Then everything
works again, and the person does what a person would do: sign in where asked, go on, press the button again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Error

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.sessions import Session
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import get_own_assignment
from caseapp.domain.clients.models import Client
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.notes.queries import get_note
from caseapp.domain.worksheets.queries import get_client_worksheet
from tests.journeys.test_worksheet_autosave import invite_with_worksheet
from tests.support import builders, depth, portal_client, staff
from tests.support.depth import times
from tests.support.served import serving

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.journey,
    pytest.mark.fault,
    # The browser behaves the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

ROUNDS = 1 if depth.ROUNDS == 1 else times(5)
LONGEST_WAIT_MS = 2500
# Each try ends at most one trouble, and at most three happen at once.
TRIES = 12
QUIET_TRIES = 400


def fill_nothing_else(_page):
    """Leave the other fields as they are."""


def sign_in_as_coach(page):
    """Fill in the staff's sign-in page."""
    page.get_by_label("Email").fill("coach@practice.test")
    page.get_by_label("Password").fill(staff.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


@dataclass(frozen=True)
class Target:
    """A form: its page, the field to type into, its button, how often a word is stored, and how to sign in."""

    path: str
    field: str
    button: str
    count: Callable[[str], int]
    fill: Callable[[Any], None] = fill_nothing_else
    sign_in: Callable[[Any], None] = sign_in_as_coach
    sign_in_path: str = "/sign-in"


@pytest.fixture
def targets(app):
    """Give a coach's forms of every kind: with drafts, with a record behind it, and one that saves itself."""
    coach = staff.team()["coach"]
    made = builders.case(coach, "Noor Haddad")
    note_id = builders.draft(coach, made.case_id)
    invited = invite_with_worksheet(coach)
    visitor = app.test_client()
    portal_client.use_card(visitor, invited.card_code)
    portal_client.choose_pin(visitor, invited.start_code)
    first = visitor.get("/portal/first")
    visitor.post("/portal/first", data={"csrf_token": staff.csrf(first)})
    client = portal_client.reader(invited.client_id, "Ines")

    def sign_in_as_client(page):
        page.get_by_label("The code on your card").fill(invited.card_code)
        page.get_by_role("button", name="Use the card").click()
        page.get_by_label("Your six digits").fill(portal_client.PIN)
        page.get_by_role("button", name="Open my reading list").click()
        page.wait_for_url(lambda url: url.endswith("/portal"))

    def count_clients(word):
        return db.session.scalar(sa.select(sa.func.count()).where(Client.name == word))

    def count_preferred_names(word):
        found = sa.select(sa.func.count()).where(Client.preferred_name == word)
        return db.session.scalar(found)

    def count_followups(word):
        found = list_client_followups(coach, made.client_id, limit=10_000)
        return [task.title for task in found].count(word)

    def count_notes(word):
        return int(get_note(coach, note_id).sections["plan"] == word)

    def count_answers(word):
        answers = get_client_worksheet(client, get_own_assignment(client, 1)).answers
        return int(answers.get("what_happened") == word)

    due = f"{now() + timedelta(days=3):%Y-%m-%dT%H:%M}"
    return {
        "intake": Target(
            "/cases/new",
            "#name",
            "Add client",
            count_clients,
            lambda page: page.locator("input[name=safe_channels]").first.check(),
        ),
        "details": Target(
            f"/case/{made.number}/details", "#preferred_name", "Save client", count_preferred_names
        ),
        "follow-up": Target(
            f"/case/{made.number}/follow-ups",
            "#title",
            "Add follow-up",
            count_followups,
            lambda page: page.locator("#due_at").fill(due),
        ),
        "note": Target(f"/note/{note_id}", "#plan", "Save draft", count_notes),
        "worksheet": Target(
            "/portal/h/1",
            "#answer_what_happened",
            "Save",
            count_answers,
            sign_in=sign_in_as_client,
            sign_in_path="/portal/sign-in",
        ),
    }


class Round:
    """One word, one form, and what happens to both."""

    def __init__(self, page, served, target, word, chance):
        """Take what the round needs; `chance` decides every moment."""
        self.page, self.served, self.target, self.word = page, served, target, word
        self.chance, self.base, self.log = chance, f"http://localhost:{served.port}", []
        self.under_way: set = set()
        page.on("request", self.note)
        for ended in ("requestfinished", "requestfailed"):
            page.on(ended, self.forget)

    def note(self, request):
        self.under_way.add(request)

    def forget(self, request):
        self.under_way.discard(request)

    def wait_until_quiet(self):
        """Wait until nothing is on its way to the server any more, as somebody who looks at the page would.

        Of what outlives its page, the browser never says that it has ended.
        """
        self.page.wait_for_timeout(500)
        for _ in range(QUIET_TRIES):
            if not self.under_way:
                return
            self.page.wait_for_timeout(50)
        self.under_way.clear()

    def count(self):
        """Count how often the word is stored."""
        db.session.rollback()
        return self.target.count(self.word)

    def button(self):
        """Find the button that sends the form; a note has a hidden one of the same name before."""
        return self.page.get_by_role("button", name=self.target.button, exact=True).last

    def holds_the_word(self, field):
        """Return whether the word stands in its field, or has just been stored."""
        try:
            return field.input_value() == self.word or self.count() > 0
        except Error:
            # The page is about to show another one.
            return self.count() > 0

    def attempt(self, name, act):
        """Do something that trouble may interrupt."""
        self.log.append(name)
        try:
            act()
        except Error as error:
            self.log.append(f"  {error.message.splitlines()[0]}")

    def open_form(self, page):
        """Open the target's form, and sign in where that is asked.

        What was still under way when the round before ended may come in between, so one try may not be enough.
        """
        for _ in range(TRIES):
            self.attempt("open", lambda: page.goto(self.base + self.target.path))
            if page.locator(self.target.field).count():
                return
            self.attempt("sign in", lambda: self.sign_in(page))
        pytest.fail(f"the form can't be opened: {self.log}")

    def sign_in(self, page):
        """Sign in as whoever uses the target's form."""
        if self.target.sign_in_path not in page.url:
            page.goto(self.base + self.target.sign_in_path)
        self.target.sign_in(page)

    def type_and_break(self):
        """Type the word, press the button, and break one to three things, in any order and at any moment."""
        troubles = {
            "session": self.end_session,
            "network": lambda: self.page.context.set_offline(offline=True),
            "server": self.served.kill,
        }
        events = [("type", self.type), ("press", lambda: self.button().click(timeout=2000))]
        broken = self.chance.sample([*troubles], self.chance.randint(1, 3))
        for name in broken:
            # Pages are opened before: a form that nobody could open holds no words.
            events.insert(self.chance.randint(0, len(events)), (name, troubles[name]))
        for name, act in events:
            self.page.wait_for_timeout(self.chance.random() * LONGEST_WAIT_MS)
            self.attempt(name, act)
        self.page.wait_for_timeout(self.chance.random() * LONGEST_WAIT_MS)
        self.log.append("everything works again")
        if "server" in broken:
            self.served.start()
        self.page.context.set_offline(offline=False)

    def type(self):
        self.target.fill(self.page)
        self.page.locator(self.target.field).fill(self.word)

    def end_session(self):
        with transaction() as session:
            session.execute(sa.update(Session).values(ended_at=now()))

    def go_on(self):
        """Do what a person would do who looks at the page; return whether the word is stored."""
        page, field = self.page, self.page.locator(self.target.field)
        self.wait_until_quiet()
        if self.count():
            return True
        if not page.url.startswith(self.base):
            self.attempt("open the page again", lambda: page.goto(self.base + self.target.path))
        elif "/sign-in" in page.url:
            self.attempt("sign in", lambda: self.sign_in(page))
        elif (
            page.locator("dialog[open], [data-draft-state], [data-save-state]")
            .get_by_text("signed out")
            .count()
        ):
            self.attempt("sign in in another tab", self.sign_in_elsewhere)
            if page.locator("dialog[open]").count():
                self.attempt("go on", lambda: page.get_by_role("button", name="Continue").click())
            self.attempt("press", lambda: self.button().click(timeout=5000))
        elif field.count():
            assert self.holds_the_word(field), f"{self.word}: {self.log}"
            self.attempt("press", lambda: self.button().click(timeout=5000))
        else:
            self.attempt("open the form", lambda: page.goto(self.base + self.target.path))
        return False

    def sign_in_elsewhere(self):
        other = self.page.context.new_page()
        other.goto(self.base + self.target.sign_in_path)
        if self.target.sign_in_path in other.url:
            self.target.sign_in(other)
        other.close()


@pytest.mark.soak
@pytest.mark.timeout(300 + 120 * ROUNDS)
def test_typed_words_are_saved_once_whatever_breaks(
    targets, page, database_url, settings, tmp_path
):
    # The same moments in every normal run, others in each of `make soak`.
    seed = 4 if depth.ROUNDS == 1 else random.SystemRandom().randrange(1_000_000)
    chance = random.Random(seed)  # noqa: S311 - moments of a test, not secrets
    page.on("dialog", lambda dialog: dialog.dismiss())
    db.session.remove()
    with serving(database_url, settings, tmp_path) as served:
        for number in range(ROUNDS):
            name = chance.choice([*targets])
            one = Round(page, served, targets[name], f"Word {seed} {number}", chance)
            one.open_form(page)
            one.type_and_break()
            told = f"seed {seed}, round {number}, {name}: {one.log}"
            assert any(one.go_on() for _ in range(TRIES)), told
            one.wait_until_quiet()
            assert one.count() == 1, told
