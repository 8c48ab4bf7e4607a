"""Mailing one-time links to the portal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from caseapp.core import urls
from caseapp.core.clock import now
from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_codes import create_link
from caseapp.domain.auth.queries import list_link_recipients
from caseapp.domain.auth.rules import LINK_LIFETIME
from caseapp.domain.clients.operations import send_client_mail
from caseapp.domain.screening.current import get_safety_state

if TYPE_CHECKING:
    from uuid import UUID


def mail_link(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Create a one-time link and mail it, for each client that an outbox row names; only the newest link works.

    Whether email is safe is checked when sending, not when the mail was requested. A link that a client requested and
    that could not be sent in time is dropped: hours later, someone else may read the mail. It needs no consent, unlike
    that of an invitation.
    """
    is_requested = "until" in payload
    if is_requested and now() > datetime.fromisoformat(payload["until"]):
        return
    for client_id in list_link_recipients(payload):
        with transaction():
            token = create_link(client_id)
        send_client_mail(
            client_id,
            get_safety_state(client_id).flags,
            "reading-link",
            {"link": urls.portal_link_url(token), "minutes": LINK_LIFETIME.seconds // 60},
            is_requested=is_requested,
        )
