"""Asked: what a client has written, and what of it a coach may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.core.vault import open_bytes, open_data
from caseapp.domain.assignments.queries import assignment_shown
from caseapp.domain.clients.queries import key_of
from caseapp.domain.handouts.labels import WORDS
from caseapp.domain.handouts.rendering import plain
from caseapp.domain.worksheets.models import AnswerSheet, ReturnedFile
from caseapp.domain.worksheets.schemas import Answered, KeptFile, Paper, Returned, SharedAnswers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.handouts.library import Field
    from caseapp.domain.worksheets.schemas import Answer

EMPTY = Paper({}, 0, None, None, changed_since=False, files=())


@dataclass(frozen=True)
class Desk:
    """Show a coach everything that came back for one assignment."""

    given: AssignmentRecord
    shared: SharedAnswers | None
    files: tuple[KeptFile, ...]


def paper_of(actor: Actor, given: AssignmentRecord) -> Paper:
    """Show a client their own answers to a sheet that `assignments.queries.reading` has let them open."""
    require(actor, Action.PORTAL_READ)
    files = _files(given.id)
    row = sheet_row(given.id)
    if row is None:
        return Paper(**{**vars(EMPTY), "files": files})
    key = key_of(actor.id)
    answers = open_data(row, "answers", key)
    return Paper(
        answers=answers,
        version=row.version,
        saved_at=row.saved_at,
        shared_at=row.shared_at,
        changed_since=row.shared is not None and open_data(row, "shared", key) != answers,
        files=files,
    )


def sheet_row(assignment_id: UUID) -> AnswerSheet | None:
    """Load the answers to an assignment as they stand now, sealed."""
    return db.session.scalar(
        sa.select(AnswerSheet)
        .where(AnswerSheet.assignment_id == assignment_id)
        .execution_options(populate_existing=True)
    )


def _files(assignment_id: UUID, *, sent: bool = False) -> tuple[KeptFile, ...]:
    query = sa.select(
        ReturnedFile.id,
        ReturnedFile.size,
        ReturnedFile.why,
        ReturnedFile.received_at,
        ReturnedFile.sent_at,
    ).where(ReturnedFile.assignment_id == assignment_id)
    if sent:
        query = query.where(ReturnedFile.sent_at.is_not(None))
    rows = db.session.execute(query.order_by(ReturnedFile.received_at, ReturnedFile.id))
    return tuple(KeptFile(*row) for row in rows)


def returned_for(actor: Actor, assignment_ids: Collection[UUID]) -> dict[UUID, Returned]:
    """Say what came back for assignments that the actor was shown already, in one statement."""
    require(actor, Action.ASSIGNMENT_READ)
    shared = sa.select(
        AnswerSheet.assignment_id, AnswerSheet.shared_at, sa.literal(0).label("files")
    ).where(AnswerSheet.assignment_id.in_(assignment_ids), AnswerSheet.shared_at.is_not(None))
    sent = (
        sa.select(
            ReturnedFile.assignment_id,
            sa.null().cast(AnswerSheet.shared_at.type),
            sa.func.count(),
        )
        .where(ReturnedFile.assignment_id.in_(assignment_ids), ReturnedFile.sent_at.is_not(None))
        .group_by(ReturnedFile.assignment_id)
    )
    found: dict[UUID, Returned] = {}
    for assignment_id, shared_at, files in db.session.execute(sa.union_all(shared, sent)):
        before = found.get(assignment_id, Returned(None, 0))
        found[assignment_id] = Returned(before.shared_at or shared_at, before.files + files)
    return found


def desk_of(actor: Actor, assignment_id: UUID) -> Desk:
    """Show a coach what a client has shared and sent of one sheet, also after it was withdrawn or is resting.

    Raises NotFound.
    """
    given = assignment_shown(actor, assignment_id)
    row = sheet_row(assignment_id)
    shared = None
    if row is not None and row.shared_at is not None:
        answers = open_data(row, "shared", key_of(given.client_id))
        shared = SharedAnswers(
            assignment_id,
            row.shared_at,
            tuple(_answered(field, answers) for field in given.handout.fields),
        )
    return Desk(given, shared, _files(assignment_id, sent=True))


def _answered(field: Field, answers: Mapping[str, Answer]) -> Answered:
    answer = answers.get(field.id, "")
    chosen = answer if isinstance(answer, list) else []
    text = "" if isinstance(answer, list) else answer
    return Answered(
        field.id,
        plain(field.label),
        field.type,
        plain(text) if field.type == "choice" and text else text,
        tuple(map(plain, chosen)),
    )


def shared_answers(actor: Actor, assignment_id: UUID) -> tuple[SharedAnswers, UUID]:
    """Show what a client has shared of one sheet, and whose it is.

    Raises NotFound, also while nothing is shared.
    """
    found = desk_of(actor, assignment_id)
    if found.shared is None:
        raise NotFound
    return found.shared, found.given.client_id


def file_of(actor: Actor, assignment_id: UUID, returned_id: UUID) -> bytes:
    """Give the bytes of a file that the client has sent to the coach.

    Raises NotFound, also while it was not sent.
    """
    given = assignment_shown(actor, assignment_id)
    sealed = db.session.scalar(
        sa.select(ReturnedFile.content).where(
            ReturnedFile.id == returned_id,
            ReturnedFile.assignment_id == given.id,
            ReturnedFile.sent_at.is_not(None),
        )
    )
    if sealed is None:
        raise NotFound
    key = key_of(given.client_id)
    return open_bytes(ReturnedFile.__tablename__, "content", returned_id, sealed, key)


def as_words(answer: Answer, language: str = "en") -> str:
    """Write an answer in one line, for showing beside the field; a day is written as in `language`."""
    if isinstance(answer, list):
        return "; ".join(map(plain, answer))
    try:
        return WORDS[language].in_full(date.fromisoformat(answer))
    except ValueError:
        return answer
