"""Pages for session notes: lists, the editor with the screening, autosave, signing, the signed note."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import Blueprint, jsonify, redirect, render_template, request, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.queries import get_client_alert
from caseapp.domain.cases.queries import (
    CaseFilter,
    get_case_context,
    list_cases,
)
from caseapp.domain.notes.amendment_queries import get_amendments_of
from caseapp.domain.notes.codes import (
    ADDENDUM_LABELS,
    FORMAT_LABELS,
    MODALITIES,
)
from caseapp.domain.notes.copied_rules import list_outdated, list_rest
from caseapp.domain.notes.cosign_queries import get_review_of
from caseapp.domain.notes.formats import FORMATS, SECTIONS
from caseapp.domain.notes.move_queries import list_moved_away
from caseapp.domain.notes.operations import (
    discard_draft,
    record_draft_screening,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.queries import (
    LockedNote,
    find_previous_plan,
    get_note,
    list_case_notes,
    list_own_drafts,
    list_own_signed_notes,
    list_stated_levels,
    lock_note,
)
from caseapp.domain.notes.rules import convert_sections, missing_for_signature
from caseapp.domain.notes.schemas import DraftChange, DraftFormSchema
from caseapp.domain.notes.snippet_queries import list_snippets
from caseapp.domain.practice.queries import get_practice_info, local_now
from caseapp.domain.screening.protocol import ITEMS, LASTING_ITEMS, Level
from caseapp.domain.screening.queries import get_screening
from caseapp.domain.screening.rules import (
    derive_required_actions,
    list_immediate_steps,
    list_stated,
    opens_safety_hold,
)
from caseapp.http.errors import record_refused_request
from caseapp.http.forms import (
    BUTTON,
    Body,
    Done,
    FormPage,
    Forms,
    Sent,
    any_body,
    keep_replaced_texts,
    renew_form_key,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import form_version, load_form
from caseapp.http.template_helpers import clock_time, today, zone
from caseapp.web.case_header import load_case_context
from caseapp.web.screenings import lasting_labels

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.notes.records import NoteRecord

blueprint = Blueprint("notes", __name__)

MAX_DRAFTS = 50


@blueprint.get("/notes")
@needs(Action.NOTE_READ)
def note_list() -> ResponseReturnValue:
    """List the user's drafts and signed notes."""
    actor = current_actor()
    page = list_own_signed_notes(actor, request.args.get("cursor"), PAGE_SIZE)
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
    return render_template("notes/choose_case.html", page=page, q=case_filter.q or "")


@blueprint.get("/case/<string:number>/notes")
@needs(Action.NOTE_READ)
def case_notes(number: str) -> ResponseReturnValue:
    """List a case's notes."""
    actor, context = current_actor(), load_case_context(number)
    page = list_case_notes(actor, context.case.id, request.args.get("cursor"), PAGE_SIZE)
    return render_template(
        "notes/case_notes.html",
        context=context,
        tab="Notes",
        page=page,
        moved_away=list_moved_away(context.case.id),
        modalities=MODALITIES,
    )


def load_note(note_id: UUID) -> NoteRecord:
    """Load a note and record that it was read.

    Raises NotFound.
    """
    actor = current_actor()
    return get_note(actor, note_id)


editor = FormPage(
    blueprint,
    "/note/<uuid:note_id>",
    Action.NOTE_READ,
    load_note,
    client_of=lambda note: note.client_id,
)


@editor.show
def note_page(note: NoteRecord, forms: Forms) -> str:
    """Show a draft in the editor, or a signed note."""
    return _render_signed(note, forms) if note.status == "signed" else _render_editor(note, forms)


