"""Passwords and PINs, stored as Argon2id hashes.

Argon2id with 19 MiB, two passes, one lane: the first choice of the OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Collection

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _hasher.hash(secrets.token_urlsafe())

SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 128
LONGEST_ESTIMATED = 40
LEAST_SCORE = 3
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


def find_password_error(
    password: str, *, personal_words: Collection[str] = (), names: Collection[str] = ()
) -> str | None:
    """Return what is wrong with a new password, or None.

    15 to 128 characters, since it may be the only factor; every character is allowed and no kind of character is asked
    for. Refused is what is commonly used, expected or compromised: the 30,000 commonest of breached passwords, words,
    names, sequences, repeats and keyboard patterns, and what consists of them; and what contains the person's own name
    or address (`personal_words`) or one of `names`, the practice's and the program's, as a whole (NIST SP 800-63B-4,
    3.1.1.2). The lists and the estimate of guesses are those of zxcvbn (Wheeler, USENIX Security 2016), whose score 3,
    10**8 guesses, is the least.
    """
    if len(password) < SHORTEST_PASSWORD:
        return f"Use {SHORTEST_PASSWORD} characters or more; a few words in a row are fine."
    if len(password) > LONGEST_PASSWORD:
        return f"Use {LONGEST_PASSWORD} characters or fewer."
    lower = password.casefold()
    if any(len(word) >= SHORTEST_NAME_PART and word.casefold() in lower for word in personal_words):
        return "Choose a password without your name or address in it."
    squeezed = _squeeze(password)
    if any(
        len(_squeeze(name)) >= SHORTEST_NAME_PART and _squeeze(name) in squeezed for name in names
    ):
        return "Choose a password without the practice’s name in it."
    if _is_guessable(password, [*personal_words, *names]):
        return (
            "Choose a password that is harder to guess: this one is on a list of common passwords, or consists of "
            "common words, dates, repeats or neighbouring keys."
        )
    return None


def _squeeze(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _is_guessable(password: str, words: list[str]) -> bool:
    # Its lists take a third of a second and 14 MB, which only a process pays in which somebody chooses a password.
    from zxcvbn import zxcvbn

    # A longer password is at least as hard to guess as its beginning, and takes far longer to estimate.
    beginning = password[:LONGEST_ESTIMATED]
    return int(zxcvbn(beginning, user_inputs=words)["score"]) < LEAST_SCORE
