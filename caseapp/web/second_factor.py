"""One's own second factor: an app, passkeys, recovery codes; and the page that whoever must have one is led to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import g, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.qr import render_qr_svg
from caseapp.core.vault import SealBroken, open_token, seal_token
from caseapp.domain.auth import passkeys, second_factor
from caseapp.domain.auth.identities import is_linked
from caseapp.domain.auth.queries import get_email
from caseapp.domain.auth.schemas import (
    NewFactor,
    NewFactorSchema,
    NewPasskey,
    NewPasskeySchema,
    PasskeyChoiceSchema,
)
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.practice.queries import get_practice
from caseapp.http import confirmation
from caseapp.http.factors import browser_key
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor
from caseapp.http.interfaces import Interface, current_interface
from caseapp.web.account import blueprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from caseapp.domain.auth.models import Passkey

SETTING_UP = frozenset(
    {
        "account.add_passkey",
        "account.factor_page",
        "account.set_up_factor",
        "form_drafts.discard",
        "form_drafts.keep",
        "sign_in.sign_out",
        "session_time.look",
        "session_time.stay",
        "single_sign_on.begin_confirmation",
        "single_sign_on.come_back",
    }
)
"""What somebody reaches who has to set up a second factor first."""
NEEDED = Reason(
    "second_factor_needed",
    "The practice requires a second factor for your role, and you have none yet. Nothing was changed.",
    "Set one up under Account, Second factor. Then do this again.",
)


@dataclass(frozen=True)
class FactorView:
    """What somebody has, or when the last was removed; a new secret and what a browser needs to make a passkey."""

    has_app: bool
    passkeys: Sequence[Passkey]
    codes_left: int
    removed_at: datetime | None
    secret: str = field(repr=False)
    sealed: str = field(repr=False)
    address: str = field(repr=False)
    adding: str = field(repr=False)

    @property
    def is_set_up(self) -> bool:
        """Return whether they have an app or a passkey."""
        return self.has_app or bool(self.passkeys)


def load_factor() -> FactorView:
    """Load one's own second factor, with the secret that the form was opened with or a new one."""
    actor = current_actor()
    secret = _open(request.form.get("factor_secret", ""), actor.id) or second_factor.new_secret()
    email = get_email(actor.id)
    return FactorView(
        second_factor.has_app(actor.id),
        passkeys.list_passkeys(actor.id),
        second_factor.count_recovery_codes(actor.id),
        second_factor.find_removal_date(actor.id),
        secret,
        seal_token(secret, _purpose(actor.id), get_ring_key("credentials").derive("offer")),
        second_factor.app_address(secret, email, get_practice().name),
        passkeys.describe_adding(actor, email, browser_key()),
    )


def _purpose(person_id: UUID) -> str:
    return f"factor\x1f{person_id.hex}"


def _open(token: str, person_id: UUID) -> str | None:
    try:
        return open_token(token, _purpose(person_id), get_ring_key("credentials").derive("offer"))
    except SealBroken:
        return None


page = FormPage(blueprint, "/account/second-factor", Action.SELF_READ, load_factor)


@page.show
def factor_page(view: FactorView, forms: Forms) -> str:
    """Show one's own second factor and how to set it up."""
    return render_template(
        "account/second_factor.html",
        view=view,
        forms=forms,
        qr=render_qr_svg(view.address, "QR code to scan with an app that makes sign-in codes"),
        is_required=g.get("lacks_factor"),
        confirm_first=confirmation.is_due(Action.FACTOR_MANAGE) and is_linked(current_actor().id),
    )


def _show_codes(codes: list[str]) -> Done:
    return Done(
        url_for("account.factor_page"),
        # What is said when the same form is sent again.
        "codes_shown",
        shown=lambda: render_template("account/recovery_codes.html", codes=codes),
    )


@page.form(Action.FACTOR_MANAGE, Body(NewFactorSchema, NewFactor), lock=no_lock)
def set_up_factor(_locked: None, new: NewFactor, sent: Sent) -> Done:
    """Set up an app and show the recovery codes once."""
    secret = _open(new.secret, sent.actor.id)
    if secret is None:
        raise Invalid({"factor_code": ["Scan the code on this page again."]})
    return _show_codes(second_factor.set_up(sent.actor, secret, new.code))


@page.form(
    Action.FACTOR_MANAGE,
    Body(NewPasskeySchema, NewPasskey),
    lock=no_lock,
    rule="/account/second-factor/passkeys",
)
def add_passkey(_locked: None, new: NewPasskey, sent: Sent) -> Done:
    """Add a passkey, and show recovery codes once to somebody who had none."""
    codes = passkeys.add_passkey(sent.actor, new, browser_key())
    return _show_codes(codes) if codes else Done(url_for("account.factor_page"), "passkey_added")


@page.form(
    Action.FACTOR_MANAGE,
    Body(PasskeyChoiceSchema, UUID),
    lock=no_lock,
    rule="/account/second-factor/passkeys/remove",
)
def remove_passkey(_locked: None, passkey_id: UUID, sent: Sent) -> Done:
    """Remove one of one's own passkeys."""
    passkeys.remove_passkey(sent.actor, passkey_id)
    return Done(url_for("account.factor_page"), "passkey_removed")


@page.form(Action.FACTOR_MANAGE, BUTTON, lock=no_lock, rule="/account/second-factor/recovery-codes")
def make_recovery_codes(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Make new recovery codes and show them once."""
    return _show_codes(second_factor.make_recovery_codes(sent.actor))


@page.form(Action.FACTOR_MANAGE, BUTTON, lock=no_lock, rule="/account/second-factor/remove")
def remove_factor(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Remove the app."""
    second_factor.remove_app(sent.actor)
    return Done(url_for("account.factor_page"), "factor_removed")


@blueprint.before_app_request
def lead_to_set_up() -> ResponseReturnValue | None:
    """Lead whoever must have a second factor and has none to its page; refuse anything else that they send."""
    if current_interface() is not Interface.STAFF or not g.get("lacks_factor"):
        return None
    if request.endpoint in SETTING_UP:
        return None
    if request.method in {"GET", "HEAD"}:
        return redirect(url_for("account.factor_page"), code=303)
    raise RuleBroken(NEEDED)