def draft_values(note: NoteRecord | LockedNote) -> dict[str, object]:
    """Return what the editor sends untouched; a question that was left blank stays blank."""
    found = note.record if isinstance(note, LockedNote) else note
    codes = {None: "not_asked"} | {int(level): level.name.lower() for level in Level}
    answers = found.draft.answers
    return {
        **dict.fromkeys(SECTIONS, ""),
        **{key: found.sections.get(key, "") for key in FORMATS[found.format]},
        **{item.key: codes[answers[item.key]] if item.key in answers else "" for item in ITEMS},
        "format": found.format,
        "session_at": found.session_at,
        "minutes": found.minutes,
        "modality": found.modality,
        "asked_alone": found.draft.asked_alone,
        "actions_taken": found.draft.actions_taken,
        "comment": found.draft.comment,
        **{
            f"lasting_since.{item}": found.draft.lasting_since.get(item, "")
            for item in LASTING_ITEMS
        },
        "circumstances": found.draft.circumstances,
        "below_reason": found.draft.below_reason,
    }


def section_labels() -> dict[str, str]:
    """Return what each section of a note is called, by the name of its field."""
    return (
        {key: section.label for key, section in SECTIONS.items()}
        | {"comment": "Note on the screening", "below_reason": "Why a level is much lower"}
        | lasting_labels()
    )


DRAFT = Body(DraftFormSchema, DraftChange)


@editor.form(
    Action.NOTE_WRITE,
    DRAFT,
    lock=lock_note,
    values=draft_values,
    labels=section_labels,
    refused="Nothing was saved",
)
def save(note: LockedNote, change: DraftChange, sent: Sent) -> Done:
    """Save the draft; continue to the sign page when that button was pressed."""
    before = note.row.screening_id
    save_draft(sent.actor, note, change, sent.version)
    if sent.fields.get("do") == "sign":
        return Done(url_for("notes.sign_page", **sent.args))
    page = url_for("notes.note_page", **sent.args)
    if note.row.screening_id != before:
        return Done(page, "draft_opened_hold")
    is_same_page = sent.fields.get("to_format") or sent.fields.get("do") == "gather"
    return Done(page, None if is_same_page else "note_saved")


@editor.form(
    Action.SCREENING_RECORD,
    DRAFT,
    lock=lock_note,
    rule="/note/<uuid:note_id>/screening",
    values=draft_values,
    labels=section_labels,
    refused="Nothing was saved",
    part_of="save",
)
def record_screening(note: LockedNote, change: DraftChange, sent: Sent) -> Done:
    """Save the draft and record its screening in one transaction."""
    before = note.row.screening_id
    saved = save_draft(sent.actor, note, change, sent.version)
    opened_hold = note.row.screening_id != before
    levels = list_stated_levels(note, note.record.draft)
    try:
        record_draft_screening(sent.actor, note, saved)
    except (Invalid, RuleBroken):
        if not opened_hold:
            raise
        return Done(_hold_page(sent), "hold_opened only_saved")
    if opened_hold or derive_required_actions(levels, now()).holds:
        return Done(_hold_page(sent), "hold_opened")
    return Done(url_for("notes.note_page", **sent.args), "screening_recorded")


@editor.form(
    Action.NOTE_WRITE,
    any_body,
    lock=lock_note,
    rule="/note/<uuid:note_id>/discard",
    values=draft_values,
    labels=section_labels,
    refused="The draft was not discarded",
    part_of="save",
)
def discard(note: LockedNote, _body: None, sent: Sent) -> Done:
    """Delete a draft."""
    number = get_note(sent.actor, note.row.id).number
    discard_draft(sent.actor, note, sent.version)
    return Done(url_for("notes.case_notes", number=number), "note_discarded")


@blueprint.post("/note/<uuid:note_id>/draft")
@needs(Action.NOTE_WRITE)
def autosave(note_id: UUID) -> ResponseReturnValue:
    """Save the draft while it is being written; respond in JSON.

    Words that came back after a session had ended are part of what the page sends, and are kept no longer.
    """
    actor, sent_at = current_actor(), now()
    try:
        with transaction():
            note = lock_note(actor, note_id)
            exact = {"session_at": note.row.session_at}
            change = load_form(request.form, DraftFormSchema(), zone=zone(), exact=exact)[0]
            keep_replaced_texts()
            before = note.row.screening_id
            version = save_draft(actor, note, change, form_version())
            opened_hold = note.row.screening_id != before
            form_key = renew_form_key(draft_values(note))
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
    return jsonify(
        version=version,
        form_key=form_key,
        opened_hold=opened_hold,
        saved_at=sent_at.isoformat(),
        saved=clock_time(sent_at),
    )


