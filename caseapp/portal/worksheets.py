"""Worksheets in the portal: answers saved as they are typed, shared or not, and read from an uploaded PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, jsonify, redirect, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.i18n import format_list, lazy_gettext, ngettext
from caseapp.core.pdf_forms import MAX_FILE_BYTES, UnreadableForm
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import get_reading_list, get_reading_list_item
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.worksheets import operations
from caseapp.domain.worksheets.codes import UNREAD_REASONS
from caseapp.domain.worksheets.pdf_responses import (
    WrongHandout,
    contains_handout,
    list_filled_positions,
    merge_answers,
    read_answers,
    read_pdf_fields,
)
from caseapp.domain.worksheets.queries import get_client_worksheet, lock_worksheet
from caseapp.domain.worksheets.schemas import build_answers_schema
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, form_version, load, read_form, submitted_form
from caseapp.http.template_helpers import flash, local_time
from caseapp.http.uploads import accepts_file, read_uploaded_file
from caseapp.portal.handouts import UnsavedChanges, render_handout

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.worksheets.pdf_responses import PdfFields

# Why an upload is rejected and not kept: the client can fix it, or it is better not passed on.
REJECTED_UPLOADS = {
    "not_pdf": lazy_gettext(
        "This is not a PDF. Choose the file that you saved from this page and filled in."
    ),
    "too_big": lazy_gettext(
        "This file is larger than 5 MB. Make the file smaller, or write your answers here instead."
    ),
    "locked": lazy_gettext(
        "This file is locked with a password. Save it without a password and try again."
    ),
    "too_much": lazy_gettext(
        "This file took too long to read, so we stopped. Write your answers here instead."
    ),
    "busy": lazy_gettext("Files can’t be read right now. Try again in a minute."),
}

blueprint = Blueprint(
    "portal_worksheets", __name__, url_prefix="/portal/h/<int(max=9999):position>"
)


@blueprint.post("/save")
@needs(Action.PORTAL_WRITE)
def save(position: int) -> ResponseReturnValue:
    """Save the answers for the client only."""
    return _write(position, operations.save_answers, "worksheet_saved")


@blueprint.post("/share")
@needs(Action.PORTAL_WRITE)
def share(position: int) -> ResponseReturnValue:
    """Save the answers and share them with the coach as they are now."""
    return _write(position, operations.share_answers, "worksheet_shared")


def _write(position: int, change: Callable[..., object], done: str) -> ResponseReturnValue:
    actor = current_actor()
    found = get_reading_list_item(actor, position)
    try:
        answers = read_form(build_answers_schema(found.handout))
        version = form_version()
        with transaction():
            change(actor, lock_worksheet(actor, position), answers, version)
    except (Invalid, Stale, RuleBroken) as error:
        return _not_saved(position, error)
    return _back_to_handout(position, done)


def _not_saved(position: int, error: Invalid | Stale | RuleBroken) -> ResponseReturnValue:
    """Show the page with the submitted answers and why they are not saved.

    Raises RuleBroken when the worksheet may not be read now.
    """
    record_refused_request(error)
    found = get_reading_list_item(current_actor(), position)
    if isinstance(error, Stale):
        return render_handout(found, UnsavedChanges(submitted_form(), conflict="window")), 412
    if isinstance(error, RuleBroken):
        return render_handout(found, UnsavedChanges(submitted_form(), reasons=error.reasons)), 409
    return render_handout(found, UnsavedChanges(submitted_form(error))), 422


@blueprint.post("/draft")
@needs(Action.PORTAL_WRITE)
def autosave(position: int) -> ResponseReturnValue:
    """Save the answers in the background and respond in JSON."""
    actor, sent_at = current_actor(), now()
    found = get_reading_list_item(actor, position)
    try:
        answers = read_form(build_answers_schema(found.handout))
        start = form_version()
        with transaction():
            version = operations.save_answers(
                actor, lock_worksheet(actor, position), answers, start
            )
    except Invalid as error:
        return jsonify(code=error.code, message=str(error.message), fields=error.fields), 422
    except Stale as error:
        other = get_client_worksheet(actor, found)
        return jsonify(
            code=error.code,
            message=str(error.message),
            version=other.version,
            saved=local_time(other.saved_at or sent_at),
            sent=local_time(sent_at),
        ), 409
    return jsonify(version=version, saved=local_time(sent_at))


@blueprint.post("/unshare")
@needs(Action.PORTAL_WRITE)
def stop_sharing(position: int) -> ResponseReturnValue:
    """Remove the shared copy from the coach's view."""
    with transaction():
        operations.stop_sharing(current_actor(), lock_worksheet(current_actor(), position))
    return _back_to_handout(position, "worksheet_unshared")


@blueprint.post("/upload")
@needs(Action.PORTAL_WRITE)
@accepts_file(MAX_FILE_BYTES)
def upload(position: int) -> ResponseReturnValue:
    """Read the answers from a filled-in PDF, single or packet; keep a file that can't be read for later."""
    found = get_reading_list_item(current_actor(), position)
    try:
        data = read_uploaded_file("file")
        parts = read_pdf_fields(data)
        read = read_answers(parts, found.handout, position)
    except UnreadableForm as error:
        return _keep_unreadable(found, str(error), data)
    except WrongHandout:
        return _wrong_handout(found, parts, data)
    except Invalid as error:
        return render_handout(found, UnsavedChanges(Form(errors=error.fields))), 422
    return _save_read_answers(found, read, _save_other_answers(found, parts))


