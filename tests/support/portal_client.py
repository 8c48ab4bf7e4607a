"""A client signing in to the portal: invitation, emails from a real server, forms as a browser submits them."""

from __future__ import annotations

import email
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email import policy

import sqlalchemy as sa

from caseapp.core import outbox, settings
from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.auth.credentials import stretch_pin
from caseapp.domain.auth.portal_codes import invite_client, make_card
from caseapp.domain.clients.queries import lock_client, take_client_lock
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.keys.writing import create_writing_key, find_pin_salt, open_writing_key
from caseapp.domain.users.models import User
from tests.support import builders
from tests.support.loopback import MailServer
from tests.support.staff import add, csrf

PIN = "482913"
ADDRESS = "ines@example.test"
EMAIL_AND_PORTAL = SafeContact(("email", "portal"))
CARD_ONLY = SafeContact(("call", "portal"))
# Words that no title, address, file name, header or email of the portal may contain.
BANNED = re.compile(
    "separat|divorc|coach|counsel|therap|abus|violen|marriage|marital|spouse|partner|husband|wife",
    re.IGNORECASE,
)


class Mailbox:
    """A mail server that keeps what it receives, and rejects mail while `refusing` is set."""

    def __init__(self):
        """Create an empty mailbox that accepts mail."""
        self.taken, self.refusing = [], False

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's own name
        """Accept or reject a message."""
        if self.refusing:
            return "451 Try again later"
        self.taken.append(envelope)
        return "250 OK"

    def messages(self):
        """Return every message received, parsed."""
        return [
            email.message_from_bytes(found.content, policy=policy.default) for found in self.taken
        ]

    def tokens(self):
        """Return the token of every link mailed, oldest first."""
        return [get_token(message) for message in self.messages()]


def get_token(message):
    """Return the token of the only link in a message."""
    [token] = re.findall(r"/portal/enter/([\w-]+)", message.get_content())
    return token


@contextmanager
def mailbox_server():
    """Run a mail server on loopback."""
    found = Mailbox()
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
    """An invited client and the codes for them."""

    client_id: object
    case_id: object
    start_code: str
    card_code: str | None


def invited(coach, name=None, *, safe=CARD_ONLY, address=None, **changed):
    """Open a case and invite its client."""
    made = builders.case(coach, name, safe=safe, email=address, **changed)
    with transaction():
        found = invite_client(coach, lock_client(coach, made.client_id))
    outbox.sweep()
    return Invited(made.client_id, made.case_id, found.start_code, found.card_code)


def new_codes(coach, client_id, reason="lost"):
    """Give a client new codes; a card that is missing is made by somebody other than the coach."""
    with transaction():
        found = invite_client(coach, lock_client(coach, client_id), reason)
    if found.mailed or found.card_code:
        return found
    others = sa.select(User).where(User.id != coach.id, User.role != Role.ADMIN)
    user = db.session.scalar(others.order_by(User.id))
    colleague = Actor(user.id, Role(user.role), user.name, "web") if user else add("coach2")
    with transaction():
        card = make_card(colleague, lock_client(coach, client_id))
    return replace(found, card_code=card)


def reader(client_id, name="Ines", pin=PIN):
    """Return a client who has entered their PIN, as operations see them; without a writing key they get one."""
    stretched = stretch_pin(pin, find_pin_salt(client_id))
    with transaction():
        take_client_lock(client_id)
        found = open_writing_key(client_id, stretched) or create_writing_key(client_id, stretched)
    return Actor(client_id, Role.CLIENT, name, "portal", writing=found)


def use_card(visitor, code):
    """Submit the code of a card."""
    page = visitor.get("/portal/sign-in")
    return visitor.post("/portal/card", data={"csrf_token": csrf(page), "code": code})


def open_link(visitor, token):
    """Open a link from an email; return the page that it leads to."""
    return visitor.get(visitor.get(f"/portal/enter/{token}").location)


def use_link(visitor, token):
    """Open a link and press its button."""
    page = open_link(visitor, token)
    return visitor.post("/portal/enter", data={"csrf_token": csrf(page)})


def choose_pin(visitor, start_code, pin=PIN):
    """Submit the start code and a new PIN."""
    page = visitor.get("/portal/pin")
    data = {"csrf_token": csrf(page), "start_code": start_code, "pin": pin, "again": pin}
    return visitor.post("/portal/pin", data=data)


def enter_pin(visitor, pin=PIN):
    """Submit the PIN."""
    page = visitor.get("/portal/pin")
    return visitor.post("/portal/pin", data={"csrf_token": csrf(page), "pin": pin})


def sign_in_client(app, coach, name=None, **changed):
    """Sign a new client in by card; return their browser and their ids."""
    found = invited(coach, name, **changed)
    visitor = app.test_client()
    use_card(visitor, found.card_code)
    choose_pin(visitor, found.start_code)
    page = visitor.get("/portal/first")
    visitor.post("/portal/first", data={"csrf_token": csrf(page)})
    return visitor, found
