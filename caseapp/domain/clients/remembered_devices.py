"""The devices on which clients come back into the portal with their PIN alone: finding, listing and forgetting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.domain.clients.models import RememberedDevice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


def list_devices(client_id: UUID) -> Sequence[RememberedDevice]:
    """List a client's remembered devices, the newest first; the caller must have checked that the actor sees them."""
    return db.session.scalars(
        sa.select(RememberedDevice)
        .where(RememberedDevice.client_id == client_id, RememberedDevice.expires_at > now())
        .order_by(RememberedDevice.created_at.desc(), RememberedDevice.id.desc())
        .execution_options(populate_existing=True)
    ).all()


def forget_devices(client_id: UUID, device_id: UUID | None = None) -> int:
    """Forget all remembered devices of a client, or one of them, and return how many; the caller holds their lock."""
    forgetting = sa.delete(RememberedDevice).where(RememberedDevice.client_id == client_id)
    if device_id is not None:
        forgetting = forgetting.where(RememberedDevice.id == device_id)
    return len(db.session.scalars(forgetting.returning(RememberedDevice.id)).all())


def delete_expired_devices() -> None:
    """Delete, in the open transaction, the devices that have been remembered for as long as they may be."""
    db.session.execute(sa.delete(RememberedDevice).where(RememberedDevice.expires_at <= now()))