def _wrong_handout(found: AssignmentRecord, parts: PdfFields, data: bytes) -> ResponseReturnValue:
    """Name the handouts on the client's list to which the file belongs, or keep the file."""
    named = dict.fromkeys(
        f"“{plain_text(record.handout.neutral_title)}”"
        for record in get_reading_list(current_actor())
        if contains_handout(parts, record.handout, record.position)
    )
    if not named:
        return _keep_unreadable(found, "wrong_form", data)
    message = ngettext(
        "This file belongs to %(handouts)s. Open that page and upload it there.",
        "This file belongs to %(handouts)s. Open one of those pages and upload it there.",
        len(named),
        handouts=format_list([*named]),
    )
    return _upload_error(found, message)


def _save_other_answers(found: AssignmentRecord, parts: PdfFields) -> list[str]:
    """Save a packet's answers to the client's other worksheets; return the codes of the messages to flash."""
    others = list_filled_positions(parts) - {found.position}
    saved = {
        record.position
        for record in get_reading_list(current_actor())
        if record.position in others and _save_without_review(record, parts)
    }
    messages = {"other_answers_read": saved, "other_worksheet_unread": others - saved}
    return [code for code, positions in messages.items() if positions]


def _save_without_review(record: AssignmentRecord, parts: PdfFields) -> bool:
    """Save a packet's answers to another worksheet unless the client must review them; return whether saved."""
    actor = current_actor()
    worksheet = get_client_worksheet(actor, record)
    try:
        read = read_answers(parts, record.handout, record.position)
        merged, overwritten = merge_answers(worksheet.answers, read)
        answers = load(build_answers_schema(record.handout), merged)
        if not overwritten:
            with transaction():
                operations.save_answers(
                    actor, lock_worksheet(actor, record.position), answers, worksheet.version
                )
    except (WrongHandout, Invalid, Stale, RuleBroken):
        return False
    return not overwritten


def _save_read_answers(
    found: AssignmentRecord, read: dict[str, object], others: list[str]
) -> ResponseReturnValue:
    """Save the answers from a PDF, or show them for review if they are invalid or differ from saved answers."""
    actor = current_actor()
    worksheet = get_client_worksheet(actor, found)
    merged, overwritten = merge_answers(worksheet.answers, read)
    try:
        answers = load(build_answers_schema(found.handout), merged)
        if not overwritten:
            with transaction():
                operations.save_answers(
                    actor, lock_worksheet(actor, found.position), answers, worksheet.version
                )
            return _back_to_handout(found.position, "answers_read", *others)
        unsaved, status = UnsavedChanges(Form(merged), overwritten, "pdf"), 409
    except Stale:
        unsaved, status = UnsavedChanges(Form(merged), conflict="window"), 412
    except Invalid as error:
        unsaved, status = UnsavedChanges(Form(merged, error.fields), overwritten, "pdf"), 422
    for code in others:
        flash(code)
    return render_handout(found, unsaved), status


def _keep_unreadable(found: AssignmentRecord, reason: str, data: bytes) -> ResponseReturnValue:
    if reason not in UNREAD_REASONS:
        return _upload_error(found, str(REJECTED_UPLOADS[reason]))
    try:
        actor = current_actor()
        with transaction():
            worksheet = lock_worksheet(actor, found.position)
            run_form_once(lambda: operations.store_upload(actor, worksheet, data, reason))
    except RuleBroken as error:
        record_refused_request(error)
        full = error.reasons[0]
        return _upload_error(found, f"{full.message} {full.way_out}", 409)
    return _back_to_handout(found.position, "upload_unreadable")


def _upload_error(found: AssignmentRecord, message: str, status: int = 422) -> ResponseReturnValue:
    return render_handout(found, UnsavedChanges(Form(errors={"file": [message]}))), status


@blueprint.post("/files/<uuid:upload_id>/send")
@needs(Action.PORTAL_WRITE)
def send_upload(position: int, upload_id: UUID) -> ResponseReturnValue:
    """Send a file to the coach as it is."""
    with transaction():
        operations.send_upload(
            current_actor(), lock_worksheet(current_actor(), position), upload_id
        )
    return _back_to_handout(position, "upload_sent")


@blueprint.post("/files/<uuid:upload_id>/remove")
@needs(Action.PORTAL_WRITE)
def delete_upload(position: int, upload_id: UUID) -> ResponseReturnValue:
    """Delete a file."""
    with transaction():
        operations.delete_upload(
            current_actor(), lock_worksheet(current_actor(), position), upload_id
        )
    return _back_to_handout(position, "upload_removed")


def _back_to_handout(position: int, *done: str) -> ResponseReturnValue:
    for code in done:
        flash(code)
    return redirect(url_for("portal_handouts.handout_page", position=position), code=303)
