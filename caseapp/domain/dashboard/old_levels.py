"""Open cases whose client has a level at watch or above that nobody has asked about again for two weeks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.pagination import make_cursor, page_soonest_first
from caseapp.core.reads import note_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.dashboard.listed_clients import IS_OPEN
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.screening.current import SAFETY_COLUMNS, join_safety, safety_from_row
from caseapp.domain.screening.models import ClientSafety
from caseapp.domain.screening.protocol import SCREENING_VALIDITY, Level
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.screening.marks import Mark

WALKED = 300
"""How many open cases are looked at for one page: levels are sealed, so that no index finds them."""


@dataclass(frozen=True)
class OldLevels:
    """A client with levels at watch or above that were asked more than 14 days ago, the highest first.

    `since` is when the oldest of them was asked.
    """

    case_id: UUID
    client_id: UUID
    client: str = field(repr=False)
    coach: str
    since: datetime
    levels: dict[str, int]


def list_old_levels(
    actor: Actor, marks: list[Mark], cursor: str | None, cases: int | None = None
) -> tuple[list[OldLevels], str | None]:
    """List the clients with old levels among the next open cases, the highest level and then the oldest first.

    So many `cases` are looked at, by default WALKED, from the one that was opened first. Of these clients only those
    are opened whose last full screening is more than 14 days ago, or of whom a mark says that a hold is open. The
    cursor leads to the next cases, None at the end. Raises Invalid for a cursor that this application did not create.
    """
    moment, limit = now(), cases or WALKED
    walked = page_soonest_first(
        sa.select(Case.id, Case.opened_at).where(
            IS_OPEN, looks_after_client(actor, Case.client_id)
        ),
        Case.opened_at,
        Case.id,
        cursor,
        limit,
    ).subquery()
    is_old = sa.or_(
        ClientSafety.last_full_at.is_(None),
        ClientSafety.last_full_at < moment - SCREENING_VALIDITY,
        Client.id.in_({mark.client_id for mark in marks}),
    )
    query = (
        sa.select(
            Case.id.label("case_id"),
            Case.opened_at,
            Client.id.label("client_id"),
            Client.name,
            User.name.label("coach"),
            ClientKey.wrapped,
            is_old.label("is_old"),
            *SAFETY_COLUMNS,
        )
        .select_from(walked)
        .join(Case, Case.id == walked.c.id)
        .join(Client, Client.id == Case.client_id)
        .join(User, User.id == Case.coach_id)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .order_by(Case.opened_at, Case.id)
    )
    rows = db.session.execute(join_safety(query)).all()
    opened = [row for row in rows[:limit] if row.is_old and row.safety_seq is not None]
    note_shown(row.client_id for row in opened)
    found = []
    for row in opened:
        safety = safety_from_row(row, open_listed_client_key(row.wrapped, row.client_id))
        old = {
            item: answer
            for item, answer in safety.answers.items()
            if answer.level >= Level.WATCH and not answer.is_current(moment)
        }
        if old:
            levels = {item: answer.level for item, answer in old.items()}
            found.append(
                OldLevels(
                    row.case_id,
                    row.client_id,
                    row.name,
                    row.coach,
                    min(answer.asked_at or answer.session_at for answer in old.values()),
                    dict(sorted(levels.items(), key=lambda pair: -pair[1])),
                )
            )
    found.sort(key=lambda one: (-max(one.levels.values()), one.since, one.client_id))
    last = rows[limit - 1] if len(rows) > limit else None
    return found, make_cursor(last.opened_at, last.case_id) if last else None
