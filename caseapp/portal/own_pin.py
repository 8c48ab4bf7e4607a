"""Another PIN, chosen by a client who enters the one that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import redirect, render_template, url_for

from caseapp.core.errors import Invalid, TooManyAttempts
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth.own_pin import change_pin, check_pin_change
from caseapp.domain.clients.schemas import PinChangeSchema
from caseapp.http.devices import remember_device, sent_device
from caseapp.http.guard import current_actor, needs
from caseapp.http.interfaces import Interface
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.sessions import begin_in_browser
from caseapp.http.template_helpers import flash
from caseapp.portal.handouts import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["blueprint"]


@blueprint.get("/change-pin")
@needs(Action.PIN_CHANGE)
def own_pin_page() -> ResponseReturnValue:
    """Ask for the PIN and the one that is to replace it."""
    return _render(Form())


def _render(form: Form, refused: str = "") -> str:
    return render_template("portal/change_pin.html", form=form, refused=refused)


@blueprint.post("/change-pin")
@needs(Action.PIN_CHANGE)
def change_own_pin() -> ResponseReturnValue:
    """Replace the client's PIN."""
    actor = current_actor()
    try:
        checked = check_pin_change(actor, read_form(PinChangeSchema()), sent_device())
    except Invalid as error:
        return _render(submitted_form(error)), 422
    except TooManyAttempts as error:
        return _render(Form(), error.message), 429, {"Retry-After": str(error.retry_after)}
    with transaction():
        reference = change_pin(actor, checked)
    flash("pin_changed")
    response = redirect(url_for("portal_safety.privacy_page"), code=303)
    begin_in_browser(response, Interface.PORTAL, reference)
    return remember_device(response, Interface.PORTAL, actor.id)
