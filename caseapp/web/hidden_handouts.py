"""Hiding sheets and showing them again, with what falls away meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, request, url_for

from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.suitability.recommendations import HANDOUT_FOR_ITEM, FIRST_HANDOUT
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.operations import hide_handout, show_handout
from caseapp.domain.screening.protocol import ITEMS_BY_KEY
from caseapp.http.guard import needs, current_actor
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("hiding", __name__)


@blueprint.post("/handouts/<string:slug>/hide")
@needs(Action.HANDOUT_HIDE)
def hide_now(slug: str) -> ResponseReturnValue:
    """Hide a sheet from every list."""
    with transaction():
        hide_handout(current_actor(), slug)
    flash("handout_hidden")
    return _back_to(slug)


@blueprint.post("/handouts/<string:slug>/show")
@needs(Action.HANDOUT_HIDE)
def show_now(slug: str) -> ResponseReturnValue:
    """Put a hidden sheet back into the lists."""
    with transaction():
        show_handout(current_actor(), slug)
    flash("handout_shown")
    return _back_to(slug)


def _back_to(slug: str) -> ResponseReturnValue:
    language = request.args.get("language", "en")
    return redirect(url_for("handouts.handout_page", slug=slug, language=language), code=303)


def what_falls_away(slug: str) -> list[str]:
    """Say what else stops when a sheet of the library is hidden and nothing of ours stands in for it."""
    found = []
    if slug == FIRST_HANDOUT:
        found.append("Next best no longer begins with it for everybody.")
    if asked := [ITEMS_BY_KEY[key].label.lower() for key, answer in HANDOUT_FOR_ITEM.items() if answer == slug]:
        found.append(f"Next best no longer answers the screening with it: {', '.join(asked)}.")
    pointing = {
        handout.title
        for handout in library().values()
        if handout.language == "en" and any(w.use_instead == slug for w in handout.contraindications)
    }
    if pointing:
        named = ", ".join(f"“{title}”" for title in sorted(pointing))
        found.append(
            f"Where these must not be given, its name still stands as the way out: {named}."
        )
    return found


@blueprint.app_context_processor
def hiding_words() -> dict[str, object]:
    """Give the pages about handouts what they say about hiding."""
    return {"what_falls_away": what_falls_away}
