"""Secrets of credentials, sealed under a key of the ring for their row and their person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.vault import seal_bound, unseal_bound
from caseapp.domain.keys.queries import get_ring_key

if TYPE_CHECKING:
    from uuid import UUID


def seal_secret(credential_id: UUID, person_id: UUID, secret: str) -> tuple[int, bytes]:
    """Seal a secret for its row; return the number of the key with it."""
    key = get_ring_key("credentials")
    return key.number, seal_bound(secret.encode(), _binding(credential_id, person_id), key)


def open_secret(
    credential_id: UUID, person_id: UUID, ring_number: int | None, secret: bytes | None
) -> str:
    """Open a secret; one without a number is the hash of a password that an earlier release has stored.

    Raises SealBroken when it was changed or comes from another row.
    """
    assert secret is not None  # noqa: S101 - only a credential that has ended holds nothing
    if ring_number is None:
        return secret.decode()
    key = get_ring_key("credentials", ring_number)
    return unseal_bound(secret, _binding(credential_id, person_id), key).decode()


def _binding(credential_id: UUID, person_id: UUID) -> bytes:
    return f"credential\x1f{credential_id.hex}\x1f{person_id.hex}".encode()