signing = FormPage(
    blueprint,
    "/note/<uuid:note_id>/sign",
    Action.NOTE_SIGN,
    load_note,
    client_of=lambda note: note.client_id,
    only_asks=True,
)


@signing.show
def sign_page(note: NoteRecord, forms: Forms) -> ResponseReturnValue:
    """Show what is about to be signed; return to the editor when something is missing."""
    if note.status == "signed":
        return redirect(url_for("notes.note_page", note_id=note.id), code=303)
    # What only recording knows, such as a missing reason, is wrong with a field of the editor, too.
    refused = forms.refusal.error if forms.refusal else None
    faults = refused.fields if isinstance(refused, Invalid) else {}
    recording = {name: texts for name, texts in faults.items() if name in section_labels()}
    if problems := missing_for_signature(note, now(), today()) or recording:
        forms = editor.open_forms(note, {"note_id": note.id})
        forms.mark("save", problems, "Complete these before you sign")
        return _render_editor(note, forms), 422
    context = get_case_context(current_actor(), note.case_id)
    safety = context.safety
    stated = note.draft.list_stated(safety.answers, safety.circumstances)
    return render_template(
        "notes/sign.html",
        note=replace(note, sections=convert_sections(note.sections, note.format)),
        forms=forms,
        context=context,
        required_actions=derive_required_actions(stated, local_now()),
        recorded=_find_screening(note),
        modalities=MODALITIES,
        format_labels=FORMAT_LABELS,
    )


@signing.form(Action.NOTE_SIGN, BUTTON, lock=lock_note, refused="The note was not signed")
def sign(note: LockedNote, _body: dict[str, Any], sent: Sent) -> Done:
    """Sign and lock a note."""
    levels = list_stated_levels(note, note.record.draft)
    sign_note(sent.actor, note, sent.version)
    if derive_required_actions(levels, now()).holds:
        return Done(_hold_page(sent), "note_signed hold_opened")
    return Done(url_for("notes.note_page", **sent.args), "note_signed")


def _hold_page(sent: Sent) -> str:
    number = get_note(sent.actor, sent.args["note_id"]).number
    return url_for("holds.hold_page", number=number)


def _find_screening(note: NoteRecord) -> Any:  # noqa: ANN401 - a record, or nothing
    found = note.own_screening_id
    return get_screening(current_actor(), found) if found else None


def _render_editor(note: NoteRecord, forms: Forms) -> str:
    actor = current_actor()
    context = get_case_context(actor, note.case_id)
    has_opened_hold = context.safety.hold == "safety" and any(
        opens_safety_hold(*answer) for answer in note.draft.restated.items()
    )
    form = forms.get("save")
    # A field that was sent twice is a list here.
    if str(form.value("format")) not in FORMATS:
        form.raw["format"] = note.format
    return render_template(
        "notes/editor.html",
        note=note,
        context=context,
        forms=forms,
        form=form,
        sections=FORMATS[form.value("format")],
        others=note.list_other_texts(form.value("format")),
        format_labels=FORMAT_LABELS,
        modalities=MODALITIES,
        recorded=_find_screening(note),
        previous_plan=find_previous_plan(actor, note),
        snippets=list_snippets(actor),
        rest=list_rest(note.draft, context.safety.answers, note.session_at),
        outdated=list_outdated(note.draft, context.safety.answers, note.session_at),
        addendum_labels=ADDENDUM_LABELS,
        immediate_steps=list_immediate_steps(list_stated(note.draft.screening)[1]),
        has_opened_hold=has_opened_hold,
        alert=get_client_alert(actor, note.client_id) if has_opened_hold else None,
        help_lines=get_practice_info().help_lines,
    )


def _render_signed(note: NoteRecord, forms: Forms) -> str:
    return render_template(
        "notes/read.html",
        note=note,
        review=get_review_of(note),
        amendments=get_amendments_of(note),
        forms=forms,
        context=get_case_context(current_actor(), note.case_id),
        recorded=_find_screening(note),
        modalities=MODALITIES,
        format_labels=FORMAT_LABELS,
        addendum_labels=ADDENDUM_LABELS,
    )
