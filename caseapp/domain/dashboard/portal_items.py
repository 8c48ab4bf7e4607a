"""What waits for a person: shared answers and files, many wrong PINs, and notes that aren't as they were signed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.database import db
from caseapp.core.pagination import literal_limit
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.audit.security_events import BURST, select_altered, select_wrong_pins
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import newest_case_id
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.dashboard.schemas import PortalItem
from caseapp.domain.users.models import User
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload

if TYPE_CHECKING:
    from caseapp.core.actor import Actor

MAX_PORTAL_ITEMS = 100
# How long wrong PINs stay on Today, unless the client is invited again before; awaiting sign-off.
GUESSED_SHOWN_FOR = timedelta(days=7)
# How long a note that isn't as it was signed stays on Today after somebody has read it last; awaiting sign-off.
ALTERED_SHOWN_FOR = timedelta(days=7)


def list_portal_items(actor: Actor) -> list[PortalItem]:
    """List what waits for a person, oldest first, one more than MAX_PORTAL_ITEMS at most.

    Each worksheet is one item. Nothing here depends on what was written: only a person can judge that.
    """
    waiting = _select_waiting().subquery()
    since = sa.func.min(waiting.c.since, type_=waiting.c.since.type).label("since")
    items = (
        sa.select(waiting.c.kind, waiting.c.client_id, waiting.c.assignment_id, since)
        .where(looks_after_client(actor, waiting.c.client_id))
        .group_by(waiting.c.kind, waiting.c.client_id, waiting.c.assignment_id)
        .order_by(since, waiting.c.client_id)
        .limit(literal_limit(MAX_PORTAL_ITEMS + 1))
        .subquery()
    )
    newest, assigned_in = aliased(Case), aliased(Case)
    rows = db.session.execute(
        sa.select(
            items.c.kind,
            items.c.client_id,
            Client.name,
            sa.func.coalesce(assigned_in.number, newest.number, ""),
            sa.func.coalesce(User.name, ""),
            items.c.assignment_id,
            items.c.since,
        )
        .join(Client, Client.id == items.c.client_id)
        .outerjoin(newest, newest.id == newest_case_id(items.c.client_id))
        .outerjoin(User, User.id == newest.coach_id)
        .outerjoin(Assignment, Assignment.id == items.c.assignment_id)
        .outerjoin(assigned_in, assigned_in.id == Assignment.case_id)
        .order_by(items.c.since, items.c.client_id)
    )
    return [PortalItem(*row) for row in rows]


def _select_waiting() -> sa.CompoundSelect[*tuple[object, ...]]:
    answers = sa.select(
        sa.literal("shared").label("kind"),
        WorksheetResponse.client_id,
        WorksheetResponse.assignment_id,
        WorksheetResponse.shared_at.label("since"),
    ).where(WorksheetResponse.shared_at.is_not(None), WorksheetResponse.shared_read_at.is_(None))
    files = sa.select(
        sa.literal("shared"),
        WorksheetUpload.client_id,
        WorksheetUpload.assignment_id,
        WorksheetUpload.sent_at,
    ).where(WorksheetUpload.sent_at.is_not(None), WorksheetUpload.read_at.is_(None))
    wrong = select_wrong_pins(GUESSED_SHOWN_FOR).subquery()
    guessed = (
        sa.select(
            sa.literal("guessed"),
            wrong.c.client_id,
            sa.null().cast(Assignment.id.type),
            sa.func.max(wrong.c.last_at, type_=wrong.c.last_at.type),
        )
        .join(PortalAccess, PortalAccess.client_id == wrong.c.client_id)
        .where(wrong.c.last_at > PortalAccess.invited_at)
        .group_by(wrong.c.client_id)
        .having(sa.func.sum(wrong.c.times) >= BURST)
    )
    found = select_altered(ALTERED_SHOWN_FOR).subquery()
    altered = sa.select(
        sa.literal("altered"),
        found.c.client_id,
        sa.null().cast(Assignment.id.type),
        found.c.last_at,
    )
    return sa.union_all(answers, files, guessed, altered)
