"""Pages for session notes: lists, the editor with the screening, autosave, signing, the signed note."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, jsonify, redirect, render_template, request, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import (
    CaseFilter,
    get_case_context,
    list_cases,
)
from caseapp.domain.notes.codes import FORMAT_LABELS, MODALITIES
from caseapp.domain.notes.operations import (
    create_note,
    discard_draft,
    record_draft_screening,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.queries import (
    find_previous_plan,
    get_note,
    list_case_notes,
    list_own_drafts,
    list_own_signed_notes,
    lock_case_for_note,
    lock_note,
)
from caseapp.domain.notes.rules import missing_for_signature
from caseapp.domain.notes.schemas import FORMATS, SECTIONS, DraftFormSchema, NewNoteSchema
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.protocol import ITEMS, Level
from caseapp.domain.screening.queries import get_screening
from caseapp.domain.screening.rules import derive_required_actions, list_immediate_steps
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, form_version, read_form, submitted_form
from caseapp.http.template_helpers import clock_time, flash, local, zone
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.notes.schemas import NoteRecord

blueprint = Blueprint("notes", __name__)

MAX_DRAFTS = 50


@blueprint.get("/notes")
@needs(Action.NOTE_READ)
def note_list() -> ResponseReturnValue:
    """List the user's drafts and signed notes."""
    actor = current_actor()
    page = list_own_signed_notes(actor, request.args.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.NOTE_READ, "note", None, None)
    return render_template(
        "notes/note_list.html",
        drafts=list_own_drafts(actor, MAX_DRAFTS),
        page=page,
        modalities=MODALITIES,
    )


@blueprint.get("/notes/new")
@needs(Action.NOTE_WRITE)
def choose_case() -> ResponseReturnValue:
    """Choose the case of a new note."""
    actor = current_actor()
    case_filter = CaseFilter(status="open", q=request.args.get("q"))
    page = list_cases(actor, case_filter, request.args.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.CASE_READ, "case", None, None)
    return render_template("notes/choose_case.html", page=page, q=case_filter.q or "")


@blueprint.get("/case/<string:number>/notes")
@needs(Action.NOTE_READ)
def case_notes(number: str) -> ResponseReturnValue:
    """List a case's notes."""
    actor, context = current_actor(), load_case_context(number)
    page = list_case_notes(actor, context.case.id, request.args.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.NOTE_READ, "case", context.case.id, context.case.client_id)
    return render_template(
        "notes/case_notes.html", context=context, tab="Notes", page=page, modalities=MODALITIES
    )


@blueprint.get("/case/<string:number>/notes/new")
@needs(Action.NOTE_WRITE)
def new_note_page(number: str) -> ResponseReturnValue:
    """Show the form for a new note: time, modality, format."""
    return _render_new_note(number, Form())


def _render_new_note(number: str, form: Form, refused: RuleBroken | None = None) -> str:
    return render_template(
        "notes/new.html",
        context=load_case_context(number),
        tab="Notes",
        form=form,
        reasons=refused.reasons if refused else (),
        formats=FORMAT_LABELS,
        modalities=MODALITIES,
    )


