"""Worksheets in the portal: answers saved as they are typed, shared or not, and read from an uploaded PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import jsonify, redirect, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.i18n import format_list, gettext, lazy_gettext, ngettext
from caseapp.core.pdf_forms import MAX_FILE_BYTES, UnreadableForm
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import (
    get_own_assignment,
    get_reading_list,
    list_own_assignments,
)
from caseapp.domain.form_drafts.operations import forget_form_drafts
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
from caseapp.domain.worksheets.queries import (
    LockedWorksheet,
    get_client_worksheet,
    get_upload,
    lock_worksheet,
)
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, build_answers_schema, get_form_values
from caseapp.http.errors import record_refused_request
from caseapp.http.forms import BUTTON, Done, Sent, Typed, keep_replaced_texts, renew_form_key
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import form_version, load, read_form
from caseapp.http.template_helpers import flash, local_time
from caseapp.http.uploads import accepts_file, read_uploaded_file
from caseapp.portal.handouts import (
    REFUSED,
    HandoutView,
    ReadAnswers,
    blueprint,
    page,
    render_handout,
)

__all__ = ["blueprint"]

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor
    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.handouts.fields import Answer
    from caseapp.domain.worksheets.pdf_responses import PdfFields
    from caseapp.http.forms import Forms

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

WORKSHEET = "/h/<int(max=9999):position>"


def load_answers(typed: Typed, worksheet: LockedWorksheet) -> dict[str, Answer]:
    """Load the answers that were sent through the schema of their handout.

    Raises Invalid naming each field.
    """
    (answers,) = typed.load(build_answers_schema(worksheet.assignment.handout))
    return answers  # type: ignore[no-any-return]


def answer_values(view: HandoutView) -> dict[str, object]:
    """Return what a worksheet sends untouched."""
    return get_form_values(view.found.handout, view.worksheet.answers)


@page.form(
    Action.PORTAL_WRITE,
    load_answers,
    lock=lock_worksheet,
    rule=f"{WORKSHEET}/save",
    values=answer_values,
    refused=REFUSED,
)
def save(worksheet: LockedWorksheet, answers: dict[str, Answer], sent: Sent) -> Done:
    """Save the answers for the client only."""
    operations.save_answers(sent.actor, worksheet, answers, sent.version)
    return Done(_handout_page(sent), "worksheet_saved")


@page.form(
    Action.PORTAL_WRITE,
    load_answers,
    lock=lock_worksheet,
    rule=f"{WORKSHEET}/share",
    values=answer_values,
    refused=REFUSED,
    part_of="save",
)
def share(worksheet: LockedWorksheet, answers: dict[str, Answer], sent: Sent) -> Done:
    """Save the answers and share them with the coach as they are now."""
    operations.share_answers(sent.actor, worksheet, answers, sent.version)
    return Done(_handout_page(sent), "worksheet_shared")


@blueprint.post(f"{WORKSHEET}/draft")
@needs(Action.PORTAL_WRITE)
def autosave(position: int) -> ResponseReturnValue:
    """Save the answers in the background and respond in JSON."""
    actor, sent_at = current_actor(), now()
    found = get_own_assignment(actor, position)
    try:
        answers = read_form(build_answers_schema(found.handout))
        start = form_version()
        with transaction():
            worksheet = lock_worksheet(actor, position)
            keep_replaced_texts()
            version = operations.save_answers(actor, worksheet, answers, start)
            form_key = renew_form_key(get_form_values(found.handout, answers))
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
    return jsonify(version=version, form_key=form_key, saved=local_time(sent_at))


@page.form(
    Action.PORTAL_WRITE,
    BUTTON,
    lock=lock_worksheet,
    rule=f"{WORKSHEET}/unshare",
    refused=REFUSED,
)
def stop_sharing(worksheet: LockedWorksheet, _body: dict[str, object], sent: Sent) -> Done:
    """Remove the shared copy from the coach's view."""
    operations.stop_sharing(sent.actor, worksheet)
    return Done(_handout_page(sent), "worksheet_unshared")


