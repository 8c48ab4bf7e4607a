"""Writing in a sheet: saved as it is typed, shared and taken back, and read out of a PDF that came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, jsonify, redirect, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.pdf_forms import LARGEST_FILE, Unreadable
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import reading, reading_list
from caseapp.domain.handouts.rendering import plain
from caseapp.domain.worksheets.operations import (
    keep_file,
    remove_file,
    save_answers,
    send_file,
    share_answers,
    take_back,
)
from caseapp.domain.worksheets.pdf_responses import (
    OtherSheet,
    answers_in,
    filled_in,
    holds,
    parts_of,
    together,
)
from caseapp.domain.worksheets.queries import paper_of
from caseapp.domain.worksheets.schemas import WHY_WORDS, answers_schema
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import form_once
from caseapp.http.request_parsing import Form, form_of, form_version, load, read_form
from caseapp.http.template_helpers import clock_time, say
from caseapp.http.uploads import sent_file, takes_file
from caseapp.portal.handouts import Unsaved, show_sheet
from caseapp.portal.phrases import NOT_KEPT, Speech

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.worksheets.pdf_responses import Parts

blueprint = Blueprint("portal_writing", __name__, url_prefix="/portal/h/<int(max=9999):place>")


@blueprint.post("/save")
@needs(Action.PORTAL_WRITE)
def save_now(place: int) -> ResponseReturnValue:
    """Save what is written, for the client alone."""
    return _write(place, save_answers, "sheet_saved")


@blueprint.post("/share")
@needs(Action.PORTAL_WRITE)
def share_now(place: int) -> ResponseReturnValue:
    """Save what is written and let the coach read it as it stands."""
    return _write(place, share_answers, "sheet_shared")


def _write(place: int, change: Callable[..., object], done: str) -> ResponseReturnValue:
    actor = the_actor()
    found = reading(actor, place)
    try:
        answers = read_form(answers_schema(found.handout))
        version = form_version()
        with transaction():
            change(actor, place, answers, version)
    except (Invalid, Stale, RuleBroken) as error:
        return _not_saved(place, error)
    return _back(place, done)


def _not_saved(place: int, error: Invalid | Stale | RuleBroken) -> ResponseReturnValue:
    """Show every word that was sent, and why it is not saved; a sheet that may not be read now says only that."""
    remember_refusal(error)
    found = reading(the_actor(), place)
    if isinstance(error, Stale):
        return show_sheet(found, Unsaved(form_of(), conflict="window")), 412
    if isinstance(error, RuleBroken):
        return show_sheet(found, Unsaved(form_of(), reasons=error.reasons)), 409
    return show_sheet(found, Unsaved(form_of(error))), 422


@blueprint.post("/draft")
@needs(Action.PORTAL_WRITE)
def autosave(place: int) -> ResponseReturnValue:
    """Save what is written while it is being written, and answer in JSON."""
    actor, sent_at = the_actor(), now()
    found = reading(actor, place)
    try:
        answers = read_form(answers_schema(found.handout))
        start = form_version()
        with transaction():
            version = save_answers(actor, place, answers, start)
    except Invalid as error:
        fields = Speech(found.handout.language).errors(error.fields)
        return jsonify(code=error.code, message=error.message, fields=fields), 422
    except Stale as error:
        other = paper_of(actor, found)
        return jsonify(
            code=error.code,
            message=error.message,
            version=other.version,
            saved=clock_time(other.saved_at or sent_at),
            sent=clock_time(sent_at),
        ), 409
    return jsonify(version=version, saved=clock_time(sent_at))


@blueprint.post("/unshare")
@needs(Action.PORTAL_WRITE)
def unshare_now(place: int) -> ResponseReturnValue:
    """Take back what the coach could read."""
    with transaction():
        take_back(the_actor(), place)
    return _back(place, "sheet_taken_back")


@blueprint.post("/upload")
@needs(Action.PORTAL_WRITE)
@takes_file(LARGEST_FILE)
def upload_now(place: int) -> ResponseReturnValue:
    """Read the answers out of a PDF that was filled in, alone or in a pack; keep for later what cannot be read."""
    found = reading(the_actor(), place)
    try:
        data = sent_file("file")
        parts = parts_of(data)
        read = answers_in(parts, found.handout, place)
    except Unreadable as fault:
        return _unread(found, str(fault), data)
    except OtherSheet:
        return _elsewhere(found, parts, data)
    except Invalid as error:
        return show_sheet(found, Unsaved(Form(errors=error.fields))), 422
    return _take(found, read, _take_others(found, parts))


def _elsewhere(found: AssignmentRecord, parts: Parts, data: bytes) -> ResponseReturnValue:
    """Name the sheets of the client's list to which a file belongs, if any."""
    named = dict.fromkeys(
        f"“{plain(record.handout.outside_title)}”"
        for record in reading_list(the_actor())
        if holds(parts, record.handout, record.place)
    )
    if not named:
        return _unread(found, "other_sheet", data)
    return _refused(found, _belongs(Speech(found.handout.language), *named))


