"""One's own account: the password, and the browsers in which one is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Blueprint, redirect, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth import operations, passwords
from caseapp.domain.auth.identities import Identity, find_identity
from caseapp.domain.auth.password_links import find_reset_date
from caseapp.domain.auth.queries import find_password_date, list_sessions
from caseapp.domain.auth.schemas import (
    PasswordChange,
    PasswordChangeSchema,
    SessionChoiceSchema,
)
from caseapp.domain.auth.second_factor import has_second_factor
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from caseapp.core.sessions import Session

blueprint = Blueprint("account", __name__)


@dataclass(frozen=True)
class Account:
    """Somebody's sessions, the dates of their password, whether they have a second factor, and what they linked.

    `password_reset_at` is when a password was last replaced by a link or code for a forgotten one.
    """

    sessions: Sequence[Session]
    password_set_at: datetime | None
    password_reset_at: datetime | None
    has_factor: bool
    identity: Identity | None


def load_account() -> Account:
    """Load one's own account."""
    actor = current_actor()
    return Account(
        list_sessions(actor.id),
        find_password_date(actor.id),
        find_reset_date(actor.id),
        has_second_factor(actor.id),
        find_identity(actor.id),
    )


page = FormPage(blueprint, "/account", Action.SELF_READ, load_account)


@page.show
def account_page(found: Account, forms: Forms) -> str:
    """Show one's own account."""
    return render_template(
        "account/account.html",
        forms=forms,
        account=found,
        own_session=current_actor().session_id,
    )


@page.post(
    Action.ACCOUNT_EDIT,
    Body(PasswordChangeSchema, PasswordChange),
    rule="/account/password",
    refused="The password wasn’t changed",
)
def change_password(change: PasswordChange, sent: Sent) -> ResponseReturnValue:
    """Change one's own password."""
    checked = passwords.check_change(sent.actor, change)
    with transaction():
        passwords.change_password(checked)
    flash("password_changed")
    return redirect(url_for("account.account_page"), code=303)


@page.form(
    Action.ACCOUNT_EDIT,
    Body(SessionChoiceSchema, UUID),
    lock=no_lock,
    rule="/account/sessions/end",
)
def end_session(_locked: None, session_id: UUID, sent: Sent) -> Done:
    """End one of one's own sessions."""
    operations.end_own_session(sent.actor, session_id)
    return Done(url_for("account.account_page"), "session_ended")
