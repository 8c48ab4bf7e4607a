"""The vault: text about a client is encrypted under the client's key, which is wrapped by the key file.

AES-256-GCM throughout (NIST SP 800-38D). A sealed text is a version byte, a 12-byte nonce and the ciphertext; it is
bound to its table, column, row and client, so that a copy moved elsewhere doesn't open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caseapp.core import settings

if TYPE_CHECKING:
    from uuid import UUID

VERSION = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32
SHORTEST_SEAL = len(VERSION) + NONCE_BYTES + 16


# Sealed text is bound to the names that table and column had when it was sealed; a later name maps to the first one.
ORIGINAL_NAMES: dict[tuple[str, str], tuple[str, str]] = {
    ("hold", "release_reason"): ("hold", "clear_reason"),
    ("flag", "clear_reason"): ("flag", "lower_reason"),
    ("assignment", "message"): ("assignment", "line"),
    ("bulk_assignment_item", "message"): ("giving_item", "line"),
    ("worksheet_response", "answers"): ("answer_sheet", "answers"),
    ("worksheet_response", "shared_answers"): ("answer_sheet", "shared"),
    ("worksheet_upload", "content"): ("returned_file", "content"),
}


class SealBroken(Exception):
    """A sealed text was changed, or moved from where it belongs."""


class SealedRow(Protocol):
    """A stored row whose columns can hold sealed text."""

    __tablename__: str

    @property
    def id(self) -> Any:  # noqa: ANN401 - a mapped column
        """The row's id."""

    @property
    def client_id(self) -> Any:  # noqa: ANN401 - a mapped column
        """The client under whose key the row is sealed."""


@dataclass(frozen=True)
class DataKey:
    """A client's unwrapped key, kept for one request."""

    client_id: UUID
    secret: bytes

    def __repr__(self) -> str:
        """Leave out the secret."""
        return f"DataKey({self.client_id})"


def _derived(purpose: str) -> bytes:
    return hmac.digest(settings.active().vault_key, f"caseapp/{purpose}/v1".encode(), "sha256")


def wrapping_key_id() -> str:
    """Return an id of the wrapping key in use that reveals nothing about it."""
    return hashlib.sha256(_derived("name")).hexdigest()[:16]


def new_wrapped_key(client_id: UUID) -> bytes:
    """Create a client's key and return it wrapped, as it is stored."""
    return _encrypt(_derived("wrap"), os.urandom(KEY_BYTES), _wrapping_binding(client_id))


def unwrap(client_id: UUID, wrapped: bytes) -> DataKey:
    """Unwrap a client's key.

    Raises SealBroken when it belongs to another client or another wrapping key.
    """
    return DataKey(client_id, _decrypt(_derived("wrap"), wrapped, _wrapping_binding(client_id)))


def seal(row: SealedRow, column: str, text: str | None, key: DataKey) -> bytes | None:
    """Encrypt `text` for one column of one row; None stays None."""
    if text is None:
        return None
    return _encrypt(
        key.secret, text.encode(), _binding(row.__tablename__, column, row.id, key.client_id)
    )


def unseal_text(
    table: str, column: str, row_id: UUID, sealed: bytes | None, key: DataKey
) -> str | None:
    """Decrypt what was sealed for this table, column, row and client.

    Raises SealBroken when the text was changed or comes from another place.
    """
    if sealed is None:
        return None
    return _decrypt(key.secret, sealed, _binding(table, column, row_id, key.client_id)).decode()


def seal_bytes(row: SealedRow, column: str, data: bytes, key: DataKey) -> bytes:
    """Encrypt bytes for one column of one row."""
    return _encrypt(key.secret, data, _binding(row.__tablename__, column, row.id, key.client_id))


def unseal_bytes(table: str, column: str, row_id: UUID, sealed: bytes, key: DataKey) -> bytes:
    """Decrypt what `seal_bytes` sealed.

    Raises SealBroken when it was changed or comes from another place.
    """
    return _decrypt(key.secret, sealed, _binding(table, column, row_id, key.client_id))


def unseal_column(row: SealedRow, column: str, key: DataKey) -> str | None:
    """Decrypt one sealed column of a loaded row."""
    return unseal_text(row.__tablename__, column, row.id, getattr(row, column), key)


def seal_json(row: SealedRow, column: str, data: object, key: DataKey) -> bytes:
    """Encrypt plain data (dicts, lists, strings, numbers) as JSON."""
    sealed = seal(row, column, json.dumps(data, ensure_ascii=False, sort_keys=True), key)
    assert sealed is not None  # noqa: S101 - the text is not None
    return sealed


def unseal_json(row: SealedRow, column: str, key: DataKey) -> Any:  # noqa: ANN401 - JSON
    """Open plain data that `seal_data` sealed; nothing gives None."""
    text = unseal_column(row, column, key)
    return None if text is None else json.loads(text)


def seal_file(name: str, content: bytes, key: DataKey) -> bytes:
    """Encrypt the content of a file about one client, bound to the file's name."""
    return _encrypt(key.secret, content, _binding("file", name, key.client_id, key.client_id))


def unseal_file(name: str, sealed: bytes, key: DataKey) -> bytes:
    """Decrypt what `seal_file` sealed.

    Raises SealBroken when it was changed or has another name.
    """
    return _decrypt(key.secret, sealed, _binding("file", name, key.client_id, key.client_id))


def keyed_hash(text: str, key: DataKey) -> str:
    """Hash a text so that only a holder of the client's key can make or check the hash (HMAC-SHA-256)."""
    return hmac.digest(key.secret, b"caseapp/name/v1\x1f" + text.encode(), "sha256").hex()


def fingerprint(kind: str, value: str) -> str:
    """Return a keyed hash for exact look-ups (HMAC-SHA-256, 128 bits); useless without the key file."""
    digest = hmac.digest(_derived(f"fingerprint/{kind}"), value.encode(), "sha256")
    return base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def _binding(table: str, column: str, row_id: UUID, client_id: UUID) -> bytes:
    table, column = ORIGINAL_NAMES.get((table, column), (table, column))
    return f"{table}\x1f{column}\x1f{row_id.hex}\x1f{client_id.hex}".encode()


def _wrapping_binding(client_id: UUID) -> bytes:
    return f"client_key\x1f{client_id.hex}".encode()


def _encrypt(key: bytes, plain: bytes, binding: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plain, binding)


def _decrypt(key: bytes, sealed: bytes, binding: bytes) -> bytes:
    if sealed[:1] != VERSION or len(sealed) < SHORTEST_SEAL:
        raise SealBroken("Unknown seal.")
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], binding)
    except InvalidTag as error:
        raise SealBroken("An encrypted text was changed or moved.") from error