def _belongs(tell: Speech, *named: str) -> str:
    """Say to which of several sheets a file belongs."""
    *others, last = named
    if not others:
        return tell(
            "This file belongs to {sheet}. Open that sheet and send it from there.", sheet=last
        )
    return tell(
        "This file belongs to {sheets} and {sheet}. Open one of them and send it from there.",
        sheets=", ".join(others),
        sheet=last,
    )


def _take_others(found: AssignmentRecord, parts: Parts) -> list[str]:
    """Save what a pack says about the client's other sheets too; give what to say of them and of what is left."""
    others = filled_in(parts) - {found.place}
    saved = {
        record.place
        for record in reading_list(the_actor())
        if record.place in others and _saved_unseen(record, parts)
    }
    told = {"others_read": saved, "others_left": others - saved}
    return [code for code, places in told.items() if places]


def _saved_unseen(record: AssignmentRecord, parts: Parts) -> bool:
    """Save what a pack says about a sheet that is not open now, unless the client had better look; tell which."""
    actor = the_actor()
    paper = paper_of(actor, record)
    try:
        read = answers_in(parts, record.handout, record.place)
        whole, lost = together(paper.answers, read)
        answers = load(answers_schema(record.handout), whole)
        if not lost:
            with transaction():
                save_answers(actor, record.place, answers, paper.version)
    except (OtherSheet, Invalid, Stale, RuleBroken):
        return False
    return not lost


def _take(
    found: AssignmentRecord, read: dict[str, object], others: list[str]
) -> ResponseReturnValue:
    """Save what a PDF says unless it has faults or contradicts what is saved; then the client looks first."""
    actor = the_actor()
    paper = paper_of(actor, found)
    whole, lost = together(paper.answers, read)
    try:
        answers = load(answers_schema(found.handout), whole)
        if not lost:
            with transaction():
                save_answers(actor, found.place, answers, paper.version)
            return _back(found.place, "pdf_read", *others)
        unsaved, status = Unsaved(Form(whole), lost, "pdf"), 409
    except Stale:
        unsaved, status = Unsaved(Form(whole), conflict="window"), 412
    except Invalid as error:
        unsaved, status = Unsaved(Form(whole, error.fields), lost, "pdf"), 422
    for code in others:
        say(code)
    return show_sheet(found, unsaved), status


def _unread(found: AssignmentRecord, why: str, data: bytes) -> ResponseReturnValue:
    if why not in WHY_WORDS:
        return _refused(found, NOT_KEPT[why])
    try:
        with transaction():
            form_once(lambda: keep_file(the_actor(), found.place, data, why))
    except RuleBroken as error:
        remember_refusal(error)
        full = Speech(found.handout.language).reason(error.reasons[0])
        return _refused(found, f"{full.message} {full.how}", 409)
    return _back(found.place, "file_waits")


def _refused(found: AssignmentRecord, words: str, status: int = 422) -> ResponseReturnValue:
    return show_sheet(found, Unsaved(Form(errors={"file": [words]}))), status


@blueprint.post("/files/<uuid:returned_id>/send")
@needs(Action.PORTAL_WRITE)
def send_now(place: int, returned_id: UUID) -> ResponseReturnValue:
    """Let the coach have a file as it is."""
    with transaction():
        send_file(the_actor(), place, returned_id)
    return _back(place, "file_sent")


@blueprint.post("/files/<uuid:returned_id>/remove")
@needs(Action.PORTAL_WRITE)
def remove_now(place: int, returned_id: UUID) -> ResponseReturnValue:
    """Remove a file for good."""
    with transaction():
        remove_file(the_actor(), place, returned_id)
    return _back(place, "file_removed")


def _back(place: int, *done: str) -> ResponseReturnValue:
    for code in done:
        say(code)
    return redirect(url_for("portal_reading.sheet", place=place), code=303)
