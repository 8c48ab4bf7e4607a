"""The editor of practice handouts: save a draft, preview it as a page or PDF, and submit it for approval."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from flask import redirect, render_template, request, send_file, url_for

from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.authoring import operations
from caseapp.domain.authoring.queries import build_draft_source, get_draft
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.schemas import (
    FIELD_TYPES,
    MAX_BODY_LENGTH,
    DraftContentSchema,
    get_form_values,
    list_visible_rows,
)
from caseapp.domain.authoring.source import read_content
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import (
    LANGUAGES,
    STOP_BOX,
    InvalidHandoutFile,
    library,
    parse_draft,
)
from caseapp.domain.handouts.printing import render_draft_pdf
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form, form_version, read_form, submitted_form
from caseapp.http.template_helpers import flash, today
from caseapp.web.authoring import Preview, blueprint, build_preview, render_draft
from caseapp.web.handouts import EFFECT_LABELS, TAG_LABELS

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.authoring.models import HandoutDraft

__all__ = ["blueprint"]


@blueprint.get("/handouts/own/<uuid:draft_id>/edit")
@needs(Action.HANDOUT_WRITE)
def edit_page(draft_id: UUID) -> ResponseReturnValue:
    """Show the editor of a draft; redirect to the draft's page if the draft can't be edited."""
    draft = get_draft(current_actor(), draft_id)
    if draft.state != "draft":
        return redirect(url_for("authoring.draft_page", draft_id=draft_id), code=303)
    return _render_editor(draft)


def _render_editor(
    draft: HandoutDraft, submitted: Form | None = None, *, stale: bool = False
) -> str:
    form = submitted or Form(get_form_values(read_content(draft.source)))
    usable = submitted and not submitted.errors
    return render_template(
        "authoring/edit.html",
        draft=draft,
        form=form,
        stale=stale,
        preview=build_preview(_build_submitted_source(draft) if usable else draft.source),
        warning_rows=list_visible_rows(form.raw, "warnings"),
        field_rows=list_visible_rows(form.raw, "answer_fields"),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
        stop_headings=STOP_BOX,
        field_types=FIELD_TYPES,
        tags=TAG_LABELS,
        effects=EFFECT_LABELS,
        library_handouts={
            handout.id: f"{handout.code} {handout.title}"
            for handout in library().values()
            if handout.language == "en"
        },
        max_body_length=MAX_BODY_LENGTH,
        language=LANGUAGES[draft.language],
    )


def _build_submitted_source(draft: HandoutDraft) -> str:
    return build_draft_source(draft, read_form(DraftContentSchema()))


@blueprint.post("/handouts/own/<uuid:draft_id>/edit")
@needs(Action.HANDOUT_WRITE)
def save(draft_id: UUID) -> ResponseReturnValue:
    """Save the draft; or only preview it, or save it and submit it for approval, as `do` in the form says."""
    actor, do = current_actor(), request.form.get("do", "save")
    draft = get_draft(actor, draft_id)
    try:
        content, version = read_form(DraftContentSchema()), form_version()
        if do == "preview":
            return _render_editor(draft, submitted_form())
        with transaction():
            version = operations.save_draft(actor, draft_id, content, version)
        if do == "submit":
            # A transaction of its own, so that the text stays saved if it isn't ready to be submitted.
            with transaction():
                operations.submit_for_review(actor, draft_id, version)
    except Invalid as error:
        return _render_editor(get_draft(actor, draft_id), _build_error_form(error)), 422
    except Stale:
        return _render_editor(get_draft(actor, draft_id), submitted_form(), stale=True), 412
    except RuleBroken as error:
        record_refused_request(error)
        return render_draft(draft_id, None, error.reasons), 409
    if do == "submit":
        flash("draft_submitted")
        return redirect(url_for("authoring.draft_page", draft_id=draft_id), code=303)
    flash("draft_saved")
    return redirect(url_for("authoring.edit_page", draft_id=draft_id), code=303)


def _build_error_form(error: Invalid) -> Form:
    """Return the submitted form with its errors.

    If its content can be read, rows are numbered as in the content, because the errors refer to those numbers.
    """
    try:
        values = get_form_values(read_form(DraftContentSchema()))
    except Invalid:
        return submitted_form(error)
    return Form(values | {"version": request.form.get("version", "")}, error.fields)


@blueprint.post("/handouts/own/<uuid:draft_id>/preview")
@needs(Action.HANDOUT_WRITE)
def preview(draft_id: UUID) -> ResponseReturnValue:
    """Render the submitted form as a page for the editor's preview, without saving it."""
    draft = get_draft(current_actor(), draft_id)
    try:
        found = build_preview(_build_submitted_source(draft))
    except Invalid as error:
        found = Preview(None, None, error.fields)
    return render_template("authoring/preview.html", preview=found)


@blueprint.post("/handouts/own/<uuid:draft_id>/pdf")
@needs(Action.HANDOUT_WRITE)
def preview_pdf(draft_id: UUID) -> ResponseReturnValue:
    """Send the submitted form, or else the saved draft, as a PDF marked as a draft, without saving either."""
    draft = get_draft(current_actor(), draft_id)
    try:
        source = _build_submitted_source(draft) if "body" in request.form else draft.source
        handout = parse_draft(source)
        practice = get_practice_info()
        pdf = render_draft_pdf(handout, practice.letterhead, practice.help_lines)
    except InvalidHandoutFile:
        return _render_pdf_errors(draft, Invalid(find_problems(source, today()))), 422
    except Invalid as error:
        return _render_pdf_errors(draft, error), 422
    return send_file(
        BytesIO(pdf), mimetype="application/pdf", as_attachment=True, download_name="draft.pdf"
    )


def _render_pdf_errors(draft: HandoutDraft, error: Invalid) -> str:
    if "body" in request.form and draft.state == "draft":
        return _render_editor(draft, _build_error_form(error))
    return render_draft(draft.id, Form(errors=error.fields))
