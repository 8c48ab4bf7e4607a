"""Hiding handouts from the library's lists and showing them again."""

from __future__ import annotations

from flask import url_for

from caseapp.core.permissions import Action
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.operations import hide_handout, show_handout
from caseapp.domain.screening.protocol import ITEMS_BY_KEY
from caseapp.domain.suitability.recommendations import FIRST_HANDOUT, HANDOUT_FOR_ITEM
from caseapp.http.forms import Body, Done, Sent, no_lock
from caseapp.web.handouts import ShownVersion, ShownVersionSchema, blueprint, page

__all__ = ["blueprint"]


@page.form(
    Action.HANDOUT_HIDE,
    Body(ShownVersionSchema, ShownVersion),
    lock=no_lock,
    rule="/handouts/<string:slug>/hide",
    refused="You can’t hide it because:",
)
def hide(_locked: None, shown: ShownVersion, sent: Sent) -> Done:
    """Hide a handout from every list."""
    hide_handout(sent.actor, sent.args["slug"])
    return Done(_handout_address(shown, sent), "handout_hidden")


@page.form(
    Action.HANDOUT_HIDE,
    Body(ShownVersionSchema, ShownVersion),
    lock=no_lock,
    rule="/handouts/<string:slug>/show",
    refused="You can’t show it again because:",
)
def show(_locked: None, shown: ShownVersion, sent: Sent) -> Done:
    """Show a hidden handout in the lists again."""
    show_handout(sent.actor, sent.args["slug"])
    return Done(_handout_address(shown, sent), "handout_shown")


def _handout_address(shown: ShownVersion, sent: Sent) -> str:
    return url_for("handouts.handout_page", slug=sent.args["slug"], language=shown.language)


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
