"""Holds that somebody could release now, among many clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.screening.history import list_safety_histories
from caseapp.domain.screening.queries import list_open_kinds
from caseapp.domain.screening.rules import release_blockers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caseapp.domain.screening.marks import Mark
    from caseapp.domain.screening.records import Hold


@dataclass(frozen=True)
class ReleasableHold:
    """A hold that waits for nothing but a second person, with its client's name; `is_own` when the actor may be it."""

    hold: Hold
    client: str
    is_own: bool


def list_releasable_holds(actor: Actor, marks: Iterable[Mark]) -> list[ReleasableHold]:
    """List those of the marked holds that a supervisor, or another one, could release now.

    Only the clients without an open task of a hold are opened. In three statements, however many marks there are, and
    one for each hold that is found.
    """
    require(actor, Action.HOLD_READ)
    marked = {mark.hold_id: mark.client_id for mark in marks}
    has_open_task = (
        sa.exists()
        .where(
            FollowUp.client_id == Client.id,
            FollowUp.completed_at.is_(None),
            FollowUp.origin_kind == "hold",
        )
        .correlate(Client)
    )
    rows = db.session.execute(
        sa.select(Client.id, Client.name).where(
            Client.id.in_({*marked.values()}), looks_after_client(actor, Client.id), ~has_open_task
        )
    )
    names = {row.id: row.name for row in rows}
    found = []
    for client_id, history in list_safety_histories(names).items():
        for hold in history.holds.values():
            if hold.id not in marked or hold.released_at is not None:
                continue
            screenings = history.find_hold_screenings(hold)
            blockers = release_blockers(hold, screenings, (), actor.id, now())
            is_ready = {reason.code for reason in blockers} <= {"second_person_needed"}
            # What lost contact ended is unfinished, although no task is open.
            if is_ready and not list_open_kinds(hold, history.key):
                found.append(ReleasableHold(hold, names[client_id], is_own=not blockers))
    return found
