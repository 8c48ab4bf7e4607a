"""Sample staff: created through the operations, signed in through the real form."""

from __future__ import annotations

import re

import pyotp
import sqlalchemy as sa

from caseapp.core.actor import Actor, operator
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.auth import second_factor
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.operations import add_user
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import get_user_by_email

PASSWORD = "correct horse battery staple"
APP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NAMES = {
    "coach": "Marta Lindqvist",
    "coach2": "Jonas Adler",
    "supervisor": "Helen Marsh",
    "supervisor2": "Ruth Vance",
    "supervisor3": "Priya Nair",
    "supervisor4": "Owen Blake",
    "admin": "Ade Bello",
}
TEAM = ("supervisor", "coach", "coach2", "admin")


def add(who, *, role=None, supervisor=None):
    """Add a sample member of staff and return their actor."""
    name = NAMES.get(who, who.title())
    with transaction():
        user = add_user(
            operator(),
            f"{who}@practice.test",
            name,
            role or who.rstrip("0123456789"),
            PASSWORD,
            supervisor=f"{supervisor}@practice.test" if supervisor else None,
        )
    return Actor(user.id, Role(user.role), user.name, "web")


def team():
    """Add a supervisor, two coaches (only the first supervised) and an admin."""
    supervisor = add("supervisor")
    return {
        "supervisor": supervisor,
        "coach": add("coach", supervisor="supervisor"),
        "coach2": add("coach2"),
        "admin": add("admin"),
    }


def find_team(people=TEAM):
    """Return people who are in the template that the test's database is copied from, by who they are."""
    emails = {f"{who}@practice.test": who for who in people}
    rows = db.session.scalars(sa.select(User).where(User.email.in_(emails)))
    found = {emails[user.email]: user for user in rows}
    return {
        who: Actor(found[who].id, Role(found[who].role), found[who].name, "web") for who in people
    }


def disable(email):
    """Disable an account in the open transaction, whatever is left to hand over, as a release before did."""
    user = get_user_by_email(email)
    user.disabled_at = now()
    end_all_sessions(user.id)


def csrf(page):
    """Return the CSRF token of a page's first form."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.get_data(as_text=True))
    assert found, "the page has no form"
    return found[1]


def sign_in(visitor, actor):
    """Sign in through the real form."""
    email = next(f"{who}@practice.test" for who, name in NAMES.items() if name == actor.name)
    page = visitor.get("/sign-in")
    return visitor.post(
        "/sign-in", data={"csrf_token": csrf(page), "email": email, "password": PASSWORD}
    )


def email_of(actor):
    """Return the email address of a sample member of staff."""
    return next(f"{who}@practice.test" for who, name in NAMES.items() if name == actor.name)


def code():
    """Return the code that the app of the sample staff shows now."""
    return pyotp.TOTP(APP_SECRET).at(now())


def set_up_app(actor):
    """Set up the app of somebody and return their recovery codes."""
    with transaction():
        return second_factor.set_up(actor, APP_SECRET, code())


def enter_code(visitor, address):
    """Complete a sign-in that waits for a code, as if no code had been used in this half minute."""
    with transaction():
        db.session.execute(sa.update(Credential).values(last_step=None))
    page = visitor.get(address)
    return visitor.post(address, data={"csrf_token": csrf(page), "code": code()})
