"""Idempotency keys in requests: a form sends one in a hidden field, an API client in `Idempotency-Key`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, TypeVar

from flask import request
from werkzeug.exceptions import BadRequest

from caseapp.core.database import max_length
from caseapp.core.errors import Invalid
from caseapp.core.i18n import gettext
from caseapp.core.idempotency import IdempotencyKey, run_idempotent
from caseapp.core.ids import new_id
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.http.form_bodies import Sent


class Record(Protocol):
    """A record with an id."""

    @property
    def id(self) -> UUID:
        """The record's id."""


Created = TypeVar("Created", bound=Record)
LONGEST_KEY = max_length(IdempotencyKey.key)
API_KEY = re.compile(rf"[A-Za-z0-9._:-]{{1,{LONGEST_KEY}}}")


def new_idempotency_key() -> str:
    """Create a key for a form that is being rendered."""
    return new_id().hex


def run_form_once(create: Callable[[], UUID]) -> UUID:
    """Run `create` once for the submitted form; when the form is sent again, return the id of the first record.

    Call it inside a transaction. Raises Invalid when the form has no key.
    """
    key = request.form.get("idempotency_key", "")
    if not key or len(key) > LONGEST_KEY:
        message = gettext("Open the page again and send the form from there.")
        raise Invalid({"idempotency_key": [message]})
    content = sorted(
        (name, values)
        for name, values in request.form.lists()
        if name not in {"csrf_token", "idempotency_key"}
    )
    return run_idempotent(current_actor().id, request.endpoint or "", key, content, create)


def run_sent_once(sent: Sent, create: Callable[[], UUID], *made: str) -> UUID:
    """Do the same for a form of a page that answers by itself; `made` is what else has to be the same."""
    key = sent.key.id.hex if sent.key else None
    content = [*sent.content, *made]
    return run_idempotent(sent.actor.id, request.endpoint or "", key, content, create)


def run_api_once(create: Callable[[], UUID], *made: str) -> UUID:
    """Run `create` once for an `Idempotency-Key`; without the header just run it.

    `made` is what has to be the same, beside the body, when the request is sent again. Call it inside a transaction.
    Raises Invalid for a key that is too long or has other characters, and BadRequest for a body that is nested too
    deeply, also where no body is needed.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not API_KEY.fullmatch(key):
        raise Invalid(
            {
                "Idempotency-Key": [
                    f"Use 1 to {LONGEST_KEY} letters, digits, dots, colons or dashes."
                ]
            }
        )
    try:
        content = [request.path, request.get_json(silent=True), *made]
    except RecursionError as error:
        raise BadRequest from error
    return run_idempotent(current_actor().id, request.endpoint or "", key, content, create)


def create_api_once(create: Callable[[], Created], get: Callable[[UUID], Created]) -> Created:
    """Run `create` once for an `Idempotency-Key` and return the record; when it is sent again, return `get(id)`.

    Call it inside a transaction. Raises what `run_api_once` raises.
    """
    created: list[Created] = []

    def create_and_keep() -> UUID:
        created.append(create())
        return created[0].id

    found = run_api_once(create_and_keep)
    return created[0] if created else get(found)
