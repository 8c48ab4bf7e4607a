"""Taking the next steps of alerts, and mailing them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import escalate, send_alert_mail


def take_alert_step(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Take the steps of an alert that are due; safe to repeat, interrupt or run concurrently."""
    with transaction():
        escalate(UUID(hex=payload["alert"]))


def mail_alert(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail an alert to one person, unless it has been acknowledged meanwhile."""
    send_alert_mail(UUID(hex=payload["alert"]), UUID(hex=payload["user"]))
