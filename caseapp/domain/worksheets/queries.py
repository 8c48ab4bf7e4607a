"""Read what a client has written, and what of it is shared with the coach."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Unauthenticated
from caseapp.core.i18n import gettext
from caseapp.core.permissions import Action
from caseapp.core.vault import unseal_bytes, unseal_json, unseal_private
from caseapp.domain.assignments.queries import get_assignment_record
from caseapp.domain.assignments.reading import get_own_assignment, list_own_assignments
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.handouts.fields import Ticks, read_answers
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload
from caseapp.domain.worksheets.rules import KeptUploads
from caseapp.domain.worksheets.schemas import (
    FIELD_PREFIX,
    AnsweredField,
    AnsweredPart,
    ClientWorksheet,
    SharedAnswers,
    SharedSummary,
    UploadRecord,
    get_form_values,
    has_parts,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from caseapp.core.vault import DataKey, PrivateKey
    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.handouts.fields import Answer, Field, Input
    from caseapp.domain.handouts.library import Handout

UPLOAD_COLUMNS = (
    WorksheetUpload.id,
    WorksheetUpload.size,
    WorksheetUpload.reason,
    WorksheetUpload.received_at,
    WorksheetUpload.sent_at,
    WorksheetUpload.writing_key_id,
)
EMPTY = ClientWorksheet({}, 0, None, None, changed_since=False, is_locked=False, uploads=())


@dataclass(frozen=True)
class SharedWorksheet:
    """What a client shared with the coach for one assignment: answers and uploads."""

    assignment: AssignmentRecord
    shared: SharedAnswers | None
    uploads: tuple[UploadRecord, ...]


@dataclass(frozen=True)
class LockedWorksheet:
    """A client's worksheet with their response, if any, read after their lock; only `lock_worksheet` makes one."""

    assignment: AssignmentRecord
    response: WorksheetResponse | None
    writing: PrivateKey

    @property
    def key(self) -> DataKey:
        """Return the client's key, for what they share."""
        return self.assignment.recipient.key

    @property
    def is_locked(self) -> bool:
        """Tell whether only an earlier PIN opens the answers."""
        return self.response is not None and self.response.writing_key_id != self.writing.id

    @property
    def answers(self) -> dict[str, Answer] | None:
        """Return the saved answers; None when there are none or they are locked."""
        if self.response is None or self.is_locked:
            return None
        return _open_answers(self.response, self.writing, self.assignment)


def require_writing_key(actor: Actor) -> PrivateKey:
    """Return the key of a client's session: nothing else opens what they wrote for nobody else.

    Raises Unauthenticated for anybody without one.
    """
    if actor.writing is None:
        raise Unauthenticated
    return actor.writing


def _open_answers(
    row: WorksheetResponse, writing: PrivateKey, assignment: AssignmentRecord
) -> dict[str, Answer]:
    key = assignment.recipient.key
    text = unseal_private(row.__tablename__, "answers", row.id, row.answers, writing, key)
    return read_answers(assignment.handout.fields, json.loads(text))


def _open_shared(row: WorksheetResponse, assignment: AssignmentRecord) -> dict[str, Answer]:
    stored = unseal_json(row, "shared_answers", assignment.recipient.key)
    return read_answers(assignment.handout.fields, stored)


def lock_worksheet(actor: Actor, position: int) -> LockedWorksheet:
    """Lock the client who acts, then load one of their own worksheets by its position.

    Raises NotFound, also for a handout without fields, Unauthenticated without the writing key, and RuntimeError
    outside `transaction()`.
    """
    require(actor, Action.PORTAL_WRITE)
    writing = require_writing_key(actor)
    take_client_lock(actor.id)
    assignment = get_own_assignment(actor, position)
    if not any(field.inputs for field in assignment.handout.fields):
        raise NotFound
    return LockedWorksheet(assignment, find_response(assignment.id), writing)


def get_client_worksheet(actor: Actor, assignment: AssignmentRecord) -> ClientWorksheet:
    """Return a client's own answers and uploads for one of their assignments, whether they can read it or not.

    Raises Unauthenticated without the writing key.
    """
    require(actor, Action.PORTAL_READ)
    writing = require_writing_key(actor)
    row, uploads = find_response(assignment.id), _list_uploads(assignment.id)
    return _open_worksheet(row, uploads, writing, assignment)


