"""Signatures (Ed25519) under the ring's keys for signatures: of checkpoints, tombstones and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caseapp.domain.audit.verifier import is_signed, signed_part
from caseapp.domain.keys.queries import get_ring_key, list_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "caseapp/checkpoint/v1"
# The PostgreSQL advisory lock that lets one process write at a time; on SQLite the writer's lock does.
ADVISORY_LOCK = 0x6C6F6765


class UnknownKey(Exception):
    """A content is signed with keys of which the ring has none."""


def sign(
    content: dict[str, Any], before: bytes = b"", ring_number: int | None = None
) -> dict[str, Any]:
    """Return a content with the number of a key, the one in use, and the signature.

    `before` comes before what is signed.
    """
    key = get_ring_key("signatures", ring_number)
    content = content | {"ring_number": key.number}
    private = Ed25519PrivateKey.from_private_bytes(key.derive(LABEL))
    return content | {"signature": private.sign(before + signed_part(content)).hex()}


def sign_with_every_key(content: dict[str, Any], before: bytes) -> dict[str, Any]:
    """Return a content with a signature under each key of the ring: one from before a renewal verifies it too."""
    signatures = {
        str(number): sign(content, before, number)["signature"]
        for number in list_secrets("signatures")
    }
    return content | {"signatures": signatures}


def is_signed_with_any(
    content: Mapping[str, Any], keys: Mapping[int, bytes], before: bytes
) -> bool:
    """Tell whether one of the signatures in a content is a key's, or the only one, as earlier releases have written.

    Raises UnknownKey when none says that it is of one of these keys.
    """
    plain = dict(content)
    signatures: dict[str, str] = plain.pop("signatures", None) or {
        str(plain.pop("ring_number")): plain.pop("signature")
    }
    known = {int(number): text for number, text in signatures.items() if int(number) in keys}
    if not known:
        raise UnknownKey
    return any(
        is_signed(plain | {"ring_number": number, "signature": text}, keys, before)
        for number, text in known.items()
    )


def public_keys() -> dict[int, bytes]:
    """Return the keys that verify signatures, by their number in the ring; they open nothing."""
    private = (
        (number, get_ring_key("signatures", number).derive(LABEL))
        for number in list_secrets("signatures")
    )
    return {
        number: Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        for number, secret in private
    }
