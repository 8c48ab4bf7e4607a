"""The words of forms that were not sent: kept by a script while somebody types, and discarded by a button.

Keeping words never sends their form. Whose words they are and where the form stands is read from the form's key alone.
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, redirect, request

from caseapp.core.clock import now
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.idempotency import is_claimed
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.operations import forget_form_drafts, save_form_draft
from caseapp.domain.form_drafts.queries import find_last_save
from caseapp.http.form_keys import FormKey, lock_own_words, open_form_key
from caseapp.http.guard import current_actor, needs
from caseapp.http.interfaces import Interface, current_interface
from caseapp.http.request_parsing import words_to_keep
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

SHORTEST_PAUSE = timedelta(seconds=1)
"""A window's words are kept at most this often."""
NOT_YOURS = Reason(
    "others_form",
    "This form was opened by somebody else in this browser.",
    "Nothing was kept. Open the page again.",
)

blueprint = Blueprint("form_drafts", __name__)


@blueprint.post("/drafts")
@needs(Action.FORM_DRAFT)
def keep() -> ResponseReturnValue:
    """Keep the words of a form that isn't sent yet.

    204 when they are kept or no longer needed, because the form was sent meanwhile; 413 when there are too many, 429
    too soon after the last time. Raises RuleBroken when the form isn't this person's.
    """
    key = _own_key()
    words = words_to_keep(request.form)
    path = key.page.partition("?")[0]
    with transaction():
        lock_own_words(key)
        if is_claimed(key.person_id, key.id.hex):
            return Response(status=HTTPStatus.NO_CONTENT)
        last = find_last_save(key.person_id, key.form, key.opened_at)
        if last is not None and now() - last < SHORTEST_PAUSE:
            return Response(
                status=HTTPStatus.TOO_MANY_REQUESTS,
                headers={"Retry-After": str(SHORTEST_PAUSE.seconds)},
            )
        kept = save_form_draft(key.person_id, path, key.form, key.client_id, words, key.opened_at)
    return Response(status=HTTPStatus.NO_CONTENT if kept else HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


@blueprint.post("/drafts/discard")
@needs(Action.FORM_DRAFT)
def discard() -> ResponseReturnValue:
    """Forget the words that a page has brought back, and show the page without them.

    Raises RuleBroken when the form isn't this person's.
    """
    key = _own_key()
    with transaction():
        forget_form_drafts(key.person_id, key.form, key.opened_at)
    flash("words_discarded")
    return redirect(key.page, code=303)


def _own_key() -> FormKey:
    key = open_form_key(request.form.get("form_key", ""))
    if key is None or key.person_id != current_actor().id:
        raise RuleBroken(NOT_YOURS)
    return key


def draft_address() -> str:
    """Return where the scripts of this page send the words of a form."""
    return "/portal/drafts" if current_interface() is Interface.PORTAL else "/drafts"


def init_app(app: Flask) -> None:
    """Register the addresses for staff and for the portal, each with its own cookie."""
    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="portal_form_drafts", url_prefix="/portal")
    app.jinja_env.globals["draft_address"] = draft_address