def list_own_worksheets(actor: Actor) -> list[tuple[AssignmentRecord, ClientWorksheet]]:
    """List the worksheets in which a client has answers or files, what they saved last first.

    It makes no difference whether they can read the handout now. Raises Unauthenticated without the writing key.
    """
    require(actor, Action.PORTAL_READ)
    writing = require_writing_key(actor)
    responses = db.session.scalars(
        sa.select(WorksheetResponse)
        .where(WorksheetResponse.client_id == actor.id)
        .execution_options(populate_existing=True)
    )
    by_assignment = {row.assignment_id: row for row in responses}
    uploads: dict[UUID, list[UploadRecord]] = defaultdict(list)
    rows = db.session.execute(
        sa.select(WorksheetUpload.assignment_id, *UPLOAD_COLUMNS)
        .where(WorksheetUpload.client_id == actor.id)
        .order_by(WorksheetUpload.received_at, WorksheetUpload.id)
    )
    for row in rows:
        uploads[row.assignment_id].append(UploadRecord(*row[1:]))
    worksheets = [
        (record, _open_worksheet(row, tuple(files), writing, record))
        for record in list_own_assignments(actor)
        for row, files in [(by_assignment.get(record.id), uploads.get(record.id, []))]
        if row or files
    ]
    written = [pair for pair in worksheets if pair[1].holds_something]
    return sorted(written, key=lambda pair: pair[1].last_change, reverse=True)


def _open_worksheet(
    row: WorksheetResponse | None,
    uploads: tuple[UploadRecord, ...],
    writing: PrivateKey,
    assignment: AssignmentRecord,
) -> ClientWorksheet:
    uploads = tuple(
        replace(file, is_locked=file.sent_at is None and file.writing_key_id != writing.id)
        for file in uploads
    )
    if row is None:
        return replace(EMPTY, uploads=uploads)
    is_locked = row.writing_key_id != writing.id
    answers = {} if is_locked else _open_answers(row, writing, assignment)
    return ClientWorksheet(
        answers=answers,
        version=row.version,
        saved_at=row.saved_at,
        shared_at=row.shared_at,
        changed_since=not is_locked
        and row.shared_answers is not None
        and _open_shared(row, assignment) != answers,
        is_locked=is_locked,
        uploads=uploads,
    )


def find_response(assignment_id: UUID) -> WorksheetResponse | None:
    """Load the current response to an assignment, sealed, or None."""
    return db.session.scalar(
        sa.select(WorksheetResponse)
        .where(WorksheetResponse.assignment_id == assignment_id)
        .execution_options(populate_existing=True)
    )


def get_upload(worksheet: LockedWorksheet, upload_id: UUID) -> WorksheetUpload:
    """Load an upload of a worksheet for a change, without its content.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(WorksheetUpload)
        .options(sa.orm.defer(WorksheetUpload.content))
        .where(
            WorksheetUpload.id == upload_id,
            WorksheetUpload.assignment_id == worksheet.assignment.id,
        )
    )
    if found is None:
        raise NotFound
    return found


def count_kept_uploads(client_id: UUID, assignment_id: UUID) -> KeptUploads:
    """Count a worksheet's uploads, and the bytes of all uploads of its client; access was already checked."""
    here = sa.func.count().filter(WorksheetUpload.assignment_id == assignment_id)
    files, size = db.session.execute(
        sa.select(here, sa.func.coalesce(sa.func.sum(WorksheetUpload.size), 0)).where(
            WorksheetUpload.client_id == client_id
        )
    ).one()
    return KeptUploads(files, size)


def _list_uploads(assignment_id: UUID, *, sent: bool = False) -> tuple[UploadRecord, ...]:
    query = sa.select(*UPLOAD_COLUMNS).where(WorksheetUpload.assignment_id == assignment_id)
    if sent:
        query = query.where(WorksheetUpload.sent_at.is_not(None))
    rows = db.session.execute(query.order_by(WorksheetUpload.received_at, WorksheetUpload.id))
    return tuple(UploadRecord(*row) for row in rows)


