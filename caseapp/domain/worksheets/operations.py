"""Save and share worksheet responses; keep, send and delete uploads.

Only the client makes these changes; a job deletes expired uploads.

A handout that may not be read now may not be changed either, with the same neutral reason. Every change has an audit
event, which says nothing about the content, not even which fields changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, operator, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken, Stale
from caseapp.core.ids import new_id
from caseapp.core.pdf_forms import MAX_FILE_BYTES
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_bytes, seal_json, unseal_json
from caseapp.domain.assignments.reading import get_reading_list_item
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload
from caseapp.domain.worksheets.queries import find_response
from caseapp.domain.worksheets.schemas import UPLOAD_RETENTION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.worksheets.schemas import Answer

MAX_UPLOADS_PER_WORKSHEET = 5
"""Largest number of uploads kept for one worksheet."""
MAX_UPLOAD_BYTES_PER_CLIENT = 4 * MAX_FILE_BYTES
"""Largest total size of one client's uploads, in bytes."""


def save_answers(
    actor: Actor, position: int, answers: Mapping[str, Answer], expected_version: int
) -> int:
    """Save a client's answers for the client only; return the new version.

    Unchanged answers are not saved again, so a repeated autosave whose response was lost is harmless. Raises
    NotFound, RuleBroken when the handout may not be read now, Stale when another window saved a newer version first.
    """
    assignment, row = _lock_worksheet(actor, position)
    return _save(actor, assignment, row, answers, expected_version).version


def share_answers(
    actor: Actor, position: int, answers: Mapping[str, Answer], expected_version: int
) -> None:
    """Save the answers and share them with the coach; later changes stay private.

    Raises what `save_answers` raises, and RuleBroken when there is nothing to share.
    """
    if not answers:
        raise RuleBroken(
            Reason("nothing_to_share", "There is nothing to share yet.", "Write something first.")
        )
    assignment, row = _lock_worksheet(actor, position)
    row = _save(actor, assignment, row, answers, expected_version)
    row.shared_answers = seal_json(row, "shared_answers", dict(answers), assignment.recipient.key)
    row.shared_at = now()
    db.session.flush()
    _record_audit(actor, assignment.id, actor.id, "shared")


def stop_sharing(actor: Actor, position: int) -> None:
    """Remove the shared copy; the client keeps the answers, the audit log that they were shared.

    Idempotent. Raises NotFound, RuleBroken when the handout may not be read now.
    """
    assignment, row = _lock_worksheet(actor, position)
    if row is None or row.shared_at is None:
        return
    row.shared_answers, row.shared_at = None, None
    db.session.flush()
    _record_audit(actor, assignment.id, actor.id, "unshared")


def store_upload(actor: Actor, position: int, data: bytes, reason: str) -> UUID:
    """Store a file that could not be read, sealed and visible to the client only until they send it.

    `reason` is a key of UNREAD_REASONS. Raises NotFound, RuleBroken when the handout may not be read now or there are
    too many uploads.
    """
    assignment, _row = _lock_worksheet(actor, position)
    _require_room(actor, assignment, len(data))
    row = WorksheetUpload(
        id=new_id(),
        assignment_id=assignment.id,
        client_id=actor.id,
        size=len(data),
        reason=reason,
        received_at=now(),
    )
    row.content = seal_bytes(row, "content", data, assignment.recipient.key)
    db.session.add(row)
    db.session.flush()
    _record_audit(actor, assignment.id, actor.id, "upload_kept")
    return row.id


def send_upload(actor: Actor, position: int, upload_id: UUID) -> None:
    """Send a stored upload to the coach as it is.

    Idempotent. Raises NotFound, RuleBroken when the handout may not be read now.
    """
    assignment, row = _lock_upload(actor, position, upload_id)
    if row.sent_at is None:
        row.sent_at = now()
        db.session.flush()
        _record_audit(actor, assignment.id, actor.id, "upload_sent")


def delete_upload(actor: Actor, position: int, upload_id: UUID) -> None:
    """Delete an upload, even one that was sent.

    Raises NotFound, RuleBroken when the handout may not be read now.
    """
    assignment, row = _lock_upload(actor, position, upload_id)
    db.session.delete(row)
    db.session.flush()
    _record_audit(actor, assignment.id, actor.id, "upload_deleted")


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


def _lock_worksheet(
    actor: Actor, position: int
) -> tuple[AssignmentRecord, WorksheetResponse | None]:
    """Lock the client and load a worksheet with its response, so that concurrent changes wait for each other."""
    require(actor, Action.PORTAL_WRITE)
    take_client_lock(actor.id)
    assignment = get_reading_list_item(actor, position)
    if not assignment.handout.fields:
        raise NotFound
    return assignment, find_response(assignment.id)


def _lock_upload(
    actor: Actor, position: int, upload_id: UUID
) -> tuple[AssignmentRecord, WorksheetUpload]:
    assignment, _row = _lock_worksheet(actor, position)
    found = db.session.scalar(
        sa.select(WorksheetUpload)
        .options(sa.orm.defer(WorksheetUpload.content))
        .where(WorksheetUpload.id == upload_id, WorksheetUpload.assignment_id == assignment.id)
    )
    if found is None:
        raise NotFound
    return assignment, found


def _save(
    actor: Actor,
    assignment: AssignmentRecord,
    row: WorksheetResponse | None,
    answers: Mapping[str, Answer],
    expected_version: int,
) -> WorksheetResponse:
    key = assignment.recipient.key
    if row is None:
        if expected_version:
            raise Stale
        row = WorksheetResponse(id=new_id(), assignment_id=assignment.id, client_id=actor.id)
        db.session.add(row)
    elif unseal_json(row, "answers", key) == dict(answers):
        return row
    else:
        set_committed_value(row, "version", expected_version)
    row.answers = seal_json(row, "answers", dict(answers), key)
    row.saved_at = now()
    db.session.flush()
    _record_audit(actor, assignment.id, actor.id, "saved")
    return row


def _require_room(actor: Actor, assignment: AssignmentRecord, size: int) -> None:
    here = sa.func.count().filter(WorksheetUpload.assignment_id == assignment.id)
    files, taken = db.session.execute(
        sa.select(here, sa.func.coalesce(sa.func.sum(WorksheetUpload.size), 0)).where(
            WorksheetUpload.client_id == actor.id
        )
    ).one()
    if files >= MAX_UPLOADS_PER_WORKSHEET or taken + size > MAX_UPLOAD_BYTES_PER_CLIENT:
        raise RuleBroken(
            Reason(
                "no_room",
                f"You can keep {MAX_UPLOADS_PER_WORKSHEET} files with a worksheet, and 20 MB in total.",
                "Delete one you no longer need, then try again.",
            )
        )


def _record_audit(actor: Actor, assignment_id: UUID, client_id: UUID, what: str) -> None:
    record(
        actor,
        Action.PORTAL_WRITE,
        "assignment",
        assignment_id,
        client_id=client_id,
        details={"answers": what},
    )
