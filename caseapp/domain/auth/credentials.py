"""Passwords and PINs, stored as Argon2id hashes.

Argon2id with 19 MiB, two passes, one lane: the first choice of the OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _hasher.hash(secrets.token_urlsafe())

SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 128
FEWEST_DISTINCT_CHARACTERS = 5
# A short name such as Al is part of too many words to be worth refusing.
SHORTEST_NAME_PART = 4


def hash_secret(secret: str) -> str:
    """Hash a password or PIN for storing."""
    return _hasher.hash(secret)


def verify_secret(stored: str | None, secret: str) -> bool:
    """Return whether a secret matches a stored hash.

    Without a stored hash the answer is False and takes the same time, so that timing doesn't reveal who has an account.
    """
    try:
        fits = _hasher.verify(stored or _NOBODY, secret[: LONGEST_PASSWORD + 1])
    except (VerificationError, InvalidHashError):
        return False
    return fits and stored is not None


def needs_rehash(stored: str) -> bool:
    """Return whether a hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def find_password_error(password: str, *, personal_words: tuple[str, ...] = ()) -> str | None:
    """Return what is wrong with a new password, or None.

    At least 15 characters when the password is the only factor, no composition rules (NIST SP 800-63B-4); it may not
    contain the person's own name or address (`personal_words`) or consist of a few repeated characters.
    """
    if len(password) < SHORTEST_PASSWORD:
        return f"Use {SHORTEST_PASSWORD} characters or more; a few words in a row are fine."
    if len(password) > LONGEST_PASSWORD:
        return f"Use {LONGEST_PASSWORD} characters or fewer."
    lower = password.casefold()
    personal = any(
        len(word) >= SHORTEST_NAME_PART and word.casefold() in lower for word in personal_words
    )
    if personal or len(set(lower)) < FEWEST_DISTINCT_CHARACTERS:
        return "Choose a password that is harder to guess. Don't use your name or address, or one repeated character."
    return None
