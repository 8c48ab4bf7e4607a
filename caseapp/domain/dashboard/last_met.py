"""When somebody was last in touch with a client, and how many sessions a case had, in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.domain.contacts.codes import CONTACT, NO_SHOW
from caseapp.domain.contacts.queries import select_last
from caseapp.domain.dashboard.schemas import LastMet
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.sessions import is_session

if TYPE_CHECKING:
    from uuid import UUID


def get_last_met(case_id: UUID, client_id: UUID) -> LastMet:
    """Return when somebody was last in touch with the client of a case; access was already checked."""
    client = sa.literal(client_id)
    row = db.session.execute(
        sa.select(
            sa.func.max(Note.actual_session_at, type_=Note.actual_session_at.type),
            select_last(CONTACT, client),
            select_last(NO_SHOW, client),
            sa.func.count(),
            sa.func.sum(Note.actual_minutes),
        ).where(Note.case_id == case_id, is_session())
    ).one()
    session, contact_at, no_show_at, sessions, minutes = row
    return LastMet(session, contact_at, no_show_at, sessions, minutes or 0)
