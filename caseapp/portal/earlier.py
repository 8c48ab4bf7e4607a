"""What a client wrote before they got new codes: opened with the PIN that they had then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import redirect, render_template, url_for

from caseapp.core.errors import Invalid, TooManyAttempts
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth.earlier_writing import check_earlier_pin, open_earlier_writing
from caseapp.domain.clients.schemas import PinSchema
from caseapp.domain.keys.writing import has_closed_writing
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
    """Ask for the earlier PIN while something is locked."""
    if not has_closed_writing(current_actor().id):
        return redirect(url_for("portal_handouts.written_page"), code=303)
    return render_template("portal/earlier.html", form=Form(), refused="")


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
        return render_template("portal/earlier.html", form=submitted_form(error), refused=""), 422
    except TooManyAttempts as error:
        page = render_template("portal/earlier.html", form=Form(), refused=error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    flash("earlier_opened")
    return redirect(url_for("portal_handouts.written_page"), code=303)