@blueprint.post("/case/<string:number>/notes/new")
@needs(Action.NOTE_WRITE)
def create(number: str) -> ResponseReturnValue:
    """Start a draft."""
    actor = current_actor()
    try:
        new = read_form(NewNoteSchema(), zone=zone())
        with transaction():
            case = lock_case_for_note(actor, number)
            note_id = run_form_once(lambda: create_note(actor, case, new).id)
    except Invalid as error:
        return _render_new_note(number, submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _render_new_note(number, submitted_form(), error), 409
    return redirect(url_for("notes.note_page", note_id=note_id), code=303)


@blueprint.get("/note/<uuid:note_id>")
@needs(Action.NOTE_READ)
def note_page(note_id: UUID) -> ResponseReturnValue:
    """Show a draft in the editor, or a signed note."""
    note = _get_note_and_record_read(note_id)
    return _render_signed(note) if note.status == "signed" else _render_editor(note)


@blueprint.post("/note/<uuid:note_id>")
@needs(Action.NOTE_WRITE)
def save(note_id: UUID) -> ResponseReturnValue:
    """Save the draft; continue to the sign page when that button was pressed."""
    try:
        with transaction():
            save_draft(
                current_actor(),
                lock_note(current_actor(), note_id),
                read_form(DraftFormSchema(), zone=zone()),
                form_version(),
            )
    except (Invalid, Stale, RuleBroken) as error:
        return _render_not_saved(note_id, error)
    if request.form.get("do") == "sign":
        return redirect(url_for("notes.sign_page", note_id=note_id), code=303)
    if not request.form.get("to_format"):
        flash("note_saved")
    return redirect(url_for("notes.note_page", note_id=note_id), code=303)


@blueprint.post("/note/<uuid:note_id>/draft")
@needs(Action.NOTE_WRITE)
def autosave(note_id: UUID) -> ResponseReturnValue:
    """Save the draft while it is being written; respond in JSON."""
    actor, sent_at = current_actor(), now()
    try:
        with transaction():
            version = save_draft(
                actor,
                lock_note(actor, note_id),
                read_form(DraftFormSchema(), zone=zone()),
                form_version(),
            )
    except Invalid as error:
        return jsonify(code=error.code, message=error.message, fields=error.fields), 422
    except RuleBroken as error:
        record_refused_request(error)
        return jsonify(code=error.reasons[0].code, message=error.message), 409
    except Stale as error:
        other = get_note(actor, note_id)
        return jsonify(
            code=error.code,
            message=error.message,
            version=other.version,
            saved_at=other.updated_at.isoformat(),
            saved=clock_time(other.updated_at),
            sent_at=sent_at.isoformat(),
            sent=clock_time(sent_at),
        ), 409
    return jsonify(version=version, saved_at=sent_at.isoformat(), saved=clock_time(sent_at))


@blueprint.post("/note/<uuid:note_id>/screening")
@needs(Action.SCREENING_RECORD)
def record_screening(note_id: UUID) -> ResponseReturnValue:
    """Save the draft and record its screening in one transaction."""
    actor = current_actor()
    try:
        change = read_form(DraftFormSchema(), zone=zone())
        version = form_version()

        def save_and_record() -> UUID:
            saved = save_draft(actor, lock_note(actor, note_id), change, version)
            return record_draft_screening(actor, lock_note(actor, note_id), saved)

        with transaction():
            run_form_once(save_and_record)
    except (Invalid, Stale, RuleBroken) as error:
        return _render_not_saved(note_id, error)
    if derive_required_actions(change.screening.answers, now()).holds:
        return _redirect_to_hold(note_id)
    flash("screening_recorded")
    return redirect(url_for("notes.note_page", note_id=note_id), code=303)


@blueprint.post("/note/<uuid:note_id>/discard")
@needs(Action.NOTE_WRITE)
def discard(note_id: UUID) -> ResponseReturnValue:
    """Delete a draft."""
    actor = current_actor()
    try:
        with transaction():
            number = get_note(actor, note_id).number
            discard_draft(actor, lock_note(actor, note_id), form_version())
    except (Stale, RuleBroken) as error:
        return _render_not_saved(note_id, error)
    flash("note_discarded")
    return redirect(url_for("notes.case_notes", number=number), code=303)


@blueprint.get("/note/<uuid:note_id>/sign")
@needs(Action.NOTE_SIGN)
def sign_page(note_id: UUID) -> ResponseReturnValue:
    """Show what is about to be signed; return to the editor when something is missing."""
    note = _get_note_and_record_read(note_id)
    if note.status == "signed":
        return redirect(url_for("notes.note_page", note_id=note_id), code=303)
    if problems := missing_for_signature(note, now()):
        return _render_editor(note, Form(errors=problems)), 422
    return render_template(
        "notes/sign.html",
        note=note,
        context=get_case_context(current_actor(), note.case_id),
        required_actions=derive_required_actions(note.draft.answers, now()),
        recorded=_find_screening(note),
        modalities=MODALITIES,
        format_labels=FORMAT_LABELS,
    )


@blueprint.post("/note/<uuid:note_id>/sign")
@needs(Action.NOTE_SIGN)
def sign(note_id: UUID) -> ResponseReturnValue:
    """Sign and lock a note; a repeated request redirects to the signed note."""
    actor = current_actor()
    note = get_note(actor, note_id)
    if note.status == "signed":
        return redirect(url_for("notes.note_page", note_id=note_id), code=303)
    try:
        with transaction():
            sign_note(actor, lock_note(actor, note_id), form_version())
    except (Invalid, Stale, RuleBroken) as error:
        return _render_not_saved(note_id, error)
    flash("note_signed")
    if derive_required_actions(note.draft.answers, now()).holds:
        return _redirect_to_hold(note_id)
    return redirect(url_for("notes.note_page", note_id=note_id), code=303)


def _get_note_and_record_read(note_id: UUID) -> NoteRecord:
    actor = current_actor()
    note = get_note(actor, note_id)
    record_read(actor, Action.NOTE_READ, "note", note.id, note.client_id)
    return note


def _redirect_to_hold(note_id: UUID) -> ResponseReturnValue:
    flash("hold_opened")
    number = get_note(current_actor(), note_id).number
    return redirect(url_for("holds.hold_page", number=number), code=303)


def _find_screening(note: NoteRecord) -> Any:  # noqa: ANN401 - a record, or nothing
    return get_screening(current_actor(), note.screening_id) if note.screening_id else None


def _render_not_saved(note_id: UUID, error: Invalid | Stale | RuleBroken) -> ResponseReturnValue:
    """Show the editor again with everything that was sent, and why it was not saved."""
    record_refused_request(error)
    note = get_note(current_actor(), note_id)
    if note.status == "signed":
        return _render_signed(note, refused=error), 409
    sent = submitted_form(error if isinstance(error, Invalid) else None)
    if isinstance(error, Stale):
        return _render_editor(note, sent, conflict=True), 412
    if isinstance(error, RuleBroken):
        return _render_editor(note, sent, refused=error), 409
    return _render_editor(note, sent), 422


def _as_form_values(note: NoteRecord) -> dict[str, Any]:
    """Return a draft as the editor's form would send it."""
    codes = {None: "not_asked"} | {int(level): level.name.lower() for level in Level}
    answers = note.draft.answers
    return {
        **note.sections,
        **{item.key: codes[answers[item.key]] for item in ITEMS if item.key in answers},
        "format": note.format,
        "session_at": f"{local(note.session_at):%Y-%m-%dT%H:%M}",
        "minutes": note.minutes or "",
        "modality": note.modality,
        "asked_alone": "yes" if note.draft.asked_alone else "",
        "actions_taken": list(note.draft.actions_taken),
        "comment": note.draft.comment,
    }


def _render_editor(
    note: NoteRecord,
    sent: Form | None = None,
    *,
    conflict: bool = False,
    refused: RuleBroken | None = None,
) -> str:
    actor = current_actor()
    context = get_case_context(actor, note.case_id)
    sent = sent or Form()
    # A question that was left blank stays blank: only the coach may say that it was not asked.
    blank: dict[str, Any] = (
        {item.key: "" for item in ITEMS} | dict.fromkeys(SECTIONS, "") | {"actions_taken": []}
    )
    is_submitted = "format" in sent.raw
    form = Form(blank | (sent.raw if is_submitted else _as_form_values(note)), sent.errors)
    # A field that was sent twice is a list here.
    if str(form.value("format")) not in FORMATS:
        form.raw["format"] = note.format
    return render_template(
        "notes/editor.html",
        note=note,
        context=context,
        form=form,
        conflict=conflict,
        reasons=refused.reasons if refused else (),
        sections=FORMATS[form.value("format")],
        format_labels=FORMAT_LABELS,
        modalities=MODALITIES,
        recorded=_find_screening(note),
        last_screening=context.safety.last_screening,
        previous_plan=find_previous_plan(actor, note),
        immediate_steps=list_immediate_steps(note.draft.answers),
        help_lines=get_practice_info().help_lines,
    )


def _render_signed(note: NoteRecord, *, refused: Invalid | Stale | RuleBroken | None = None) -> str:
    return render_template(
        "notes/read.html",
        note=note,
        context=get_case_context(current_actor(), note.case_id),
        recorded=_find_screening(note),
        refused=refused,
        modalities=MODALITIES,
        format_labels=FORMAT_LABELS,
    )
