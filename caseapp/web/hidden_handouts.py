"""Hiding handouts from the library's lists and showing them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, request, url_for

from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.operations import hide_handout, show_handout
from caseapp.domain.screening.protocol import ITEMS_BY_KEY
from caseapp.domain.suitability.recommendations import FIRST_HANDOUT, HANDOUT_FOR_ITEM
from caseapp.http.guard import current_actor, needs
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("hidden_handouts", __name__)


@blueprint.post("/handouts/<string:slug>/hide")
@needs(Action.HANDOUT_HIDE)
def hide(slug: str) -> ResponseReturnValue:
    """Hide a handout from every list."""
    with transaction():
        hide_handout(current_actor(), slug)
    flash("handout_hidden")
    return _redirect_to_handout(slug)


@blueprint.post("/handouts/<string:slug>/show")
@needs(Action.HANDOUT_HIDE)
def show(slug: str) -> ResponseReturnValue:
    """Show a hidden handout in the lists again."""
    with transaction():
        show_handout(current_actor(), slug)
    flash("handout_shown")
    return _redirect_to_handout(slug)


def _redirect_to_handout(slug: str) -> ResponseReturnValue:
    language = request.args.get("language", "en")
    return redirect(url_for("handouts.handout_page", slug=slug, language=language), code=303)


def list_hiding_effects(slug: str) -> list[str]:
    """List what else changes when a library handout is hidden and no practice handout replaces it."""
    found = []
    if slug == FIRST_HANDOUT:
        found.append("It will no longer be the first recommendation for every client.")
    items = [
        ITEMS_BY_KEY[key].label.lower()
        for key, handout_slug in HANDOUT_FOR_ITEM.items()
        if handout_slug == slug
    ]
    if items:
        found.append(
            f"It will no longer be recommended after these screening answers: {', '.join(items)}."
        )
    titles = {
        handout.title
        for handout in library().values()
        if handout.language == "en"
        and any(found.use_instead == slug for found in handout.contraindications)
    }
    if titles:
        named = ", ".join(f"“{title}”" for title in sorted(titles))
        found.append(
            f"It will still be suggested as the alternative when these handouts are blocked: {named}."
        )
    return found


@blueprint.app_context_processor
def hidden_handout_helpers() -> dict[str, object]:
    """Give templates the effects of hiding a handout."""
    return {"list_hiding_effects": list_hiding_effects}
