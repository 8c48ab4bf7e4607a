"""What a session is, for every count and date of sessions: what a signed note is about.

A draft is none yet, a note entered in error is none, and an entry of the contact log, such as a no-show, never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.domain.notes.models import Note

if TYPE_CHECKING:
    from datetime import datetime

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
