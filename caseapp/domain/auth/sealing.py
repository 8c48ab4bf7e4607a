"""Secrets of credentials, and the hashes of clients' PINs and start codes, sealed under a key of the ring.

So the ring is the pepper: whoever has only a copy of the database can't try the million PINs (NIST SP 800-63B-4,
3.1.1.2, a keyed operation with a secret that is stored elsewhere). A new key of the ring or a new vault key needs
nobody's help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from argon2 import extract_parameters

from caseapp.core.vault import SealBroken, open_token, seal_bound, seal_token, unseal_bound
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.keys.writing import read_stretched

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.keys.writing import StretchedPin


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


def seal_hash(client_id: UUID, column: str, stored: str) -> str:
    """Seal the result of a hash in the PHC format for a client and a column of their portal access.

    Parameters and salt stay as they are; the number of the key stands before what is sealed.
    """
    start, _, result = stored.rpartition("$")
    key = get_ring_key("credentials")
    return f"{start}${key.number}.{seal_token(result, _purpose(client_id, column), key.secret)}"


def open_hash(client_id: UUID, column: str, stored: str) -> str:
    """Open a hash that `seal_hash` sealed; one that an earlier release has stored is returned as it is.

    Raises SealBroken when it was changed or comes from another client.
    """
    start, _, result = stored.rpartition("$")
    number, is_sealed, sealed = result.partition(".")
    if not is_sealed:
        return stored
    key = get_ring_key("credentials", int(number))
    return f"{start}${open_token(sealed, _purpose(client_id, column), key.secret)}"


def read_pin(client_id: UUID, stored: str) -> StretchedPin:
    """Read the stored hash of a client's PIN, which holds the stretched PIN.

    Raises SealBroken when it was changed in the database, so that no PIN fits it any more.
    """
    try:
        found = open_hash(client_id, "pin_hash", stored)
        extract_parameters(found)
        return read_stretched(found)
    except (LookupError, ValueError) as error:
        raise SealBroken("The hash of a PIN was changed.") from error


def is_hash_current(stored: str) -> bool:
    """Tell whether a hash is sealed under the key in use."""
    return stored.rpartition("$")[2].startswith(f"{get_ring_key('credentials').number}.")


def _purpose(client_id: UUID, column: str) -> str:
    return f"portal_access\x1f{column}\x1f{client_id.hex}"


def _binding(credential_id: UUID, person_id: UUID) -> bytes:
    return f"credential\x1f{credential_id.hex}\x1f{person_id.hex}".encode()
