"""Mailing staff links with which they choose a password, and telling them that theirs or their address was replaced."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from caseapp.core.clock import now
from caseapp.core.transaction import transaction
from caseapp.domain.auth.address_changes import send_address_mail
from caseapp.domain.auth.password_links import (
    make_link,
    offer_reset,
    send_link,
    send_replaced_mail,
)


def mail_password_link(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Make the link of an invitation or a reset and mail it, unless that has ended since."""
    with transaction():
        made = make_link(UUID(hex=payload["credential"]))
    if made is not None:
        send_link(made)


def offer_password_reset(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Have a link mailed to whoever has asked for one; a request that is too old by now is dropped."""
    if now() <= datetime.fromisoformat(payload["until"]):
        with transaction():
            offer_reset(payload["email"])


def mail_replaced(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail one person that their password was replaced by a link or code."""
    send_replaced_mail(UUID(hex=payload["user"]))


def mail_address_changed(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Mail the address that somebody had before that it was changed."""
    send_address_mail(payload)
