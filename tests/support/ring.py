"""Further keys of the ring, as a rotation makes them."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.core import vault
from caseapp.core.clock import now
from caseapp.core.transaction import transaction
from caseapp.domain.keys.models import KeyRing


def add_key(purpose, number, **values):
    """Add a key to the ring, wrapped under the first vault key."""
    wrapped = vault.wrap_key(vault.new_secret(), vault.ring_key_binding(purpose, number))
    row = {"wrapped": wrapped, "wrapped_by": vault.wrapping_key_id(), "created_at": now()}
    with transaction() as session:
        session.execute(sa.insert(KeyRing).values(purpose=purpose, number=number, **row, **values))
