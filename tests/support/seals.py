"""A record of what a test has sealed: by the stored bytes, the words and what the key was made of."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core import runtime, vault
from caseapp.core.database import db
from caseapp.core.settings import active
from caseapp.domain.keys.models import ClientKey
from tests.support.inventory import CLIENT, RING, VAULT

if TYPE_CHECKING:
    import pytest


@dataclass
class Seals:
    """What `watch` has seen: sealed bytes with their key and words, and keys that were made of others."""

    sealed: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    made_of: dict[bytes, bytes] = field(default_factory=dict)

    def find(self, stored: bytes) -> tuple[bytes, bytes] | None:
        """Return the key and the words of stored bytes; a key that was sent with them stands before the seal."""
        return self.sealed.get(stored) or self.sealed.get(stored[vault.KEY_BYTES :])

    def origin(self, secret: bytes) -> bytes:
        """Return the key from which this one was derived, or the client's with which another was combined."""
        while secret in self.made_of:
            secret = self.made_of[secret]
        return secret


def watch(patch: pytest.MonkeyPatch) -> Seals:
    """Record everything that is sealed from now on."""
    seals = Seals()
    encrypt, derive = vault._encrypt, vault.RingKey.derive  # noqa: SLF001
    combine, agree = vault.combine_keys, vault._private_secret  # noqa: SLF001

    def note_sealed(key: bytes, plain: bytes, binding: bytes) -> bytes:
        made = encrypt(key, plain, binding)
        seals.sealed[made] = key, plain
        return made

    def note_derived(ring_key: vault.RingKey, label: str) -> bytes:
        made = derive(ring_key, label)
        seals.made_of[made] = ring_key.secret
        return made

    def note_combined(key: vault.DataKey, own: vault.DataKey) -> vault.DataKey:
        made = combine(key, own)
        seals.made_of[made.secret] = key.secret
        return made

    def note_agreed(agreed: bytes, sent: bytes, public: bytes, key: vault.DataKey) -> bytes:
        made = agree(agreed, sent, public, key)
        seals.made_of[made] = key.secret
        return made

    patch.setattr(vault, "_encrypt", note_sealed)
    patch.setattr(vault, "_private_secret", note_agreed)
    patch.setattr(vault.RingKey, "derive", note_derived)
    for module in modules_with("combine_keys"):
        patch.setattr(module, "combine_keys", note_combined)
    return seals


def modules_with(name: str) -> list[Any]:
    """List the modules that have a function of the vault under its own name."""
    given = getattr(vault, name)
    return [
        module
        for place, module in [*sys.modules.items()]
        if place.startswith("caseapp.") and getattr(module, name, None) is given
    ]


def known_keys() -> dict[bytes, tuple[str, Any]]:
    """Return what each key is, by its bytes: a client's with the client's id, one of the ring, or the vault's."""
    found: dict[bytes, tuple[str, Any]] = {
        key.secret: (RING, purpose) for (purpose, _), key in runtime.current().ring.items()
    }
    for client_id, wrapped in db.session.execute(sa.select(ClientKey.client_id, ClientKey.wrapped)):
        found[vault.unwrap_client_key(client_id, wrapped).secret] = (CLIENT, client_id)
    for key in active().vault_keys:
        found[vault._derived("wrap", key)] = (VAULT, None)  # noqa: SLF001
    return found
