"""The vault: text about a client is encrypted under the client's key, which is wrapped by a vault key.

AES-256-GCM throughout (NIST SP 800-38D). A sealed text is a version byte, a 12-byte nonce and the ciphertext; it is
bound to its table, column, row and client, so that a copy moved elsewhere doesn't open. The operator may list several
vault keys: each of them opens, and the first one wraps.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caseapp.core import settings

if TYPE_CHECKING:
    from uuid import UUID

VERSION = b"\x01"
NONCE_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = 32
SHORTEST_SEAL = len(VERSION) + NONCE_BYTES + TAG_BYTES
CODE_LENGTH = 32
"""Characters: every sealed code is filled up to this length, so that its length doesn't tell which it is."""


# Sealed text is bound to the names that table and column had when it was sealed; a later name maps to the first one.
ORIGINAL_NAMES: dict[tuple[str, str], tuple[str, str]] = {
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
    """The unwrapped key of a client, or of a member of staff for what is only theirs, kept for one request."""

    client_id: UUID
    secret: bytes

    def __repr__(self) -> str:
        """Leave out the secret."""
        return f"DataKey({self.client_id})"


@dataclass(frozen=True)
class RingKey:
    """An unwrapped key of the key ring: a random one of this installation, for one purpose."""

    purpose: str
    number: int
    secret: bytes = field(repr=False)

    def derive(self, label: str) -> bytes:
        """Derive a key of its own for one use of this key (HMAC-SHA-256)."""
        return hmac.digest(self.secret, label.encode(), "sha256")

    def for_person(self, person_id: UUID) -> DataKey:
        """Derive the key under which things of one person are sealed; store `number` beside them."""
        return DataKey(person_id, self.derive(f"caseapp/person/v1\x1f{person_id.hex}"))


@dataclass(frozen=True)
class PrivateKey:
    """The opened key of what a client wrote for nobody else, kept for one request.

    `ring_number` is that of the key of the ring under which it is wrapped.
    """

    id: UUID
    ring_number: int
    secret: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        """The half to which anything can be sealed without this one."""
        return X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()


def _derived(purpose: str, vault_key: bytes) -> bytes:
    return hmac.digest(vault_key, f"caseapp/{purpose}/v1".encode(), "sha256")


def vault_key_ids() -> tuple[str, ...]:
    """Return an id of each listed vault key that reveals nothing about it; the first one's wraps."""
    return tuple(
        hashlib.sha256(_derived("name", key)).hexdigest()[:16]
        for key in settings.active().vault_keys
    )


def wrapping_key_id() -> str:
    """Return the id of the vault key that wraps."""
    return vault_key_ids()[0]


def new_secret() -> bytes:
    """Draw a random key."""
    return os.urandom(KEY_BYTES)


def wrap_key(secret: bytes, binding: bytes) -> bytes:
    """Encrypt a key under the first vault key, bound to the row it belongs to."""
    return _encrypt(_derived("wrap", settings.active().vault_keys[0]), secret, binding)


def unwrap_key(wrapped: bytes, binding: bytes) -> bytes:
    """Decrypt a key with whichever listed vault key wrapped it.

    Raises SealBroken when none did, or when the key belongs to another row.
    """
    for vault_key in settings.active().vault_keys:
        with suppress(SealBroken):
            return _decrypt(_derived("wrap", vault_key), wrapped, binding)
    raise SealBroken("No listed vault key opens this key.")


def client_key_binding(client_id: UUID) -> bytes:
    """Return what a wrapped client key is bound to."""
    return f"client_key\x1f{client_id.hex}".encode()


def ring_key_binding(purpose: str, number: int) -> bytes:
    """Return what a wrapped key of the ring is bound to."""
    return f"key_ring\x1f{purpose}\x1f{number}".encode()


def new_wrapped_key(client_id: UUID) -> bytes:
    """Create a client's key and return it wrapped, as it is stored."""
    return wrap_key(new_secret(), client_key_binding(client_id))


def unwrap_client_key(client_id: UUID, wrapped: bytes) -> DataKey:
    """Unwrap a client's key.

    Raises SealBroken when it belongs to another client or to a vault key that isn't listed.
    """
    return DataKey(client_id, unwrap_key(wrapped, client_key_binding(client_id)))


def combine_keys(key: DataKey, own: DataKey) -> DataKey:
    """Combine a client's key with that of a person (HMAC-SHA-256, as HKDF-Extract in RFC 5869): both are needed.

    What is sealed under it opens for nobody else, and destroying the client's key destroys it.
    """
    label = b"caseapp/combined/v1\x1f"
    return DataKey(key.client_id, hmac.digest(key.secret, label + own.secret, "sha256"))


def derived_fingerprint_key(kind: str, vault_key_id: str) -> bytes:
    """Return the key of look-up hashes that releases before the key ring derived from a vault key.

    Raises ValueError when the vault key isn't listed.
    """
    found = vault_key_ids().index(vault_key_id)
    return _derived(f"fingerprint/{kind}", settings.active().vault_keys[found])


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


def reseal_bytes(
    table: str, column: str, row_id: UUID, sealed: bytes, key: DataKey, other: DataKey
) -> bytes:
    """Encrypt for another client what was sealed under this key, in the same table, column and row.

    Raises SealBroken when it was changed or comes from another place.
    """
    data = unseal_bytes(table, column, row_id, sealed, key)
    return _encrypt(other.secret, data, _binding(table, column, row_id, other.client_id))


def unseal_column(row: SealedRow, column: str, key: DataKey) -> str | None:
    """Decrypt one sealed column of a loaded row."""
    return unseal_text(row.__tablename__, column, row.id, getattr(row, column), key)


def seal_private(
    table: str, column: str, row_id: UUID, data: bytes, public: bytes, key: DataKey
) -> bytes:
    """Encrypt bytes for this table, column, row and client so that only the private half of `public` opens them.

    A key of its own is agreed for each text (X25519, RFC 7748) and extracted with the client's key (HMAC-SHA-256, as
    HKDF-Extract in RFC 5869), so that destroying that one destroys these texts too.
    """
    sender = X25519PrivateKey.generate()
    sent = sender.public_key().public_bytes_raw()
    agreed = sender.exchange(X25519PublicKey.from_public_bytes(public))
    secret = _private_secret(agreed, sent, public, key)
    return sent + _encrypt(secret, data, _binding(table, column, row_id, key.client_id))


def unseal_private(
    table: str, column: str, row_id: UUID, sealed: bytes, private: PrivateKey, key: DataKey
) -> bytes:
    """Decrypt what `seal_private` sealed.

    Raises SealBroken when it was changed, comes from another place or was sealed to another key.
    """
    sent, text = sealed[:KEY_BYTES], sealed[KEY_BYTES:]
    try:
        own = X25519PrivateKey.from_private_bytes(private.secret)
        agreed = own.exchange(X25519PublicKey.from_public_bytes(sent))
    except ValueError as error:
        raise SealBroken("Not a sealed text.") from error
    secret = _private_secret(agreed, sent, private.public, key)
    return _decrypt(secret, text, _binding(table, column, row_id, key.client_id))


def _private_secret(agreed: bytes, sent: bytes, public: bytes, key: DataKey) -> bytes:
    return hmac.digest(key.secret, b"caseapp/private/v1\x1f" + agreed + sent + public, "sha256")


def new_private_key(key_id: UUID, ring_number: int) -> PrivateKey:
    """Draw a key for what a client writes for nobody else."""
    return PrivateKey(key_id, ring_number, X25519PrivateKey.generate().private_bytes_raw())


def seal_code(table: str, column: str, row_id: UUID, code: str, key: DataKey) -> bytes:
    """Encrypt a code, of which there are few, so that the stored length doesn't tell one from another."""
    padded = pad(code, CODE_LENGTH).encode()
    return _encrypt(key.secret, padded, _binding(table, column, row_id, key.client_id))


def unseal_code(table: str, column: str, row_id: UUID, sealed: bytes, key: DataKey) -> str:
    """Decrypt what `seal_code` sealed.

    Raises SealBroken when it was changed or comes from another place.
    """
    return unseal_bytes(table, column, row_id, sealed, key).decode().rstrip()


def pad(text: str, block_size: int) -> str:
    """Fill a text up with blanks to a multiple of a number of bytes; JSON with blanks behind it reads the same."""
    return text + " " * (-len(text.encode()) % block_size)


def seal_padded_json(
    row: SealedRow, column: str, data: object, block_size: int, key: DataKey
) -> bytes:
    """Encrypt plain data as JSON with blanks behind it, to a multiple of a number of bytes; `unseal_json` opens it."""
    text = pad(json.dumps(data, ensure_ascii=False), block_size)
    return seal_bytes(row, column, text.encode(), key)


def seal_json(row: SealedRow, column: str, data: object, key: DataKey) -> bytes:
    """Encrypt plain data (dicts, lists, strings, numbers) as JSON."""
    sealed = seal(row, column, json.dumps(data, ensure_ascii=False, sort_keys=True), key)
    assert sealed is not None  # noqa: S101 - the text is not None
    return sealed


def unseal_json(row: SealedRow, column: str, key: DataKey) -> Any:  # noqa: ANN401 - JSON
    """Open plain data that `seal_data` sealed; nothing gives None."""
    text = unseal_column(row, column, key)
    return None if text is None else json.loads(text)


def seal_bound(data: bytes, binding: bytes, key: DataKey | RingKey) -> bytes:
    """Encrypt bytes that open only with the same binding: whatever else must not have changed since."""
    return _encrypt(key.secret, data, binding)


def unseal_bound(sealed: bytes, binding: bytes, key: DataKey | RingKey) -> bytes:
    """Decrypt what `seal_bound` sealed.

    Raises SealBroken when it or anything that it was bound to was changed.
    """
    return _decrypt(key.secret, sealed, binding)


def make_mac(data: bytes, label: str, key: RingKey) -> bytes:
    """Authenticate bytes for one use of a key of the ring (HMAC-SHA-256)."""
    return hmac.digest(key.derive(label), data, "sha256")


def is_mac(mac: bytes, data: bytes, label: str, key: RingKey) -> bool:
    """Tell whether `make_mac` made this of these bytes with this key."""
    return hmac.compare_digest(mac, make_mac(data, label, key))


def tag_of(sealed: bytes) -> bytes:
    """Return the authentication tag of sealed bytes; whatever is bound to it is bound to their content and place."""
    return sealed[-TAG_BYTES:]


def seal_file(name: str, content: bytes, key: DataKey) -> bytes:
    """Encrypt the content of a file about one client, bound to the file's name."""
    return _encrypt(key.secret, content, _binding("file", name, key.client_id, key.client_id))


def unseal_file(name: str, sealed: bytes, key: DataKey) -> bytes:
    """Decrypt what `seal_file` sealed.

    Raises SealBroken when it was changed or has another name.
    """
    return _decrypt(key.secret, sealed, _binding("file", name, key.client_id, key.client_id))


def seal_token(text: str, purpose: str, key: bytes) -> str:
    """Encrypt a text into a token for a form or an address, which opens for the same purpose only."""
    sealed = _encrypt(key, text.encode(), f"token\x1f{purpose}".encode())
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def open_token(token: str, purpose: str, key: bytes) -> str:
    """Decrypt what `seal_token` sealed.

    Raises SealBroken when it was changed or made for another purpose.
    """
    try:
        sealed = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError as error:
        raise SealBroken("Not a token.") from error
    return _decrypt(key, sealed, f"token\x1f{purpose}".encode()).decode()


def keyed_hash(text: str, key: DataKey) -> str:
    """Hash a text so that only a holder of the client's key can make or check the hash (HMAC-SHA-256)."""
    return hmac.digest(key.secret, b"caseapp/name/v1\x1f" + text.encode(), "sha256").hex()


def hash_document(content: str) -> str:
    """Hash a document for the name of a file that reveals nothing about it; another first vault key changes it."""
    key = _derived("fingerprint/document", settings.active().vault_keys[0])
    return hmac.digest(key, content.encode(), "sha256").hex()[:32]


def keyed_digests(digest: str) -> list[str]:
    """Return a digest under each listed vault key, so that nobody without one can try out what was digested.

    The first is the one to store; one that was stored under another first vault key is among the others.
    """
    return [
        hmac.digest(_derived("fingerprint/sent", key), digest.encode(), "sha256").hex()
        for key in settings.active().vault_keys
    ]


def _binding(table: str, column: str, row_id: UUID, client_id: UUID) -> bytes:
    table, column = ORIGINAL_NAMES.get((table, column), (table, column))
    return f"{table}\x1f{column}\x1f{row_id.hex}\x1f{client_id.hex}".encode()


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
