"""Passwords and PINs, stored as Argon2id hashes.

Argon2id with 19 MiB, two passes, one lane: the first choice of the OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import base64
import re
import secrets
import unicodedata
from typing import TYPE_CHECKING

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import hash_secret_raw

from caseapp.core.text import fold_for_search
from caseapp.domain.auth.sentences import ABOUT_THIS, SENTENCES
from caseapp.domain.keys.writing import StretchedPin, read_stretched

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _hasher.hash(secrets.token_urlsafe())

SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 128
LONGEST_ESTIMATED = 40
LEAST_SCORE = 3
# A short name such as Al is part of too many words to be worth refusing.
SHORTEST_NAME_PART = 4
# Neither is the name of a practice that is one common word: of a shorter one, the rest has to be hard to guess.
SHORTEST_WHOLE_NAME = 8
# Rows and columns of keyboards in English, German and French, read in both directions.
_LINES = (
    "1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm",
    "wxcvbn", "1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "abcdefghijklmnopqrstuvwxyz",
)  # fmt: skip
WALKS = "\n".join((*_LINES, *(line[::-1] for line in _LINES)))
SHORTEST_WALK = 3
WITHOUT_SHIFT = str.maketrans('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./")
# A word with the digits in it, or each run of letters or digits by itself; whatever else can be seen stands alone.
WORDS = re.compile(r"\w+|[^\w\s]")
RUNS = re.compile(r"[^\W\d]+|\d+|[^\w\s]")


def normalize(secret: str) -> str:
    """Return the one form of what looks the same, however a keyboard has composed it.

    NFKC, before every hash (NIST SP 800-63B-4, 3.1.1.2; SP 800-63B, 5.1.1.2).
    """
    return unicodedata.normalize("NFKC", secret)


def hash_secret(secret: str) -> str:
    """Hash a password or PIN for storing."""
    return _hasher.hash(normalize(secret))


def stretch_pin(pin: str, salt: str | None = None) -> StretchedPin:
    """Stretch a PIN with a new salt, or with the parameters and salt that an earlier stretching has used."""
    if salt is None:
        return read_stretched(hash_secret(pin))
    # An empty hash stands where the result was: only the parameters before it are read.
    found = extract_parameters(f"{salt}${'A' * 43}")
    return StretchedPin(
        salt,
        hash_secret_raw(
            normalize(pin).encode(),
            base64.b64decode(f"{salt.rpartition('$')[2]}=="),
            found.time_cost,
            found.memory_cost,
            found.parallelism,
            found.hash_len,
            found.type,
        ),
    )


def verify_secret(stored: str | None, secret: str) -> bool:
    """Return whether a secret matches a stored hash.

    Without a stored hash the answer is False and takes the same time, so that timing doesn't reveal who has an account.
    What earlier releases have hashed was not normalized, so it is compared as it was typed too.
    """
    return any(_fits(stored, text) for text in dict.fromkeys((normalize(secret), secret)))


def _fits(stored: str | None, secret: str) -> bool:
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
    names, sequences, repeats and keyboard patterns, sentences that people know, and what consists of them; and what
    contains the person's own name or address (`personal_words`) or one of `names`, the practice's, as a whole (NIST SP
    800-63B-4, 3.1.1.2). The lists and the estimate of guesses are those of zxcvbn (Wheeler, USENIX Security 2016),
    whose score 3, 10**8 guesses, is the least without blanks, also for what is left without repeated words,
    neighbouring keys, these names, and sentences and words that are expected.
    """
    password = normalize(password)
    if len(password) < SHORTEST_PASSWORD:
        return f"Use {SHORTEST_PASSWORD} characters or more; a few words in a row are fine."
    if len(password) > LONGEST_PASSWORD:
        return f"Use {LONGEST_PASSWORD} characters or fewer."
    squeezed = _squeeze(password)
    own = {_squeeze(part) for word in personal_words for part in (word, *re.split(r"\W", word))}
    if any(len(word) >= SHORTEST_NAME_PART and word in squeezed for word in own):
        return "Choose a password without your name or address in it."
    whole = {_squeeze(name) for name in names}
    if any(len(name) >= SHORTEST_WHOLE_NAME and name in squeezed for name in whole):
        return "Choose a password without the practice’s name in it."
    if _is_guessable(password, [*personal_words, *names]):
        return (
            "Choose a password that is harder to guess: this one is on a list of common passwords, or consists of "
            "common words, a sentence that people know, dates, repeats or neighbouring keys."
        )
    return None


def _squeeze(text: str) -> str:
    return "".join(letter for letter in fold_for_search(text) if letter.isalnum())


def _is_guessable(password: str, words: list[str]) -> bool:
    # Its lists take a third of a second and 14 MB, which only a process pays in which somebody chooses a password.
    from zxcvbn import zxcvbn

    own = {_squeeze(word) for word in (*words, *ABOUT_THIS)}
    # A phrase counts without its blanks, which zxcvbn takes for letters that somebody chose: what people say is tried
    # whole. A longer password is at least as hard to guess as its beginning, and takes far longer to estimate.
    whole = "".join(password.split())
    known = [*words, *ABOUT_THIS]
    return any(
        not text or int(zxcvbn(text[:LONGEST_ESTIMATED], user_inputs=known)["score"]) < LEAST_SCORE
        for text in dict.fromkeys((whole, _without_sentences(whole), *_list_cores(password, own)))
    )


def _without_sentences(whole: str) -> str:
    """Return what is left to guess of a password, given without blanks, when sentences that people know don't count."""
    letters = rest = _squeeze(whole)
    for sentence in SENTENCES:
        rest = rest.replace(sentence, "")
    is_part = len(letters) >= SHORTEST_WHOLE_NAME and any(letters in one for one in SENTENCES)
    return "" if is_part else whole if rest == letters else rest


def _list_cores(password: str, own: Collection[str]) -> Iterator[str]:
    """Yield what is left to guess of a password when each of its words counts once, and those of `own` don't.

    Of neighbouring keys, with or without Shift, only the first one is left.
    """
    plain = password.casefold().translate(WITHOUT_SHIFT)
    for pattern in (WORDS, RUNS):
        found = pattern.findall(plain)
        kept = [part for part in dict.fromkeys(found) if _squeeze(part) not in own]
        # Whoever tries repeated or expected words tries them with any blanks between.
        yield _without_walks((" " if kept == found else "").join(kept))


def _without_walks(text: str) -> str:
    kept, place = "", 0
    while place < len(text):
        length = 1
        while place + length < len(text) and text[place : place + length + 1] in WALKS:
            length += 1
        kept += text[place]
        place += length if length >= SHORTEST_WALK else 1
    return kept
