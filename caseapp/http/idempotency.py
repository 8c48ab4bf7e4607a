"""Once-keys at the doors: a form carries one in a hidden field, an API call in `Idempotency-Key`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, TypeVar

from flask import request

from caseapp.core.errors import Invalid
from caseapp.core.idempotency import once
from caseapp.core.ids import new_id
from caseapp.http.guard import the_actor

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


class Record(Protocol):
    """Be whatever can be found again by its id."""

    @property
    def id(self) -> UUID:
        """Give the id."""


Made = TypeVar("Made", bound=Record)
LONGEST_KEY = 80
API_KEY = re.compile(r"[A-Za-z0-9._:-]{1,80}")


def fresh_key() -> str:
    """Make the key that a form carries from its rendering to its sending."""
    return new_id().hex


def form_once(make: Callable[[], UUID]) -> UUID:
    """Run `make` once for the form that was sent; a second sending gives the id of the first.

    To be called inside a transaction. Raises Invalid when the form brings no key.
    """
    key = request.form.get("once", "")
    if not key or len(key) > LONGEST_KEY:
        raise Invalid({"once": ["Open the page again and send the form from there."]})
    content = sorted(
        (name, values)
        for name, values in request.form.lists()
        if name not in {"csrf_token", "once"}
    )
    return once(the_actor().id, request.endpoint or "", key, content, make)


def api_once(make: Callable[[], UUID]) -> UUID:
    """Run `make` once for an `Idempotency-Key`; without the header it simply runs.

    To be called inside a transaction. Raises Invalid for a key that is too long or holds strange signs.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not API_KEY.fullmatch(key):
        raise Invalid({"Idempotency-Key": ["Use 1 to 80 letters, digits, dots, colons or dashes."]})
    content = [request.path, request.get_json(silent=True)]
    return once(the_actor().id, request.endpoint or "", key, content, make)


def api_made(make: Callable[[], Made], show: Callable[[UUID], Made]) -> Made:
    """Run `make` once for an `Idempotency-Key` and give what it made; a second sending gets what stands there now.

    To be called inside a transaction. Raises what `api_once` raises.
    """
    made: list[Made] = []

    def once_made() -> UUID:
        made.append(make())
        return made[0].id

    found = api_once(once_made)
    return made[0] if made else show(found)
