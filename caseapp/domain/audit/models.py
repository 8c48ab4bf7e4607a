"""Tables: audit events and the clients of lists, append-only; counts of security events.

Triggers refuse changes of the first two on both databases.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.actor import INTERFACES
from caseapp.core.database import APPEND_ONLY, Model, between, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.core.permissions import Role

STREAMS = 16
"""The log is so many chains: writers of different ones don't wait for each other, a checkpoint names all their ends."""
OUTCOMES = ("done", "refused")
SECURITY_EVENTS = (
    "password",
    "confirmation",
    "code",
    "entry",
    "start_code",
    "pin",
    "token",
    "refused",
    "link",
    "altered",
)
"""Wrong passwords at sign-in and when somebody confirms who they are, wrong codes of a second factor, links and cards,
start codes, PINs and bearer tokens, what somebody isn't allowed to do or see, wrong links and codes for choosing a
password, and signed notes that aren't as they were signed."""
LOG = "Events are kept after the records and codes they refer to are gone."


class AuditEvent(Model):
    """Who did what to which record: ids, codes and field names, never a client's name or text about them.

    There are no foreign keys, so that events outlive the records they are about.

    `mac` is a hash of the event and of the one before it in its stream, made with the key of the ring of that number
    (`audit.chain`). The events of releases without it have none of the four; one event holds a hash of them all.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        sa.Index("ix_audit_event_occurred_at", "occurred_at", "id"),
        sa.Index("ix_audit_event_client", "client_id", "occurred_at"),
        sa.Index("ix_audit_event_actor", "actor_id", "occurred_at"),
        sa.Index("uq_audit_event_chain", "stream", "seq", unique=True),
        {"info": APPEND_ONLY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    occurred_at: Mapped[datetime]
    actor_id: Mapped[UUID] = mapped_column(info=unconstrained(LOG))
    actor_role: Mapped[str] = mapped_column(sa.String(12), info=one_of(Role))
    via: Mapped[str] = mapped_column(sa.String(8), info=one_of(INTERFACES))
    action: Mapped[str] = mapped_column(sa.String(40), info=unconstrained(LOG))
    outcome: Mapped[str] = mapped_column(sa.String(8), info=one_of(OUTCOMES))
    object_kind: Mapped[str] = mapped_column(sa.String(20), info=unconstrained(LOG))
    object_id: Mapped[UUID | None] = mapped_column(info=unconstrained(LOG))
    client_id: Mapped[UUID | None] = mapped_column(info=unconstrained(LOG))
    details: Mapped[dict[str, Any]] = mapped_column(sa.JSON())
    """Kept as the text that was hashed, which PostgreSQL's JSONB would write anew."""
    request_id: Mapped[str] = mapped_column(sa.String(32))
    dedup_key: Mapped[str | None] = mapped_column(sa.String(32), unique=True)
    stream: Mapped[int | None] = mapped_column(sa.SmallInteger, info=between(0, STREAMS - 1))
    seq: Mapped[int | None] = mapped_column(sa.BigInteger, info=between(1))
    ring_number: Mapped[int | None] = mapped_column(info=between(1))
    mac: Mapped[bytes | None]


class AuditEventClient(Model):
    """A client whom a list showed; the event says who read the list, and holds a hash of all its clients' ids."""

    __tablename__ = "audit_event_client"
    __table_args__ = (
        sa.Index("ix_audit_event_client_event", "event_id"),
        {"info": APPEND_ONLY},
    )

    client_id: Mapped[UUID] = mapped_column(primary_key=True, info=unconstrained(LOG))
    occurred_at: Mapped[datetime] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(sa.ForeignKey("audit_event.id"), primary_key=True)


class SecurityEvent(Model):
    """How often something of a kind that may be an attack happened in an hour, to whom or by whom it is known.

    Neither what was typed nor where it came from is kept; what an attacker makes of tries adds no rows.
    """

    __tablename__ = "security_event"
    __table_args__ = (sa.Index("ix_security_event_last_at", "last_at"),)

    hour_at: Mapped[datetime] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(12), primary_key=True, info=one_of(SECURITY_EVENTS))
    subject_id: Mapped[UUID] = mapped_column(
        primary_key=True,
        info=unconstrained("A member of staff or a client; zero where it is nobody’s."),
    )
    times: Mapped[int] = mapped_column(info=between(1))
    last_at: Mapped[datetime]
