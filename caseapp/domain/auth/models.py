"""Stored: sessions and tokens as hashes, and the attempts that the throttle counts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class Session(Model):
    """Be one signed-in browser of a member of staff or a client; the cookie holds only its reference."""

    __tablename__ = "session"
    __table_args__ = (sa.Index("ix_session_subject", "subject_id", "ended_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    subject_kind: Mapped[str] = mapped_column(sa.String(10))
    subject_id: Mapped[UUID]
    made_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    passed_pin: Mapped[bool] = mapped_column(default=True)


class Token(Model):
    """Be one bearer token of a member of staff, kept as a hash."""

    __tablename__ = "token"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[UUID] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Attempt(Model):
    """Be one try to get in that has not succeeded (yet); `scope` is a keyed hash."""

    __tablename__ = "attempt"
    __table_args__ = (sa.Index("ix_attempt_scope_at", "scope", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    scope: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[datetime]
