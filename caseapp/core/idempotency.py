"""Idempotency keys: a request that is sent twice creates one record, and both answers lead to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.clock import now
from caseapp.core.database import Model, db, unconstrained
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.i18n import lazy_gettext
from caseapp.core.vault import keyed_digests

if TYPE_CHECKING:
    from collections.abc import Callable

# A path of ours with a query, which may name a dozen handouts.
LONGEST_LOCATION = 2000


class IdempotencyKey(Model):
    """What a key's change created or where its answer led, for whom, and a keyed hash of what was sent.

    `location` and `message` are the address and the code of the message that followed a form.
    """

    __tablename__ = "idempotency_key"

    subject_id: Mapped[UUID] = mapped_column(
        primary_key=True, info=unconstrained("A member of staff or a client.")
    )
    scope: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    content_hash: Mapped[str] = mapped_column(sa.String(64))
    record_id: Mapped[UUID | None] = mapped_column(
        info=unconstrained("A record of any table; `scope` says which.")
    )
    location: Mapped[str | None] = mapped_column(sa.String(LONGEST_LOCATION))
    message: Mapped[str | None] = mapped_column(sa.String(40))
    created_at: Mapped[datetime]


@dataclass(frozen=True)
class Claim:
    """A key claimed for one change, with what the change answered if the key has been used before."""

    subject_id: UUID
    scope: str
    key: str
    record_id: UUID | None = None
    location: str | None = None
    message: str | None = None

    def settle(
        self,
        *,
        record_id: UUID | None = None,
        location: str | None = None,
        message: str | None = None,
    ) -> None:
        """Store what the change answered, for whoever sends the same again."""
        db.session.execute(
            sa.update(IdempotencyKey)
            .where(*_is_key(self.subject_id, self.scope, self.key))
            .values(record_id=record_id, location=location, message=message)
        )


def claim_key(subject_id: UUID, scope: str, key: str, content: object) -> Claim:
    """Claim a key of a form or a request for one change; call it inside the change's transaction.

    Raises RuleBroken when the key is sent again with other content.
    """
    text = json.dumps(content, sort_keys=True, default=str, ensure_ascii=False)
    digests = keyed_digests(hashlib.sha256(text.encode()).hexdigest())
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    inserted = db.session.execute(
        insert(IdempotencyKey)
        .values(
            subject_id=subject_id, scope=scope, key=key, content_hash=digests[0], created_at=now()
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.content_hash)
    ).first()
    if inserted is not None:
        return Claim(subject_id, scope, key)
    before = db.session.execute(
        sa.select(
            IdempotencyKey.content_hash,
            IdempotencyKey.record_id,
            IdempotencyKey.location,
            IdempotencyKey.message,
        ).where(*_is_key(subject_id, scope, key))
    ).one()
    if before.content_hash not in digests or (before.record_id is None and before.location is None):
        raise RuleBroken(
            Reason(
                "idempotency_key_reused",
                lazy_gettext("This form has already been sent with different answers."),
                lazy_gettext(
                    "Check what was saved. If your answers are still needed, send them again from here."
                ),
            )
        )
    return Claim(subject_id, scope, key, before.record_id, before.location, before.message)


def is_claimed(subject_id: UUID, key: str) -> bool:
    """Tell whether a key has been used for any change."""
    found = sa.select(IdempotencyKey.created_at).where(
        IdempotencyKey.subject_id == subject_id, IdempotencyKey.key == key
    )
    return db.session.execute(found).first() is not None


def _is_key(subject_id: UUID, scope: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        IdempotencyKey.subject_id == subject_id,
        IdempotencyKey.scope == scope,
        IdempotencyKey.key == key,
    )


def run_idempotent(
    subject_id: UUID, scope: str, key: str | None, content: object, create: Callable[[], UUID]
) -> UUID:
    """Run `create` unless this key has already created a record; return the record's id.

    Call it inside a transaction, so that key and record are stored together. Raises RuleBroken when the key is sent
    again with other content.
    """
    if not key:
        return create()
    claim = claim_key(subject_id, scope, key, content)
    if claim.record_id is not None:
        return claim.record_id
    created = create()
    claim.settle(record_id=created)
    return created
