"""Pages that look for words in notes: those of one case, or of all clients who are somebody's work.

The words are sent in the body of a form, so that no address and no log holds them.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, g, render_template

from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.operations import forget_form_drafts
from caseapp.domain.notes.search_schemas import NoteSearch, NoteSearchSchema
from caseapp.domain.notes.searching import search_notes
from caseapp.http.forms import Body, FormPage, Forms, Sent
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("note_search", __name__)

page = FormPage(blueprint, "/notes/search", Action.NOTE_READ, lambda: None)


@page.show
def search_page(_view: None, forms: Forms) -> str:
    """Ask what to look for in the notes of all clients, and show what was found."""
    return render_template(
        "notes/search.html", forms=forms, form=forms.get("search"), found=_found()
    )


@page.post(Action.NOTE_READ, Body(NoteSearchSchema, NoteSearch), rule="/notes/search")
def search(asked: NoteSearch, sent: Sent) -> ResponseReturnValue:
    """Look through the notes of all clients."""
    return _answer(page, "search", asked, sent)


case_page = FormPage(
    blueprint,
    "/case/<string:number>/notes/search",
    Action.NOTE_READ,
    load_case_context,
    client_of=lambda context: context.case.client_id,
)


@case_page.show
def case_search_page(context: CasePage, forms: Forms) -> str:
    """Ask what to look for in the notes of a case, and show what was found."""
    return render_template(
        "notes/case_search.html",
        context=context,
        tab="Notes",
        forms=forms,
        form=forms.get("case_search"),
        found=_found(),
    )


@case_page.post(
    Action.NOTE_READ,
    Body(NoteSearchSchema, NoteSearch),
    rule="/case/<string:number>/notes/search",
)
def case_search(asked: NoteSearch, sent: Sent) -> ResponseReturnValue:
    """Look through the notes of a case."""
    case_id = load_case_context(sent.args["number"]).case.id
    return _answer(case_page, "case_search", replace(asked, case_id=case_id), sent)


def _answer(
    found_on: FormPage[Any], name: str, asked: NoteSearch, sent: Sent
) -> ResponseReturnValue:
    """Show what is found; words of the form that were kept when a session ended are not kept any longer."""
    g.found_notes = search_notes(sent.actor, asked)
    if sent.key:
        with transaction():
            forget_form_drafts(sent.actor.id, sent.key.form, sent.key.opened_at)
    return found_on.forms[name].show_again(sent, None, HTTPStatus.OK)


def _found() -> object:
    """Return what this request has found, or None."""
    return g.get("found_notes")
