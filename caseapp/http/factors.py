"""A second factor as a browser shows it: what was typed is a code, or what a script got from a passkey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import session
from flask_wtf.csrf import generate_csrf

from caseapp.domain.auth import passkeys, second_factor

if TYPE_CHECKING:
    from collections.abc import Callable

    from caseapp.core.actor import Actor
    from caseapp.domain.auth.throttling import Limit

LONGEST_ANSWER = 8000
"""Longer than any code, and than what a passkey answers, in characters."""


def browser_key() -> str:
    """Return what only the session of this browser holds, so that a challenge counts for no other browser."""
    generate_csrf()
    return str(session["csrf_token"])


def check_factor(actor: Actor, typed: str, limits: list[Limit] | None = None) -> Callable[[], str]:
    """Check a code or a passkey; return what notes it, for the transaction, and returns the session's new token.

    Raises Invalid naming `code`, and TooManyAttempts.
    """
    if typed.startswith("{"):
        passkey = passkeys.check_passkey(typed[:LONGEST_ANSWER], browser_key(), actor)
        return lambda: passkeys.show_passkey(passkey)
    code = second_factor.check_code(actor, typed[:LONGEST_ANSWER], limits)
    return lambda: second_factor.show_code(code)
