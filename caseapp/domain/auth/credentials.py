"""Secrets that open doors: passwords and PINs (Argon2id), references and codes that are stored as hashes.

Argon2id with 19 MiB, two passes, one lane: the first choice of the OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import hashlib
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _hasher.hash(secrets.token_urlsafe())

SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 128
FEWEST_SIGNS = 5
# A name such as Al stands in too many words to say anything.
SHORTEST_WORD = 4

# Without look-alikes, so that a code can be read aloud and copied from paper.
CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def hash_secret(secret: str) -> str:
    """Hash a password or PIN for storing."""
    return _hasher.hash(secret)


def matches(stored: str | None, secret: str) -> bool:
    """Tell whether a secret fits; nobody's secret costs the same time and never fits."""
    try:
        fits = _hasher.verify(stored or _NOBODY, secret[: LONGEST_PASSWORD + 1])
    except (VerificationError, InvalidHashError):
        return False
    return fits and stored is not None


def outdated(stored: str) -> bool:
    """Tell whether a stored hash should be made anew with today's parameters."""
    return _hasher.check_needs_rehash(stored)


def password_fault(password: str, *, known: tuple[str, ...] = ()) -> str | None:
    """Say what is wrong with a new password, or nothing.

    Fifteen characters or more when the password is the only factor, no rules of composition (NIST SP 800-63B-4);
    not the person's own name or address, nor one sign repeated.
    """
    if len(password) < SHORTEST_PASSWORD:
        return f"Use {SHORTEST_PASSWORD} characters or more; a few words in a row are fine."
    if len(password) > LONGEST_PASSWORD:
        return f"Use {LONGEST_PASSWORD} characters or fewer."
    plain = password.casefold()
    own = any(len(word) >= SHORTEST_WORD and word.casefold() in plain for word in known)
    if own or len(set(plain)) < FEWEST_SIGNS:
        return (
            "Choose one that is harder to guess: not your own name, address or one sign repeated."
        )
    return None


def new_reference() -> str:
    """Make a reference of 256 random bits for a cookie, a token or a link."""
    return secrets.token_urlsafe(32)


def new_code(groups: int, letters: int = 4) -> str:
    """Make a code for reading aloud, such as `7KQ2-M9XD`; 4.95 bits a letter."""
    return "-".join(
        "".join(secrets.choice(CODE_LETTERS) for _ in range(letters)) for _ in range(groups)
    )


def tidy_code(code: str) -> str:
    """Forgive small letters, blanks and missing hyphens in a code that somebody typed."""
    return "".join(letter for letter in code.upper() if letter in CODE_LETTERS)


def reference_hash(reference: str) -> str:
    """Hash a random reference; it needs no slow hash, since it cannot be guessed."""
    return hashlib.sha256(reference.encode()).hexdigest()
