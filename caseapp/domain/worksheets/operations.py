"""Save, share and delete worksheet responses; keep, send and delete uploads.

Only the client makes these changes; a job deletes expired uploads. Answers and files that aren't sent are sealed to the
client's writing key, what is shared or sent under the client's key.

What a client wrote stays theirs when the handout is withdrawn or suspended: they can still save, share and delete it.
Every change has an audit event, which says nothing about the content, not even which fields changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, operator, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Stale
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.reads import write_with_reads
from caseapp.core.vault import seal_bytes, seal_json, seal_private, unseal_private
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import READER
from caseapp.domain.clients.visibility import has_role
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload
from caseapp.domain.worksheets.queries import count_kept_uploads, get_upload
from caseapp.domain.worksheets.rules import check_send, check_share, check_upload, check_write
from caseapp.domain.worksheets.schemas import UPLOAD_RETENTION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from caseapp.domain.handouts.fields import Answer
    from caseapp.domain.worksheets.queries import LockedWorksheet
    from caseapp.domain.worksheets.schemas import SharedAnswers


def save_answers(
    actor: Actor, worksheet: LockedWorksheet, answers: Mapping[str, Answer], expected_version: int
) -> int:
    """Save a client's answers for the client only; return the new version.

    Unchanged answers are not saved again, so a repeated autosave whose response was lost is harmless. Raises RuleBroken
    while only an earlier PIN opens the answers, and Stale when another window saved a newer version first.
    """
    require(actor, Action.PORTAL_WRITE)
    return _save(actor, worksheet, answers, expected_version).version


def share_answers(
    actor: Actor, worksheet: LockedWorksheet, answers: Mapping[str, Answer], expected_version: int
) -> None:
    """Save the answers and share them with the coach; later changes stay private.

    Raises what `save_answers` raises, and RuleBroken when there is nothing to share.
    """
    require(actor, Action.PORTAL_WRITE)
    check_share(worksheet, answers)
    row = _save(actor, worksheet, answers, expected_version)
    row.shared_answers = seal_json(row, "shared_answers", dict(answers), worksheet.key)
    row.shared_at, row.shared_read_at = now(), None
    db.session.flush()
    _record_audit(actor, row.assignment_id, actor.id, "shared")


def stop_sharing(actor: Actor, worksheet: LockedWorksheet) -> None:
    """Remove the shared copy; the client keeps the answers, the audit log that they were shared.

    Idempotent.
    """
    require(actor, Action.PORTAL_WRITE)
    row = worksheet.response
    if row is None or row.shared_at is None:
        return
    row.shared_answers, row.shared_at, row.shared_read_at = None, None, None
    db.session.flush()
    _record_audit(actor, row.assignment_id, actor.id, "unshared")


def delete_answers(actor: Actor, worksheet: LockedWorksheet, expected_version: int) -> None:
    """Delete a client's answers and the copy that was shared; files that were uploaded stay.

    Idempotent. Raises Stale when another window saved a newer version first.
    """
    require(actor, Action.PORTAL_WRITE)
    row = worksheet.response
    if row is None:
        return
    set_committed_value(row, "version", expected_version)
    db.session.delete(row)
    db.session.flush()
    _record_audit(actor, worksheet.assignment.id, actor.id, "deleted")


def store_upload(actor: Actor, worksheet: LockedWorksheet, data: bytes, reason: str) -> UUID:
    """Store a file that could not be read, sealed and visible to the client only until they send it.

    `reason` is a key of UNREAD_REASONS. Raises RuleBroken when there are too many uploads.
    """
    require(actor, Action.PORTAL_WRITE)
    assignment_id = worksheet.assignment.id
    check_upload(worksheet, count_kept_uploads(actor.id, assignment_id), len(data))
    row = WorksheetUpload(
        id=new_id(),
        assignment_id=assignment_id,
        client_id=actor.id,
        size=len(data),
        reason=reason,
        received_at=now(),
    )
    row.writing_key_id = worksheet.writing.id
    row.content = seal_private(
        row.__tablename__, "content", row.id, data, worksheet.writing.public, worksheet.key
    )
    db.session.add(row)
    db.session.flush()
    _record_audit(actor, assignment_id, actor.id, "upload_kept")
    return row.id


def send_upload(actor: Actor, worksheet: LockedWorksheet, upload_id: UUID) -> None:
    """Send a stored upload to the coach as it is.

    Idempotent. Raises NotFound, and RuleBroken while only an earlier PIN opens it.
    """
    require(actor, Action.PORTAL_WRITE)
    row = get_upload(worksheet, upload_id)
    if row.sent_at is None:
        check_send(worksheet, row)
        place = (row.__tablename__, "content", row.id)
        content = unseal_private(*place, row.content, worksheet.writing, worksheet.key)
        row.content = seal_bytes(row, "content", content, worksheet.key)
        row.writing_key_id = None
        row.sent_at = now()
        db.session.flush()
        _record_audit(actor, row.assignment_id, actor.id, "upload_sent")


def delete_upload(actor: Actor, worksheet: LockedWorksheet, upload_id: UUID) -> None:
    """Delete an upload, even one that was sent.

    Raises NotFound.
    """
    require(actor, Action.PORTAL_WRITE)
    row = get_upload(worksheet, upload_id)
    db.session.delete(row)
    db.session.flush()
    _record_audit(actor, row.assignment_id, actor.id, "upload_deleted")


def mark_answers_opened(actor: Actor, shared: SharedAnswers) -> None:
    """Note when a member of staff opens shared answers for the first time, with what the request reads.

    Answers that were shared again in the meantime stay unread, and so do those that are read by emergency access: they
    still wait for the coach.
    """
    _note_opened(
        sa.update(WorksheetResponse)
        .where(
            WorksheetResponse.assignment_id == shared.assignment_id,
            WorksheetResponse.shared_at == shared.shared_at,
            WorksheetResponse.shared_read_at.is_(None),
            ~has_role(actor, READER, WorksheetResponse.client_id),
        )
        .values(shared_read_at=now())
    )


def mark_upload_opened(actor: Actor, upload_id: UUID) -> None:
    """Note when a member of staff opens a sent upload for the first time, unless by emergency access."""
    _note_opened(
        sa.update(WorksheetUpload)
        .where(
            WorksheetUpload.id == upload_id,
            WorksheetUpload.read_at.is_(None),
            ~has_role(actor, READER, WorksheetUpload.client_id),
        )
        .values(read_at=now())
    )


def _note_opened(opened: sa.Update) -> None:
    write_with_reads(lambda connection: connection.execute(opened))


def delete_expired_uploads() -> int:
    """Delete uploads not sent within UPLOAD_RETENTION, even of suspended or withdrawn handouts; return how many.

    A sent upload stays available to the coach until the client deletes it, as shared answers do, so that it does not
    disappear from what the coach works with.
    """
    deleted = db.session.execute(
        sa.delete(WorksheetUpload)
        .where(
            WorksheetUpload.sent_at.is_(None),
            WorksheetUpload.received_at <= now() - UPLOAD_RETENTION,
        )
        .returning(WorksheetUpload.assignment_id, WorksheetUpload.client_id)
    ).all()
    for assignment_id, client_id in deleted:
        _record_audit(operator(), assignment_id, client_id, "upload_expired")
    return len(deleted)


def _save(
    actor: Actor, worksheet: LockedWorksheet, answers: Mapping[str, Answer], expected_version: int
) -> WorksheetResponse:
    check_write(worksheet)
    assignment_id, row = worksheet.assignment.id, worksheet.response
    if row is None:
        if expected_version:
            raise Stale
        row = WorksheetResponse(id=new_id(), assignment_id=assignment_id, client_id=actor.id)
        db.session.add(row)
    elif worksheet.answers == dict(answers):
        return row
    else:
        set_committed_value(row, "version", expected_version)
    text = json.dumps(dict(answers), ensure_ascii=False, sort_keys=True).encode()
    row.writing_key_id = worksheet.writing.id
    row.answers = seal_private(
        row.__tablename__, "answers", row.id, text, worksheet.writing.public, worksheet.key
    )
    row.saved_at = now()
    db.session.flush()
    _record_audit(actor, assignment_id, actor.id, "saved")
    return row


def _record_audit(actor: Actor, assignment_id: UUID, client_id: UUID, what: str) -> None:
    record(
        actor,
        Action.PORTAL_WRITE,
        "assignment",
        assignment_id,
        client_id=client_id,
        details={"answers": what},
    )
