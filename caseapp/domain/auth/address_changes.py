"""Another address of a member of staff: the one before is told, and for a day no link or code replaces the password.

Otherwise whoever changes an address, and then asks for a link there, takes over an account whose owner learns nothing.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any
from uuid import UUID

from caseapp.core import outbox
from caseapp.core.clock import now
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.domain.audit.queries import list_details_since
from caseapp.domain.auth.passwords import has_accepted
from caseapp.domain.auth.rules import ADDRESS_WAIT
from caseapp.domain.auth.sealing import open_secret, seal_secret
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESS_MAIL = "address_changed_mail"


def tell_old_address(user_id: UUID, address: str) -> None:
    """Have an address told that it isn't that of an account any more; whoever never signed in is told nothing.

    No record keeps it, so the task does, sealed as a credential is.
    """
    if not has_accepted(user_id):
        return
    seal_id = new_id()
    number, sealed = seal_secret(seal_id, user_id, address)
    outbox.enqueue(
        ADDRESS_MAIL,
        {
            "user": user_id.hex,
            "seal": seal_id.hex,
            "key": number,
            "address": b64encode(sealed).decode(),
        },
    )


def send_address_mail(payload: Mapping[str, Any]) -> bool:
    """Mail an address that it isn't that of an account any more; return whether it was sent."""
    address = open_secret(
        UUID(hex=payload["seal"]),
        UUID(hex=payload["user"]),
        payload["key"],
        b64decode(payload["address"]),
    )
    return send_staff_mail(address, "address-changed", {})


def is_address_new(user_id: UUID) -> bool:
    """Tell whether the address of somebody who can sign in was changed less than a day ago, as the log says."""
    changes = list_details_since(now() - ADDRESS_WAIT, Action.USER_MANAGE, user_id)
    return any("email" in found.get("fields", ()) for found in changes) and has_accepted(user_id)
