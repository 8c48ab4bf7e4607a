"""Form keys: a sealed hidden field that says whose form it is, where it stands and what it was filled with.

A form's key is its idempotency key. Since nobody else can make one, it also says whose words a form holds when the
session has ended, and shows that the form came from one of our pages when its CSRF token has become stale.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from caseapp.core.vault import SealBroken, open_token, seal_token
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.keys.queries import get_ring_key
from caseapp.http.form_merge import Base

PURPOSE = "form_key"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class FormKey:
    """What the key of a form on a page says.

    `form` is the form's address, `page` the address of its page with the query, `base` what the form was filled with,
    and `conflicts` the fields that the form shows with a text that somebody else has saved beside.
    """

    id: UUID
    person_id: UUID
    client_id: UUID | None
    form: str
    page: str
    opened_at: datetime
    base: Base
    conflicts: tuple[str, ...] = ()


def seal_form_key(key: FormKey) -> str:
    """Seal a key for the hidden field of a form that is being rendered."""
    ring_key = get_ring_key("drafts")
    content = [
        key.id.hex,
        key.person_id.hex,
        key.client_id.hex if key.client_id else "",
        key.form,
        key.page,
        (key.opened_at - EPOCH) // MICROSECOND,
        key.base.salt,
        key.base.checks,
        key.conflicts,
    ]
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return f"{ring_key.number}.{seal_token(text, PURPOSE, ring_key.derive(PURPOSE))}"


def lock_own_words(key: FormKey) -> None:
    """Take the lock of a client whose own words are about to be kept, so that their writing key stays meanwhile.

    Nothing is locked for a form of staff. Raises RuntimeError outside `transaction()`.
    """
    if key.client_id is not None and key.client_id == key.person_id:
        take_client_lock(key.client_id)


def open_form_key(token: str) -> FormKey | None:
    """Read the hidden field of a form, or return None when it is missing or not ours."""
    number, _, sealed = token.partition(".")
    if not (number.isascii() and number.isdigit()) or len(number) > 4:  # noqa: PLR2004 - digits
        return None
    try:
        secret = get_ring_key("drafts", int(number)).derive(PURPOSE)
        found = json.loads(open_token(sealed, PURPOSE, secret))
    except (SealBroken, LookupError):
        return None
    id_, person_id, client_id, form, page, opened_at, salt, checks, conflicts = found
    return FormKey(
        UUID(id_),
        UUID(person_id),
        UUID(client_id) if client_id else None,
        form,
        page,
        EPOCH + opened_at * MICROSECOND,
        Base(salt, checks),
        tuple(conflicts),
    )
