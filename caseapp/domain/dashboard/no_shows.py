"""Clients with an open hold or an active flag who did not come, until somebody is in contact with them.

A no-show changes nothing about holds, flags or required actions: these stay due as they are. Whoever is at risk and did
not come stands on Today until somebody records contact, a session, a screening, or that a follow-up has reached them,
and for STANDS_FOR at the longest. What happened in the same minute counts as after it. Product proposal, awaiting
clinical sign-off.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.pagination import literal_limit
from caseapp.core.permissions import Role
from caseapp.domain.clients.visibility import looked_after_by, looks_after_client
from caseapp.domain.contacts.codes import CONTACT, NO_SHOW
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.queries import counts, select_last
from caseapp.domain.dashboard.schemas import UnansweredNoShow
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.sessions import is_session
from caseapp.domain.screening.models import ClientSafety

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import SQLColumnExpression

    from caseapp.core.actor import Actor
    from caseapp.domain.dashboard.listed_clients import ListedClient
    from caseapp.domain.followups.schemas import FollowUpRecord

STANDS_FOR = timedelta(days=60)
"""How long a no-show stands on Today; the actions of an open hold stand there by themselves. Awaiting sign-off."""
MAX_NO_SHOWS = 100
"""Today looks at so many clients whose last no-show no contact or session has followed, the newest first."""
IS_NO_SHOW = Contact.kind == sa.literal(NO_SHOW, literal_execute=True)
"""Inlined, so that the planner can use the partial index with a cached plan."""
REACHED = frozenset({"reached", "declined"})
"""The results of a follow-up in which somebody spoke with the client."""


def select_missed(actor: Actor, moment: datetime) -> sa.Select[UUID]:
    """Select the clients who did not come last, each once, if no contact or session has followed by a moment.

    They are one more than Today looks at, and only clients about whom anything was ever recorded that could open a hold
    or set a flag. A coach's clients are gathered and a supervisor's are walked to, as in other lists.
    """
    of_client = (
        looks_after_client(actor, Contact.client_id)
        if actor.role is Role.SUPERVISOR
        else Contact.client_id.in_(looked_after_by(actor))
    )
    later, newer = aliased(Contact), aliased(Contact)
    has_newer = sa.exists().where(
        newer.client_id == Contact.client_id,
        sa.tuple_(newer.happened_at, newer.id) > sa.tuple_(Contact.happened_at, Contact.id),
        newer.kind == NO_SHOW,
        counts(newer),
    )
    is_answered = sa.or_(
        sa.exists().where(
            later.client_id == Contact.client_id,
            later.happened_at >= Contact.happened_at,
            later.kind == CONTACT,
            counts(later),
        ),
        sa.exists().where(
            Note.client_id == Contact.client_id,
            Note.actual_session_at >= Contact.happened_at,
            is_session(),
        ),
    )
    return (
        sa.select(Contact.client_id)
        .where(
            IS_NO_SHOW,
            Contact.happened_at >= moment - STANDS_FOR,
            sa.exists().where(ClientSafety.client_id == Contact.client_id),
            counts(Contact),
            ~has_newer,
            ~is_answered,
            of_client,
        )
        .order_by(Contact.happened_at.desc(), Contact.id.desc())
        .limit(literal_limit(MAX_NO_SHOWS + 1))
    )


def select_missed_at(
    client_id: SQLColumnExpression[UUID], moment: datetime
) -> sa.ScalarSelect[datetime]:
    """Build a scalar select of when a client did not come last, as it stands at a moment.

    It is null when contact or a session has followed, or when it was long ago.
    """
    note = aliased(Note)
    session = (
        sa.select(sa.func.max(note.actual_session_at, type_=Note.actual_session_at.type))
        .where(note.client_id == client_id, is_session(note))
        .correlate_except(note)
        .scalar_subquery()
    )
    missed, contact = select_last(NO_SHOW, client_id), select_last(CONTACT, client_id)
    is_over = sa.or_(contact >= missed, session >= missed, missed < moment - STANDS_FOR)
    return sa.select(sa.case((is_over, None), else_=missed)).scalar_subquery()


def list_at_risk(clients: Iterable[ListedClient]) -> dict[UUID, datetime]:
    """List the clients with an open hold or an active flag who did not come, with the time."""
    return {
        client.id: client.missed_at
        for client in clients
        if client.missed_at
        and (client.safety.holds or (client.safety.flags and client.has_open_case))
        and all(answer.session_at < client.missed_at for answer in client.safety.answers.values())
    }


def are_more_missed(clients: Iterable[ListedClient]) -> bool:
    """Tell whether more of these clients did not come than Today looks at, so that it may leave some out."""
    return sum(client.missed_at is not None for client in clients) > MAX_NO_SHOWS


def choose_unanswered(
    clients: Iterable[ListedClient],
    missed: Mapping[UUID, datetime],
    completed: Iterable[FollowUpRecord],
) -> list[UnansweredNoShow]:
    """Choose the clients who were `missed` and whom no `completed` follow-up has reached since, the last one first."""
    reached = {
        task.client_id for task in completed if task.result in REACHED and _is_later(task, missed)
    }
    found = [
        UnansweredNoShow(
            client.id, client.name, client.number or "", client.coach or "", missed[client.id]
        )
        for client in clients
        if client.id in missed and client.id not in reached
    ]
    return sorted(found, key=lambda one: (one.since, one.client_id), reverse=True)


def _is_later(task: FollowUpRecord, missed: Mapping[UUID, datetime]) -> bool:
    since = missed.get(task.client_id)
    return since is not None and task.occurred_at is not None and task.occurred_at >= since
