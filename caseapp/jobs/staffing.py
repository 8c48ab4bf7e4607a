"""Readdressing alerts when cover begins or ends, and mailing staff, also each supervisor once a week."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from caseapp.core.actor import worker
from caseapp.core.transaction import transaction
from caseapp.domain.auth.second_factor import send_removal_mail
from caseapp.domain.dashboard.weekly_mail import send_board_mail
from caseapp.domain.screening.hold_operations import send_second_person_mail
from caseapp.domain.staffing.coach_news import add_telling_task, is_coach_news, mail_coach_news
from caseapp.domain.staffing.cover_operations import (
    list_covered_ids,
    readdress_covered,
    send_cover_mail,
)
from caseapp.domain.staffing.emergency_operations import send_emergency_mail
from caseapp.domain.staffing.operations import send_hand_over_mail


def readdress_alerts(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Let the alerts about the clients of a cover reach whoever covers now; safe to repeat or interrupt."""
    for client_id in list_covered_ids(UUID(hex=payload["cover"])):
        with transaction():
            readdress_covered(worker(), client_id)


def mail_cover(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that they cover for a coach now."""
    send_cover_mail(UUID(hex=payload["cover"]))


def mail_hand_over(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that a client was handed over to them."""
    send_hand_over_mail(UUID(hex=payload["user"]))


def tell_of_coach(row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one client who coaches them now, or give the coach a follow-up to tell them; safe to repeat or interrupt."""
    with transaction():
        if not is_coach_news(payload):
            return
    client_id, coach_id = UUID(hex=payload["client"]), UUID(hex=payload["coach"])
    if not mail_coach_news(client_id):
        with transaction():
            add_telling_task(worker(), row_id, client_id, coach_id)


def mail_emergency(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one coach that somebody has read a client's record by emergency access."""
    send_emergency_mail(UUID(hex=payload["user"]))


def mail_removal(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that their second factor was removed."""
    send_removal_mail(UUID(hex=payload["user"]))


def mail_second_person(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that they were named to release a hold."""
    send_second_person_mail(UUID(hex=payload["user"]))


def mail_board(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one supervisor the counts of their board."""
    send_board_mail(UUID(hex=payload["user"]))
