"""The vault: what is told about a person is sealed under that person's key, which is wrapped by a key file.

AES-256-GCM throughout (NIST SP 800-38D). A sealed text is version byte, 12-byte nonce, ciphertext; it is
bound to its table, column, row and client, so that a copy moved elsewhere does not open.
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
ORIGINAL_NAMES: dict[tuple[str, str], tuple[str, str]] = {}


class Tampered(Exception):
    """A sealed text does not belong where it was found, or was changed."""


class SealedRow(Protocol):
    """Be a stored row whose columns can hold sealed text."""

    __tablename__: str

    @property
    def id(self) -> Any:  # noqa: ANN401 - a mapped column
        """Give the row's own id."""

    @property
    def client_id(self) -> Any:  # noqa: ANN401 - a mapped column
        """Give the client under whose key the row is sealed."""


@dataclass(frozen=True)
class DataKey:
    """Hold one client's opened key for the length of a request."""

    client_id: UUID
    secret: bytes

    def __repr__(self) -> str:
        """Never show the secret."""
        return f"DataKey({self.client_id})"


def _derived(purpose: str) -> bytes:
    return hmac.digest(settings.active().vault_key, f"caseapp/{purpose}/v1".encode(), "sha256")


def wrapping_key_id() -> str:
    """Name the wrapping key in use without telling anything about it."""
    return hashlib.sha256(_derived("name")).hexdigest()[:16]


def new_wrapped_key(client_id: UUID) -> bytes:
    """Make a client's key and give it back wrapped, as it is stored."""
    return _encrypt(_derived("wrap"), os.urandom(KEY_BYTES), _wrap_place(client_id))


def unwrap(client_id: UUID, wrapped: bytes) -> DataKey:
    """Open a client's wrapped key.

    Raises Tampered when it belongs to another client or another wrapping key.
    """
    return DataKey(client_id, _decrypt(_derived("wrap"), wrapped, _wrap_place(client_id)))


def seal(row: SealedRow, column: str, text: str | None, key: DataKey) -> bytes | None:
    """Seal `text` for one column of one row; nothing stays nothing."""
    if text is None:
        return None
    return _encrypt(
        key.secret, text.encode(), _place(row.__tablename__, column, row.id, key.client_id)
    )


def unseal(table: str, column: str, row_id: UUID, sealed: bytes | None, key: DataKey) -> str | None:
    """Open what was sealed for this table, column, row and client.

    Raises Tampered when the text was changed or stems from another place.
    """
    if sealed is None:
        return None
    return _decrypt(key.secret, sealed, _place(table, column, row_id, key.client_id)).decode()


def seal_bytes(row: SealedRow, column: str, data: bytes, key: DataKey) -> bytes:
    """Seal a file for one column of one row."""
    return _encrypt(key.secret, data, _place(row.__tablename__, column, row.id, key.client_id))


def open_bytes(table: str, column: str, row_id: UUID, sealed: bytes, key: DataKey) -> bytes:
    """Open a file that `seal_bytes` sealed.

    Raises Tampered when it was changed or stems from another place.
    """
    return _decrypt(key.secret, sealed, _place(table, column, row_id, key.client_id))


def open_row(row: SealedRow, column: str, key: DataKey) -> str | None:
    """Open one sealed column of a loaded row."""
    return unseal(row.__tablename__, column, row.id, getattr(row, column), key)


def seal_data(row: SealedRow, column: str, data: object, key: DataKey) -> bytes:
    """Seal plain data (dicts, lists, texts, numbers) as JSON."""
    sealed = seal(row, column, json.dumps(data, ensure_ascii=False, sort_keys=True), key)
    assert sealed is not None  # noqa: S101 - a text was given
    return sealed


def open_data(row: SealedRow, column: str, key: DataKey) -> Any:  # noqa: ANN401 - JSON
    """Open plain data that `seal_data` sealed; nothing gives None."""
    text = open_row(row, column, key)
    return None if text is None else json.loads(text)


def seal_file(name: str, content: bytes, key: DataKey) -> bytes:
    """Seal the content of a file about one client; it is bound to the file's name."""
    return _encrypt(key.secret, content, _place("file", name, key.client_id, key.client_id))


def open_file(name: str, sealed: bytes, key: DataKey) -> bytes:
    """Open the content of a file that `seal_file` sealed.

    Raises Tampered when it was changed or has another name.
    """
    return _decrypt(key.secret, sealed, _place("file", name, key.client_id, key.client_id))


def keyed_hash(text: str, key: DataKey) -> str:
    """Hash a text so that only who holds the client's key can make or check it (HMAC-SHA-256)."""
    return hmac.digest(key.secret, b"caseapp/name/v1\x1f" + text.encode(), "sha256").hex()


def fingerprint(kind: str, value: str) -> str:
    """Make a keyed hash for exact look-ups (HMAC-SHA-256, 128 bits); useless without the key file."""
    digest = hmac.digest(_derived(f"fingerprint/{kind}"), value.encode(), "sha256")
    return base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def _place(table: str, column: str, row_id: UUID, client_id: UUID) -> bytes:
    table, column = ORIGINAL_NAMES.get((table, column), (table, column))
    return f"{table}\x1f{column}\x1f{row_id.hex}\x1f{client_id.hex}".encode()


def _wrap_place(client_id: UUID) -> bytes:
    return f"client_key\x1f{client_id.hex}".encode()


def _encrypt(key: bytes, plain: bytes, place: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, plain, place)


def _decrypt(key: bytes, sealed: bytes, place: bytes) -> bytes:
    if sealed[:1] != VERSION or len(sealed) < SHORTEST_SEAL:
        raise Tampered("Unknown seal.")
    try:
        return AESGCM(key).decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], place)
    except InvalidTag as error:
        raise Tampered("A sealed text was changed or moved.") from error
