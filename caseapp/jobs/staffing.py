"""Mailing whoever is responsible for a client now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from caseapp.domain.staffing.operations import send_hand_over_mail


def mail_hand_over(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that a client was handed over to them."""
    send_hand_over_mail(UUID(hex=payload["user"]))
