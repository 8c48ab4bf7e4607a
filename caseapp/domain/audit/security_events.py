"""Security events: failed tries, refused access and altered notes, counted by hour, so that an attack adds no rows.

What was changed about rights and credentials is in the audit log itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import run_separately
from caseapp.domain.audit.models import SecurityEvent

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

NOBODY = UUID(int=0)
PORTAL_KINDS = ("pin", "start_code")
ABOUT_CLIENTS = (*PORTAL_KINDS, "altered")
SHOWN_FOR = timedelta(days=30)
KEPT_FOR = timedelta(days=90)
# From how many times in an hour it is more than a slip; awaiting sign-off.
BURST = 5
LEAST = {"refused": 20, "altered": 1}
MAX_BURSTS = 50
INSERTS = {
    name: dialect.insert(SecurityEvent.__table__)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
COUNT = {
    name: insert.on_conflict_do_update(
        index_elements=["hour_at", "kind", "subject_id"],
        set_={
            "times": SecurityEvent.__table__.c.times + 1,
            "last_at": insert.excluded["last_at"],
        },
    )
    for name, insert in INSERTS.items()
}


def count_event(kind: str, subject_id: UUID | None = None) -> None:
    """Count one event in a transaction of its own, so that it stays whatever becomes of the request.

    `subject_id` is the person whose account or portal was tried, or who was refused; None where it is nobody's. The
    same is written for both, so that the time tells nothing.
    """
    run_separately(COUNT[db.engine.dialect.name], _values(kind, subject_id))


def count_in(connection: Connection, kind: str, subject_id: UUID) -> None:
    """Count one event in the transaction of a connection."""
    connection.execute(COUNT[connection.dialect.name], _values(kind, subject_id))


def _values(kind: str, subject_id: UUID | None) -> dict[str, object]:
    moment = now()
    return {
        "hour_at": moment.replace(minute=0, second=0, microsecond=0),
        "kind": kind,
        "subject_id": subject_id or NOBODY,
        "times": 1,
        "last_at": moment,
    }


@dataclass(frozen=True)
class Burst:
    """What happened so often in an hour that somebody should look at it."""

    kind: str
    subject_id: UUID | None
    times: int
    last_at: datetime


def list_bursts() -> list[Burst]:
    """List the bursts of the last 30 days, the newest first, at most MAX_BURSTS; the caller must be an admin's page.

    One signed note that isn't as it was signed is enough. Which client's portal or note it was isn't said: an admin
    sees no client.
    """
    least = sa.case(LEAST, value=SecurityEvent.kind, else_=BURST)
    rows = db.session.execute(
        sa.select(
            SecurityEvent.kind, SecurityEvent.subject_id, SecurityEvent.times, SecurityEvent.last_at
        )
        .where(SecurityEvent.last_at > now() - SHOWN_FOR, SecurityEvent.times >= least)
        .order_by(SecurityEvent.last_at.desc(), SecurityEvent.subject_id)
        .limit(MAX_BURSTS)
    )
    return [
        Burst(
            row.kind,
            None if row.subject_id == NOBODY or row.kind in ABOUT_CLIENTS else row.subject_id,
            row.times,
            row.last_at,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class WrongPins:
    """How many wrong PINs and start codes were entered for a client in the last 30 days, and when the last one was."""

    times: int
    last_at: datetime | None


def get_wrong_pins(client_id: UUID) -> WrongPins:
    """Return the wrong PINs and start codes of a client; the caller must have checked that the actor may see them."""
    wrong = select_wrong_pins(SHOWN_FOR).subquery()
    row = db.session.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(wrong.c.times), 0),
            sa.func.max(wrong.c.last_at, type_=wrong.c.last_at.type),
        ).where(wrong.c.client_id == client_id)
    ).one()
    return WrongPins(*row)


def select_wrong_pins(within: timedelta) -> sa.Select[UUID, int, datetime]:
    """Select clients with how many wrong PINs and start codes were entered for them, hour by hour, in this time."""
    return sa.select(
        SecurityEvent.subject_id.label("client_id"), SecurityEvent.times, SecurityEvent.last_at
    ).where(SecurityEvent.kind.in_(PORTAL_KINDS), SecurityEvent.last_at > now() - within)


def delete_old_events() -> None:
    """Delete, in the open transaction, the events that are older than 90 days."""
    db.session.execute(sa.delete(SecurityEvent).where(SecurityEvent.last_at < now() - KEPT_FOR))


def select_altered(within: timedelta) -> sa.Select[UUID, datetime]:
    """Select clients with a signed note that wasn't as it was signed when somebody read it in this time."""
    return sa.select(SecurityEvent.subject_id.label("client_id"), SecurityEvent.last_at).where(
        SecurityEvent.kind == "altered", SecurityEvent.last_at > now() - within
    )
