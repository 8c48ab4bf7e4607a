"""The editor of the practice's own handouts: a draft's text saved, looked at as a page and as a PDF, and sent on."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from flask import redirect, render_template, request, send_file, url_for

from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.schemas import (
    MAX_BODY_LENGTH,
    FIELD_TYPES,
    DraftContentSchema,
    get_form_values,
    list_visible_rows,
)
from caseapp.domain.authoring.operations import save_draft, submit_for_review
from caseapp.domain.authoring.queries import build_draft_source, get_draft
from caseapp.domain.authoring.source import read_content
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import STOP_BOX, BrokenHandout, library, read
from caseapp.domain.handouts.printing import render_draft_pdf
from caseapp.domain.handouts.schemas import LANGUAGES
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import needs, current_actor
from caseapp.http.request_parsing import Form, submitted_form, form_version, read_form
from caseapp.http.template_helpers import flash, today
from caseapp.web.authoring import Preview, blueprint, render_draft, build_preview
from caseapp.web.handouts import EFFECT_WORDS, TAG_WORDS

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.authoring.models import HandoutDraft

__all__ = ["blueprint"]


@blueprint.get("/handouts/own/<uuid:draft_id>/edit")
@needs(Action.HANDOUT_WRITE)
def edit_page(draft_id: UUID) -> ResponseReturnValue:
    """Show the editor of a draft; what is no longer being written leads to its page."""
    draft = get_draft(current_actor(), draft_id)
    if draft.state != "draft":
        return redirect(url_for("authoring.draft_page", draft_id=draft_id), code=303)
    return _editor(draft)


def _editor(draft: HandoutDraft, sent: Form | None = None, *, stale: bool = False) -> str:
    form = sent or Form(get_form_values(read_content(draft.source)))
    return render_template(
        "authoring/edit.html",
        draft=draft,
        form=form,
        stale=stale,
        preview=build_preview(_source_sent(draft) if sent and not sent.errors else draft.source),
        warning_rows=list_visible_rows(form.raw, "warnings"),
        place_rows=list_visible_rows(form.raw, "answer_fields"),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
        stop_words=STOP_BOX,
        types=FIELD_TYPES,
        tags=TAG_WORDS,
        effects=EFFECT_WORDS,
        sheets={h.id: f"{h.code} {h.title}" for h in library().values() if h.language == "en"},
        longest_body=MAX_BODY_LENGTH,
        language=LANGUAGES[draft.language],
    )


def _source_sent(draft: HandoutDraft) -> str:
    return build_draft_source(draft, read_form(DraftContentSchema()))


@blueprint.post("/handouts/own/<uuid:draft_id>/edit")
@needs(Action.HANDOUT_WRITE)
def save_now(draft_id: UUID) -> ResponseReturnValue:
    """Save the draft, only look at it, or save it and send it on to a second person."""
    actor, do = current_actor(), request.form.get("do", "save")
    draft = get_draft(actor, draft_id)
    try:
        text, version = read_form(DraftContentSchema()), form_version()
        if do == "preview":
            return _editor(draft, submitted_form())
        with transaction():
            version = save_draft(actor, draft_id, text, version)
        if do == "send":
            # What was written is kept, also where it is not ready to be sent.
            with transaction():
                submit_for_review(actor, draft_id, version)
    except Invalid as error:
        return _editor(get_draft(actor, draft_id), _as_sent(error)), 422
    except Stale:
        return _editor(get_draft(actor, draft_id), submitted_form(), stale=True), 412
    except RuleBroken as error:
        record_refused_request(error)
        return render_draft(draft_id, None, error.reasons), 409
    if do == "send":
        flash("draft_submitted")
        return redirect(url_for("authoring.draft_page", draft_id=draft_id), code=303)
    flash("draft_saved")
    return redirect(url_for("authoring.edit_page", draft_id=draft_id), code=303)


def _as_sent(error: Invalid) -> Form:
    """Show what was sent; where the text was understood, in the order in which its faults number its rows."""
    try:
        values = get_form_values(read_form(DraftContentSchema()))
    except Invalid:
        return submitted_form(error)
    return Form(values | {"version": request.form.get("version", "")}, error.fields)


@blueprint.post("/handouts/own/<uuid:draft_id>/preview")
@needs(Action.HANDOUT_WRITE)
def preview_now(draft_id: UUID) -> ResponseReturnValue:
    """Answer what was typed as a page, for the editor's own preview; nothing is kept."""
    draft = get_draft(current_actor(), draft_id)
    try:
        preview = build_preview(_source_sent(draft))
    except Invalid as error:
        preview = Preview(None, None, error.fields)
    return render_template("authoring/preview.html", preview=preview)


@blueprint.post("/handouts/own/<uuid:draft_id>/pdf")
@needs(Action.HANDOUT_WRITE)
def pdf_now(draft_id: UUID) -> ResponseReturnValue:
    """Give what was typed, or the draft as it is saved, as a PDF marked as a draft; nothing is kept."""
    draft = get_draft(current_actor(), draft_id)
    try:
        source = _source_sent(draft) if "body" in request.form else draft.source
        handout = read(source)
        made = render_draft_pdf(handout, get_practice_info().letterhead, get_practice_info().help_lines)
    except BrokenHandout:
        found = Invalid(find_problems(source, today()))
        return _not_printed(draft, found), 422
    except Invalid as error:
        return _not_printed(draft, error), 422
    return send_file(
        BytesIO(made), mimetype="application/pdf", as_attachment=True, download_name="draft.pdf"
    )


def _not_printed(draft: HandoutDraft, error: Invalid) -> str:
    if "body" in request.form and draft.state == "draft":
        return _editor(draft, _as_sent(error))
    return render_draft(draft.id, Form(errors=error.fields))