def get_shared_summaries(
    actor: Actor, assignment_ids: Collection[UUID]
) -> dict[UUID, SharedSummary]:
    """Count what was shared for assignments that the actor may already see, in one statement."""
    require(actor, Action.ASSIGNMENT_READ)
    shared = sa.select(
        WorksheetResponse.assignment_id,
        WorksheetResponse.shared_at,
        sa.literal(0).label("upload_count"),
    ).where(
        WorksheetResponse.assignment_id.in_(assignment_ids),
        WorksheetResponse.shared_at.is_not(None),
    )
    sent = (
        sa.select(
            WorksheetUpload.assignment_id,
            sa.null().cast(WorksheetResponse.shared_at.type),
            sa.func.count(),
        )
        .where(
            WorksheetUpload.assignment_id.in_(assignment_ids), WorksheetUpload.sent_at.is_not(None)
        )
        .group_by(WorksheetUpload.assignment_id)
    )
    found: dict[UUID, SharedSummary] = {}
    for assignment_id, shared_at, count in db.session.execute(sa.union_all(shared, sent)):
        before = found.get(assignment_id, SharedSummary(None, 0))
        found[assignment_id] = SharedSummary(
            before.shared_at or shared_at, before.upload_count + count
        )
    return found


def get_shared_worksheet(actor: Actor, assignment_id: UUID) -> SharedWorksheet:
    """Return what a client has shared for one assignment, also a withdrawn or suspended one.

    Raises NotFound.
    """
    assignment = get_assignment_record(actor, assignment_id)
    row = find_response(assignment_id)
    shared = None
    if row is not None and row.shared_at is not None:
        answers = _open_shared(row, assignment)
        shared = SharedAnswers(
            assignment_id,
            row.shared_at,
            row.shared_read_at is None,
            tuple(_answered(field, answers) for field in assignment.handout.fields if field.inputs),
            answers,
        )
    return SharedWorksheet(assignment, shared, _list_uploads(assignment_id, sent=True))


def list_written(
    assignment: AssignmentRecord, worksheet: ClientWorksheet
) -> tuple[AnsweredField, ...]:
    """List the fields that a client has filled in, in the handout's order."""
    return tuple(
        _answered(field, worksheet.answers)
        for field in assignment.handout.fields
        if worksheet.answers.get(field.id)
    )


def _answered(field: Field, answers: Mapping[str, Answer]) -> AnsweredField:
    answer = answers.get(field.id, "")
    texts = answer if isinstance(answer, dict) else {}
    parts = [
        AnsweredPart(one.key, plain_text(one.label), _describe_part(one, texts.get(one.key, "")))
        for one in (field.inputs if has_parts(field) else ())
    ]
    return AnsweredField(
        field.id,
        plain_text(field.label),
        field.kind,
        answer if isinstance(answer, str) else "",
        tuple(describe_ticks(field, answer)) if isinstance(field, Ticks) else (),
        tuple(parts),
    )


def _describe_part(found: Input, text: str) -> str:
    return gettext("yes") if found.kind == "tick" and text else text


def describe_ticks(field: Ticks, answer: Answer) -> list[str]:
    """Return the words of the ticked items, as this version of the handout has them."""
    return [plain_text(field.items[int(n) - 1].words) for n in answer]


def get_shared_answers(actor: Actor, assignment_id: UUID) -> SharedAnswers:
    """Return the shared answers of one assignment.

    Raises NotFound, also while nothing is shared.
    """
    found = get_shared_worksheet(actor, assignment_id)
    if found.shared is None:
        raise NotFound
    return found.shared


def get_upload_content(actor: Actor, assignment_id: UUID, upload_id: UUID) -> bytes:
    """Return the content of an upload that the client has sent.

    Raises NotFound, also before it is sent.
    """
    assignment = get_assignment_record(actor, assignment_id)
    sealed = db.session.scalar(
        sa.select(WorksheetUpload.content).where(
            WorksheetUpload.id == upload_id,
            WorksheetUpload.assignment_id == assignment.id,
            WorksheetUpload.sent_at.is_not(None),
        )
    )
    if sealed is None:
        raise NotFound
    key = assignment.recipient.key
    return unseal_bytes(WorksheetUpload.__tablename__, "content", upload_id, sealed, key)


def describe_controls(handout: Handout, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Describe answers by the names of their controls in the worksheet's form, each as one line of text."""
    sent = get_form_values(handout, answers)
    return describe_sent(
        handout,
        {name: [text] if isinstance(text, str) else text for name, text in sent.items() if text},
    )


def describe_sent(handout: Handout, texts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Describe what a worksheet's form sent, by the names of its controls: ticked items by their words."""
    found = {name: ", ".join(sent) for name, sent in texts.items()}
    for field in handout.fields:
        name = f"{FIELD_PREFIX}{field.id}"
        if name in found and isinstance(field, Ticks):
            found[name] = "; ".join(
                describe_ticks(
                    field, field.read([field.find_position(text) for text in texts[name]])
                )
            )
    return found
