"""Tables: a client's safety events, the state derived from them, and marks that find the clients with an open hold.

Everything that says what happened is sealed. Plain are the clients, times, authors and number of events.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import APPEND_ONLY, Model, between
from caseapp.core.ids import new_id
from caseapp.domain.screening.protocol import Level

LEVEL = between(min(Level), max(Level))


class SafetyEvent(Model):
    """A fact about a client's safety. Triggers refuse every change; a correction is another event.

    `seq` numbers the events of a client from 1 and is their only order: clocks jump. `sealed` is bound to the other
    columns and to the event before, so that an event that was changed, moved or removed doesn't open.
    """

    __tablename__ = "safety_event"
    __table_args__ = (sa.UniqueConstraint("client_id", "seq"), {"info": APPEND_ONLY})

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    seq: Mapped[int] = mapped_column(info=between(1))
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    sealed: Mapped[bytes]


class ClientSafety(Model):
    """A client's current state, derived from the events up to `seq` and written with them.

    `sealed` is bound to the other columns; `tag` is the authentication tag of the last event. `last_full_at` is the
    time of the session in which every question was last asked.
    """

    __tablename__ = "client_safety"

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(info=between(1))
    tag: Mapped[bytes]
    last_full_at: Mapped[datetime | None]
    sealed: Mapped[bytes]


class ViewerMark(Model):
    """Tells one person that a client of theirs needs attention, so that lists need not open every client's state.

    `bucket` is a keyed hash of the person and of what it is about, such as a kind of hold; `week` is when the hold
    opened or the rest is due, as the ISO year and week (202619). The client and the hold are sealed.
    """

    __tablename__ = "viewer_mark"
    __table_args__ = (sa.Index("ix_viewer_mark_bucket", "bucket", "week", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    bucket: Mapped[str] = mapped_column(sa.String(32))
    week: Mapped[int] = mapped_column(info=between(1))
    sealed: Mapped[bytes]
