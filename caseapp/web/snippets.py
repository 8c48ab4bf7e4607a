"""One's own snippets: the page on the account. The editor of a note has a button for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Blueprint, render_template, request, url_for

from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.notes.formats import SECTIONS
from caseapp.domain.notes.snippet_operations import delete_snippet, save_snippet
from caseapp.domain.notes.snippet_queries import list_snippets
from caseapp.domain.notes.snippet_schemas import (
    MAX_SNIPPET,
    MAX_SNIPPETS,
    MAX_TITLE,
    SnippetChoiceSchema,
    SnippetSchema,
    SnippetText,
)
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from caseapp.domain.notes.snippet_schemas import SnippetRecord

blueprint = Blueprint("snippets", __name__)


@dataclass(frozen=True)
class SnippetPage:
    """Somebody's own snippets, and the one that they have chosen to change."""

    snippets: list[SnippetRecord]
    chosen: SnippetRecord | None


def load_snippets() -> SnippetPage:
    """Load one's own snippets.

    Raises NotFound when the one to change is none of them.
    """
    found, wanted = list_snippets(current_actor()), request.args.get("change")
    if wanted is None:
        return SnippetPage(found, None)
    chosen = next((one for one in found if str(one.id) == wanted), None)
    if chosen is None:
        raise NotFound
    return SnippetPage(found, chosen)


page = FormPage(blueprint, "/account/snippets", Action.NOTE_WRITE, load_snippets)


@page.show
def snippet_list(view: SnippetPage, forms: Forms) -> str:
    """Show one's own snippets, and the form for another one or the chosen one."""
    return render_template(
        "account/snippets.html",
        view=view,
        forms=forms,
        sections={key: section.label for key, section in SECTIONS.items()},
        longest=MAX_SNIPPET,
        longest_title=MAX_TITLE,
        most=MAX_SNIPPETS,
    )


def snippet_values(view: SnippetPage) -> dict[str, object]:
    """Return what the form shows at first."""
    chosen = view.chosen
    return {
        "snippet_id": str(chosen.id) if chosen else "",
        "title": chosen.title if chosen else "",
        "text": chosen.text if chosen else "",
        "section": (chosen.section if chosen else None) or "",
    }


@page.form(
    Action.NOTE_WRITE,
    Body(SnippetSchema, SnippetText),
    lock=no_lock,
    values=snippet_values,
    refused="The snippet was not saved",
)
def keep_snippet(_locked: None, new: SnippetText, sent: Sent) -> Done:
    """Save a snippet."""
    save_snippet(sent.actor, new, sent.version if new.id else 0)
    return Done(url_for("snippets.snippet_list"), "saved")


@page.form(
    Action.NOTE_WRITE,
    Body(SnippetChoiceSchema, UUID),
    lock=no_lock,
    rule="/account/snippets/delete",
    refused="The snippet was not deleted",
)
def remove_snippet(_locked: None, snippet_id: UUID, sent: Sent) -> Done:
    """Delete a snippet."""
    delete_snippet(sent.actor, snippet_id)
    return Done(url_for("snippets.snippet_list"), "snippet_deleted")
