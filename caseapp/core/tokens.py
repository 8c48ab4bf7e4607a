"""Random secrets: tokens for cookies, links and programs, and codes that people read aloud or copy from paper."""

from __future__ import annotations

import hashlib
import secrets

# Without look-alikes such as 0 and O.
CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def generate_token() -> str:
    """Generate a token of 256 random bits for a cookie, a bearer token or a link."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Hash a random token for storing; it can't be guessed, so it needs no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def generate_code(groups: int, letters: int = 4) -> str:
    """Generate a code for reading aloud, such as `7KQ2-M9XD`; each letter holds 4.95 bits."""
    return "-".join(
        "".join(secrets.choice(CODE_LETTERS) for _ in range(letters)) for _ in range(groups)
    )


def normalize_code(code: str) -> str:
    """Turn a typed code into its canonical form: capitals, no spaces, no hyphens."""
    return "".join(letter for letter in code.upper() if letter in CODE_LETTERS)
