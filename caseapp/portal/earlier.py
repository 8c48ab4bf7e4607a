"""What a client wrote before they got new codes: opened with the PIN that they had then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import redirect, render_template, url_for

from caseapp.core.errors import Invalid, TooManyAttempts
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth.earlier_writing import check_earlier_pin, open_earlier_writing
from caseapp.domain.clients.schemas import PinSchema
from caseapp.domain.keys.writing import list_tries_left
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.template_helpers import flash
from caseapp.portal.handouts import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["blueprint"]


@blueprint.get("/earlier")
@needs(Action.PORTAL_WRITE)
def earlier_page() -> ResponseReturnValue:
    """Ask for the earlier PIN while something is locked, and say when nothing opens it any more."""
    left = list_tries_left(current_actor().id)
    if not left:
        return redirect(url_for("portal_handouts.written_page"), code=303)
    return _render(Form(), is_lost=not any(left))


def _render(form: Form, refused: str = "", *, is_lost: bool) -> str:
    return render_template("portal/earlier.html", form=form, refused=refused, is_lost=is_lost)


@blueprint.post("/earlier")
@needs(Action.PORTAL_WRITE)
def open_earlier() -> ResponseReturnValue:
    """Open what the client wrote under the earlier PIN."""
    actor = current_actor()
    try:
        checked = check_earlier_pin(actor, read_form(PinSchema()))
        with transaction():
            open_earlier_writing(actor, checked)
    except Invalid as error:
        is_lost = not any(list_tries_left(actor.id))
        return _render(submitted_form(error), is_lost=is_lost), 422
    except TooManyAttempts as error:
        page = _render(Form(), error.message, is_lost=not any(list_tries_left(actor.id)))
        return page, 429, {"Retry-After": str(error.retry_after)}
    flash("earlier_opened")
    return redirect(url_for("portal_handouts.written_page"), code=303)