@page.form(
    Action.PORTAL_WRITE,
    BUTTON,
    lock=lock_worksheet,
    rule=f"{WORKSHEET}/delete",
    refused=REFUSED,
)
def delete(worksheet: LockedWorksheet, _body: dict[str, object], sent: Sent) -> Done:
    """Delete the answers, the copy that was shared, and the words that were not saved."""
    operations.delete_answers(sent.actor, worksheet, sent.version)
    unsaved = url_for("portal_handouts.save", position=sent.args["position"])
    forget_form_drafts(sent.actor.id, unsaved, now())
    return Done(url_for("portal_handouts.written_page"), "worksheet_deleted")


def _handout_page(sent: Sent) -> str:
    return url_for("portal_handouts.handout_page", position=sent.args["position"])


@blueprint.post(f"{WORKSHEET}/upload")
@needs(Action.PORTAL_WRITE)
@accepts_file(MAX_FILE_BYTES)
def upload(position: int) -> ResponseReturnValue:
    """Read the answers from a filled-in PDF, single or packet; keep a file that can't be read for later."""
    found = get_own_assignment(current_actor(), position)
    try:
        data = read_uploaded_file("file")
        parts = read_pdf_fields(data)
        read = read_answers(parts, found.handout, position)
    except UnreadableForm as error:
        return _keep_unreadable(found, str(error), data)
    except WrongHandout:
        return _wrong_handout(found, parts, data)
    except Invalid as error:
        return _upload_error(found, error.fields["file"][0])
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
        for record in list_own_assignments(current_actor())
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
    errors: dict[str, list[str]] = {}
    try:
        answers = load(build_answers_schema(found.handout), merged)
        if not overwritten:
            with transaction():
                operations.save_answers(
                    actor, lock_worksheet(actor, found.position), answers, worksheet.version
                )
            return _back_to_handout(found.position, "answers_read", *others)
        status = 409
    except Stale:
        status = 412
    except Invalid as error:
        errors, status = error.fields, 422
    for code in others:
        flash(code)
    view, forms = _open_again(found)
    forms.mark("save", errors, gettext("Check your answers"))
    answers = {name.removeprefix(FIELD_PREFIX): answer for name, answer in merged.items()}
    values = get_form_values(found.handout, answers)
    return render_handout(view, forms, ReadAnswers(values, overwritten)), status


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
    view, forms = _open_again(found)
    forms.mark("save", {"file": [message]}, gettext("Check your answers"))
    return render_handout(view, forms), status


def _open_again(found: AssignmentRecord) -> tuple[HandoutView, Forms]:
    """Load the page of a handout again, for a file that changed nothing."""
    view = HandoutView(found, get_client_worksheet(current_actor(), found))
    return view, page.open_forms(view, {"position": found.position})


def lock_worksheet_of_upload(actor: Actor, position: int, upload_id: UUID) -> LockedWorksheet:
    """Lock a worksheet for a change of one of its files.

    Raises NotFound, also for a file of another worksheet.
    """
    worksheet = lock_worksheet(actor, position)
    get_upload(worksheet, upload_id)
    return worksheet


@page.form(
    Action.PORTAL_WRITE,
    BUTTON,
    lock=lock_worksheet_of_upload,
    rule=f"{WORKSHEET}/files/<uuid:upload_id>/send",
    refused=REFUSED,
)
def send_upload(worksheet: LockedWorksheet, _body: dict[str, object], sent: Sent) -> Done:
    """Send a file to the coach as it is."""
    operations.send_upload(sent.actor, worksheet, sent.args["upload_id"])
    return Done(_handout_page(sent), "upload_sent")


@page.form(
    Action.PORTAL_WRITE,
    BUTTON,
    lock=lock_worksheet_of_upload,
    rule=f"{WORKSHEET}/files/<uuid:upload_id>/remove",
    refused=REFUSED,
)
def delete_upload(worksheet: LockedWorksheet, _body: dict[str, object], sent: Sent) -> Done:
    """Delete a file."""
    operations.delete_upload(sent.actor, worksheet, sent.args["upload_id"])
    return Done(_handout_page(sent), "upload_removed")


def _back_to_handout(position: int, *done: str) -> ResponseReturnValue:
    for code in done:
        flash(code)
    return redirect(url_for("portal_handouts.handout_page", position=position), code=303)
