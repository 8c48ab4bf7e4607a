"""Session notes: lists, the editor with the screening beside it, autosave, signing, and the signed record."""

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
    get_case_context_by_number,
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
    missing_for_signature,
)
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
    """List my unsigned notes, and those that I have signed."""
    actor = current_actor()
    page = list_own_signed_notes(actor, request.args.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.NOTE_READ, "note", None, None)
    return render_template(
        "notes/note_list.html", drafts=list_own_drafts(actor, MAX_DRAFTS), page=page, modalities=MODALITIES
    )


@blueprint.get("/notes/new")
@needs(Action.NOTE_WRITE)
def choose_case() -> ResponseReturnValue:
    """Choose the case of a new note."""
    actor = current_actor()
    wanted = CaseFilter(status="open", q=request.args.get("q"))
    page = list_cases(actor, wanted, request.args.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.CASE_READ, "case", None, None)
    return render_template("notes/choose_case.html", page=page, q=wanted.q or "")


@blueprint.get("/case/<string:number>/notes")
@needs(Action.NOTE_READ)
def case_notes(number: str) -> ResponseReturnValue:
    """List a case's notes."""
    actor, context = current_actor(), load_case_context(number)
    page = list_case_notes(actor, context.case.id, request.args.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.NOTE_READ, "case", context.case.id, context.case.client_id)
    return render_template("notes/case_notes.html", context=context, tab="Notes", page=page, modalities=MODALITIES)


@blueprint.get("/case/<string:number>/notes/new")
@needs(Action.NOTE_WRITE)
def new_note_page(number: str) -> ResponseReturnValue:
    """Ask for the time, the way and the format of a new note."""
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
            context = get_case_context_by_number(actor, number)
            note_id = run_form_once(lambda: create_note(actor, context.case.id, new).id)
    except Invalid as error:
        return _render_new_note(number, submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _render_new_note(number, submitted_form(), error), 409
    return redirect(url_for("notes.note_page", note_id=note_id), code=303)


@blueprint.get("/note/<uuid:note_id>")
@needs(Action.NOTE_READ)
def note_page(note_id: UUID) -> ResponseReturnValue:
    """Show the editor of a draft, or the record that a signed note is."""
    note = _get_note_and_record_read(note_id)
    return _render_signed(note) if note.status == "signed" else _render_editor(note)


@blueprint.post("/note/<uuid:note_id>")
@needs(Action.NOTE_WRITE)
def save(note_id: UUID) -> ResponseReturnValue:
    """Save the draft; on the way to the signature, go on to its confirmation when nothing is missing."""
    try:
        with transaction():
            save_draft(
                current_actor(), note_id, read_form(DraftFormSchema(), zone=zone()), form_version()
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
    """Save the draft while it is being written, and answer in JSON."""
    actor, sent_at = current_actor(), now()
    try:
        with transaction():
            version = save_draft(
                actor, note_id, read_form(DraftFormSchema(), zone=zone()), form_version()
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
    """Save the draft and record its screening with everything that it demands, in one transaction."""
    actor = current_actor()
    try:
        change = read_form(DraftFormSchema(), zone=zone())
        version = form_version()

        def record_it() -> UUID:
            saved = save_draft(actor, note_id, change, version)
            return record_draft_screening(actor, note_id, saved)

        with transaction():
            run_form_once(record_it)
    except (Invalid, Stale, RuleBroken) as error:
        return _render_not_saved(note_id, error)
    if derive_required_actions(change.screening.answers, now()).holds:
        return _redirect_to_hold(note_id)
    flash("screening_recorded")
    return redirect(url_for("notes.note_page", note_id=note_id), code=303)


@blueprint.post("/note/<uuid:note_id>/discard")
@needs(Action.NOTE_WRITE)
def discard(note_id: UUID) -> ResponseReturnValue:
    """Throw a draft away for good."""
    actor = current_actor()
    try:
        with transaction():
            number = get_note(actor, note_id).number
            discard_draft(actor, note_id, form_version())
    except (Stale, RuleBroken) as error:
        return _render_not_saved(note_id, error)
    flash("note_discarded")
    return redirect(url_for("notes.case_notes", number=number), code=303)


@blueprint.get("/note/<uuid:note_id>/sign")
@needs(Action.NOTE_SIGN)
def sign_page(note_id: UUID) -> ResponseReturnValue:
    """Show what is about to be signed, once nothing is missing any more."""
    note = _get_note_and_record_read(note_id)
    if note.status == "signed":
        return redirect(url_for("notes.note_page", note_id=note_id), code=303)
    if faults := missing_for_signature(note, now()):
        return _render_editor(note, Form(errors=faults)), 422
    return render_template(
        "notes/sign.html",
        note=note,
        context=get_case_context(current_actor(), note.case_id),
        demands=derive_required_actions(note.draft.answers, now()),
        recorded=_find_screening(note),
        modalities=MODALITIES,
        format_words=FORMAT_LABELS,
    )


@blueprint.post("/note/<uuid:note_id>/sign")
@needs(Action.NOTE_SIGN)
def sign(note_id: UUID) -> ResponseReturnValue:
    """Sign and lock a note; signing it twice leads to the same record."""
    actor = current_actor()
    note = get_note(actor, note_id)
    if note.status == "signed":
        return redirect(url_for("notes.note_page", note_id=note_id), code=303)
    try:
        with transaction():
            sign_note(actor, note_id, form_version())
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
    """Show the editor again with every word that was sent, and say why it was not saved."""
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
    """Write a draft as the editor's form would send it."""
    words = {None: "not_asked"} | {int(level): level.name.lower() for level in Level}
    answers = note.draft.answers
    return {
        **note.sections,
        **{item.key: words[answers[item.key]] for item in ITEMS if item.key in answers},
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
    whole = "format" in sent.raw
    form = Form(blank | (sent.raw if whole else _as_form_values(note)), sent.errors)
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
        format_words=FORMAT_LABELS,
        modalities=MODALITIES,
        recorded=_find_screening(note),
        last=context.safety.last_screening,
        plan=find_previous_plan(actor, note),
        steps=list_immediate_steps(note.draft.answers),
        lines=get_practice_info().help_lines,
    )


def _render_signed(note: NoteRecord, *, refused: Invalid | Stale | RuleBroken | None = None) -> str:
    return render_template(
        "notes/read.html",
        note=note,
        context=get_case_context(current_actor(), note.case_id),
        recorded=_find_screening(note),
        refused=refused,
        modalities=MODALITIES,
        format_words=FORMAT_LABELS,
    )
