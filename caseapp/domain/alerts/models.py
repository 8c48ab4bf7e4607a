"""Tables: alerts, their steps, the people whom a step has alerted, and the settings of alerts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of
from caseapp.core.ids import new_id
from caseapp.domain.alerts.codes import STEPS


class Alert(Model):
    """An alert that a client's hold was opened or renewed, or a screening recorded in error; which it is is sealed."""

    __tablename__ = "alert"
    __table_args__ = (
        sa.Index("ix_alert_client", "client_id", "opened_at"),
        sa.Index(
            "ix_alert_waiting",
            "opened_at",
            "id",
            sqlite_where=sa.text("acknowledged_at IS NULL"),
            postgresql_where=sa.text("acknowledged_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[bytes]
    opened_at: Mapped[datetime]
    opened_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))


class AlertStep(Model):
    """A step of an alert; it is taken once, and again when somebody else has become one of its people.

    Without a due time it is only taken when nobody of the earlier steps could be alerted.
    """

    __tablename__ = "alert_step"

    alert_id: Mapped[UUID] = mapped_column(sa.ForeignKey("alert.id"), primary_key=True)
    step: Mapped[str] = mapped_column(sa.String(10), primary_key=True, info=one_of(STEPS))
    due_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]


class AlertRecipient(Model):
    """A person whom a step of an alert has alerted; nobody is alerted twice by the same alert.

    The row is deleted when no step names the person any more and nobody has acknowledged the alert.

    `acknowledged_at` is when this person acknowledged it, which doesn't always end the alert for the others.
    """

    __tablename__ = "alert_recipient"
    __table_args__ = (sa.Index("ix_alert_recipient_user", "user_id", "alert_id"),)

    alert_id: Mapped[UUID] = mapped_column(sa.ForeignKey("alert.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"), primary_key=True)
    step: Mapped[str] = mapped_column(sa.String(10), info=one_of(STEPS))
    acknowledged_at: Mapped[datetime | None]


class AlertSetting(Model):
    """The settings of alerts; there is exactly one row."""

    __tablename__ = "alert_setting"

    id: Mapped[int] = mapped_column(
        sa.SmallInteger, primary_key=True, autoincrement=False, default=1, info=between(1, 1)
    )
    manager_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    """Whom the last step of an alert reaches."""
    safety_deputy_minutes: Mapped[int] = mapped_column(default=30, info=between(1, 1440))
    safety_manager_minutes: Mapped[int] = mapped_column(default=120, info=between(1, 1440))
    care_deputy_days: Mapped[int] = mapped_column(default=1, info=between(1, 10))
    care_manager_days: Mapped[int | None] = mapped_column(info=between(1, 10))
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
