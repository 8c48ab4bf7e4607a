"""When somebody was last in touch with a client, and how many sessions a case had, in one statement."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.database import run
from caseapp.domain.contacts.codes import CONTACT, NO_SHOW
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.queries import select_last
from caseapp.domain.dashboard.schemas import LastMet
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.sessions import is_session

if TYPE_CHECKING:
    from uuid import UUID


def get_last_met(case_id: UUID, client_id: UUID) -> LastMet:
    """Return when somebody was last in touch with the client of a case; access was already checked."""
    row = run(_select_last_met(), case=case_id, client=client_id).one()
    return LastMet(row.session_at, row.contact_at, row.no_show_at, row.sessions, row.minutes or 0)


@cache
def _select_last_met() -> sa.Select[*tuple[Any, ...]]:
    client = sa.bindparam("client", type_=Contact.client_id.type)
    return sa.select(
        sa.func.max(Note.actual_session_at, type_=Note.actual_session_at.type).label("session_at"),
        select_last(CONTACT, client).label("contact_at"),
        select_last(NO_SHOW, client).label("no_show_at"),
        sa.func.count().label("sessions"),
        sa.func.sum(Note.actual_minutes).label("minutes"),
    ).where(Note.case_id == sa.bindparam("case"), is_session())
