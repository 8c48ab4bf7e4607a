"""A passkey in software, which makes and shows keys as a device does (WebAuthn Level 3; ES256, attestation `none`)."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, WITH_KEY = 0x01, 0x04, 0x40


def cbor(value):
    """Encode a number, bytes, a text or a map of these (RFC 8949)."""
    if isinstance(value, int):
        return _head(1, -1 - value) if value < 0 else _head(0, value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    parts = (cbor(part) for pair in value.items() for part in pair)
    return _head(5, len(value)) + b"".join(parts)


def _head(kind, number):
    if number < 24:
        return bytes([kind << 5 | number])
    if number < 256:
        return bytes([kind << 5 | 24, number])
    return bytes([kind << 5 | 25]) + struct.pack(">H", number)


class Authenticator:
    """A device with one key. It counts up by `counts` with each answer, and `verifies` its owner or not."""

    def __init__(self, origin="https://localhost", *, counts=1, verifies=True):
        """Draw a key."""
        self.origin, self.counts, self.verifies, self.counter = origin, counts, verifies, 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(32)

    def make(self, asked):
        """Answer what a page asks of a new passkey, as a browser's `toJSON` does."""
        options = json.loads(asked)
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        key = cbor({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        data = self._data(options["rp"]["id"], WITH_KEY)
        data += bytes(16) + struct.pack(">H", len(self.id)) + self.id + key
        attested = cbor({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options)
        return self._answer(clientDataJSON=client, attestationObject=attested)

    def show(self, asked):
        """Answer what a page asks of a passkey that is there."""
        options = json.loads(asked)
        self.counter += self.counts
        data, client = self._data(options["rpId"]), self._client("webauthn.get", options)
        signed = data + hashlib.sha256(client).digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature)

    def _data(self, site, flags=0):
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256(site.encode()).digest() + struct.pack(">BI", flags, self.counter)

    def _client(self, kind, options):
        found = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return json.dumps(found).encode()

    def _answer(self, **response):
        own = bytes_to_base64url(self.id)
        encoded = {name: bytes_to_base64url(part) for name, part in response.items()}
        return json.dumps({"id": own, "rawId": own, "type": "public-key", "response": encoded})


def change_challenge(asked):
    """Return the same options with another challenge."""
    options = json.loads(asked)
    wrong = bytes([base64url_to_bytes(options["challenge"])[0] ^ 1]) + bytes(60)
    return json.dumps(options | {"challenge": bytes_to_base64url(wrong)})
