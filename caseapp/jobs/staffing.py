"""Mailing staff: about a client, a hold or a second factor of theirs, and each supervisor once a week."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from caseapp.domain.auth.second_factor import send_removal_mail
from caseapp.domain.dashboard.weekly_mail import send_board_mail
from caseapp.domain.screening.hold_operations import send_second_person_mail
from caseapp.domain.staffing.operations import send_hand_over_mail


def mail_hand_over(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that a client was handed over to them."""
    send_hand_over_mail(UUID(hex=payload["user"]))


def mail_removal(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that their second factor was removed."""
    send_removal_mail(UUID(hex=payload["user"]))


def mail_second_person(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that they were named to release a hold."""
    send_second_person_mail(UUID(hex=payload["user"]))


def mail_board(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one supervisor the counts of their board."""
    send_board_mail(UUID(hex=payload["user"]))
