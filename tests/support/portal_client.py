"""A client's way into the portal: invited by the coach, mail read from a real server, forms sent as a browser would."""

from __future__ import annotations

import email
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email import policy

from caseapp.core import outbox, settings
from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_access import invite_client
from caseapp.domain.clients.schemas import SafeContact
from tests.support import builders
from tests.support.loopback import MailServer
from tests.support.staff import csrf

PIN = "482913"
ADDRESS = "ines@example.test"
BY_MAIL = SafeContact(("email", "portal"))
BY_CARD = SafeContact(("call", "portal"))
# What no title, address, file name, header or mail of the portal may say.
BANNED = re.compile(
    "separat|divorc|coach|counsel|therap|abus|violen|marriage|marital|spouse|partner|husband|wife",
    re.IGNORECASE,
)


class Letterbox:
    """Be a mail server that keeps what it takes, and refuses for as long as it is told to."""

    def __init__(self):
        """Begin empty and willing."""
        self.taken, self.refusing = [], False

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's own name
        """Take a mail or refuse it."""
        if self.refusing:
            return "451 Try again later"
        self.taken.append(envelope)
        return "250 OK"

    def letters(self):
        """Give every mail taken, parsed."""
        return [
            email.message_from_bytes(found.content, policy=policy.default) for found in self.taken
        ]

    def tokens(self):
        """Give the token of every link mailed, oldest first."""
        return [token_of(letter) for letter in self.letters()]


def token_of(letter):
    """Read the token from the one link in a mail."""
    [token] = re.findall(r"/portal/enter/([\w-]+)", letter.get_content())
    return token


@contextmanager
def letterbox():
    """Run a real mail server on loopback for as long as the block lasts."""
    found = Letterbox()
    server = MailServer(found)
    server.start()
    before = settings.active()
    settings.use(replace(before, smtp_url=server.url))
    try:
        yield found
    finally:
        settings.use(before)
        server.stop()


@dataclass(frozen=True)
class Invited:
    """Hold a client who was invited, and what the coach hands over."""

    client_id: object
    case_id: object
    start_code: str
    card_code: str | None


def invited(coach, name=None, *, safe=BY_CARD, address=None, **changed):
    """Open a case and invite its client, as the coach does."""
    made = builders.case(coach, name, safe=safe, email=address, **changed)
    with transaction():
        found = invite_client(coach, made.client_id)
    outbox.sweep()
    return Invited(made.client_id, made.case_id, found.start_code, found.card_code)


def by_card(visitor, code):
    """Type the code of a card."""
    page = visitor.get("/portal/sign-in")
    return visitor.post("/portal/card", data={"csrf_token": csrf(page), "code": code})


def by_link(visitor, token):
    """Follow a link and press its button."""
    page = visitor.get(f"/portal/enter/{token}")
    return visitor.post(f"/portal/enter/{token}", data={"csrf_token": csrf(page)})


def choose(visitor, start_code, pin=PIN):
    """Give the start code and choose a PIN."""
    page = visitor.get("/portal/pin")
    data = {"csrf_token": csrf(page), "start_code": start_code, "pin": pin, "again": pin}
    return visitor.post("/portal/pin", data=data)


def give_pin(visitor, pin=PIN):
    """Give the PIN."""
    page = visitor.get("/portal/pin")
    return visitor.post("/portal/pin", data={"csrf_token": csrf(page), "pin": pin})


def inside(app, coach, name=None, **changed):
    """Bring a client all the way in by card; give their browser and their ids."""
    found = invited(coach, name, **changed)
    visitor = app.test_client()
    by_card(visitor, found.card_code)
    choose(visitor, found.start_code)
    page = visitor.get("/portal/first")
    visitor.post("/portal/first", data={"csrf_token": csrf(page)})
    return visitor, found
