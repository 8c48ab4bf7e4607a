"""One's own account: the password, and the browsers in which one is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Blueprint, redirect, render_template, url_for

from caseapp.core.i18n import LANGUAGES
from caseapp.core.permissions import Action, list_scopes
from caseapp.core.transaction import transaction
from caseapp.domain.auth import operations, passwords
from caseapp.domain.auth.identities import Identity, find_identity
from caseapp.domain.auth.password_links import find_reset_date
from caseapp.domain.auth.queries import (
    OwnPassword,
    find_own_password,
    get_member,
    list_current_tokens,
    list_sessions,
)
from caseapp.domain.auth.schemas import (
    TOKEN_LIFETIMES,
    NewToken,
    NewTokenSchema,
    OwnLanguage,
    OwnLanguageSchema,
    PasswordChange,
    PasswordChangeSchema,
    SessionChoiceSchema,
    TokenChoiceSchema,
)
from caseapp.domain.auth.second_factor import has_second_factor
from caseapp.http import openid
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from caseapp.core.sessions import Session
    from caseapp.domain.auth.models import Token

blueprint = Blueprint("account", __name__)

SCOPE_LABELS = {
    "account:read": "Read your name, role and sessions",
    "account:write": "Change your password, sessions and tokens",
    "audit:read": "Read the audit log",
    "clients:read": "Read clients, cases and notes",
    "clients:write": "Read and change clients, cases and notes",
    "emergency:write": "Open records using emergency access, and review such access",
    "erasure:read": "Read requests to erase a record, and certificates",
    "erasure:write": "Request the erasure of a record, and decide about requests",
    "handouts:read": "Read handouts",
    "handouts:write": "Read and change handouts",
    "portal:write": "Make the codes that let clients into the portal",
    "practice:write": "Change the practice’s name, contact line, language, paper size and other settings",
    "reports:write": "Create and download reports",
    "staff:write": "Manage the accounts of staff",
}


@dataclass(frozen=True)
class Account:
    """Somebody's sessions and tokens, password, second factor and language, each if any, and what they linked.

    `password_reset_at` is when a password was last replaced by a link or code for a forgotten one.
    """

    sessions: Sequence[Session]
    password: OwnPassword | None
    password_reset_at: datetime | None
    has_factor: bool
    identity: Identity | None
    tokens: Sequence[Token]
    language: str | None


def load_account() -> Account:
    """Load one's own account."""
    actor = current_actor()
    return Account(
        list_sessions(actor.id),
        find_own_password(actor.id),
        find_reset_date(actor.id),
        has_second_factor(actor.id),
        find_identity(actor.id),
        list_current_tokens(actor.id),
        get_member(actor.id).language,
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
        scopes={scope: SCOPE_LABELS[scope] for scope in list_scopes(current_actor().role)},
        languages=LANGUAGES,
        lifetimes={days: f"{days} days" for days in TOKEN_LIFETIMES},
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
    Body(OwnLanguageSchema, OwnLanguage),
    lock=no_lock,
    rule="/account/language",
    values=lambda found: {"language": found.language},
)
def save_language(_locked: None, chosen: OwnLanguage, sent: Sent) -> Done:
    """Save the language of one's own mail."""
    operations.set_own_language(sent.actor, chosen.language)
    return Done(url_for("account.account_page"), "saved")


@page.form(
    Action.ACCOUNT_EDIT,
    Body(SessionChoiceSchema, UUID),
    lock=no_lock,
    rule="/account/sessions/end",
)
def end_session(_locked: None, session_id: UUID, sent: Sent) -> Done:
    """End one of one's own sessions."""
    ended = operations.end_own_session(sent.actor, session_id)
    if session_id == sent.actor.session_id:
        openid.note_sign_out(ended.method)
    return Done(url_for("account.account_page"), "session_ended")


@page.form(
    Action.TOKEN_MAKE,
    Body(NewTokenSchema, NewToken),
    lock=no_lock,
    rule="/account/tokens",
    refused="The token wasn’t made",
)
def make_token(_locked: None, new: NewToken, sent: Sent) -> Done:
    """Make a token of one's own and show its text once."""
    text = operations.make_own_token(sent.actor, new)
    return Done(
        url_for("account.account_page"),
        shown=lambda: render_template("account/token.html", name=new.name, token=text),
    )


@page.form(
    Action.ACCOUNT_EDIT,
    Body(TokenChoiceSchema, UUID),
    lock=no_lock,
    rule="/account/tokens/revoke",
)
def revoke_token(_locked: None, token_id: UUID, sent: Sent) -> Done:
    """Revoke one of one's own tokens."""
    operations.revoke_own_token(sent.actor, token_id)
    return Done(url_for("account.account_page"), "token_revoked")
