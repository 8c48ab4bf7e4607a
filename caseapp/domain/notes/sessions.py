"""What a session is, for every count and date of sessions: what a signed note is about.

A draft is none yet, unless it was filed; a note entered in error is none, and an entry of the contact log, such as a
no-show, never is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.database import db
from caseapp.domain.notes.models import Note, NoteSignature

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

SIGNED = sa.literal("signed", literal_execute=True)
"""The status of the note of a session, inlined, so that the planner can use the partial index with a cached plan."""


def is_session(note: type[Note] = Note) -> sa.ColumnElement[bool]:
    """Build the SQL condition that a note (the table or an alias) is about a session that took place."""
    return sa.and_(note.status == SIGNED, ~note.in_error)


def select_last_session(case_id: Any) -> sa.ScalarSelect[datetime]:  # noqa: ANN401 - a column or a value
    """Build a scalar select of the time at which the last session of a case began."""
    note = aliased(Note)
    return (
        sa.select(sa.func.max(note.actual_session_at, type_=Note.actual_session_at.type))
        .where(note.case_id == case_id, is_session(note))
        .scalar_subquery()
    )


@dataclass(frozen=True)
class SessionCount:
    """How many sessions there were, how many minutes they took as far as somebody said, and when the last one began."""

    sessions: int = 0
    minutes: int = 0
    last: datetime | None = None


NO_SESSIONS = SessionCount()


def select_sessions(since: datetime | None, until: datetime | None) -> sa.Select[*tuple[Any, ...]]:
    """Select number, minutes and last beginning of the sessions that began in a period; None means any time."""
    query = sa.select(
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(Note.actual_minutes), 0),
        sa.func.max(Note.actual_session_at, type_=Note.actual_session_at.type),
    ).where(is_session())
    return query.where(*_list_bounds(since, until))


def select_filed(since: datetime | None, until: datetime | None) -> sa.Select[UUID]:
    """Select the case of each session in a period whose note was filed unsigned, since its author had left."""
    filed = sa.and_(NoteSignature.note_id == Note.id, NoteSignature.meaning == "filed")
    query = sa.select(Note.case_id).join(NoteSignature, filed)
    return query.where(is_session(), *_list_bounds(since, until))


def _list_bounds(since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    bounds: list[sa.ColumnElement[bool]] = []
    if since is not None:
        bounds.append(Note.actual_session_at >= since)
    if until is not None:
        bounds.append(Note.actual_session_at < until)
    return bounds


def count_sessions(
    case_ids: Collection[UUID], since: datetime | None = None, until: datetime | None = None
) -> dict[UUID, SessionCount]:
    """Count the sessions of each of some cases in a period; cases without a session are left out.

    Access was already checked.
    """
    if not case_ids:
        return {}
    query = select_sessions(since, until).add_columns(Note.case_id)
    rows = db.session.execute(query.where(Note.case_id.in_(case_ids)).group_by(Note.case_id))
    return {
        case_id: SessionCount(sessions, minutes, last) for sessions, minutes, last, case_id in rows
    }
