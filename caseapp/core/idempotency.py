"""Idempotency keys: a request that is sent twice creates one record, and both answers lead to it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.clock import now
from caseapp.core.database import Model, db, unconstrained
from caseapp.core.errors import Reason, RuleBroken

if TYPE_CHECKING:
    from collections.abc import Callable


class IdempotencyKey(Model):
    """The record that a key created, for whom, and a hash of what was sent."""

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
    created_at: Mapped[datetime]


def run_idempotent(
    subject_id: UUID, scope: str, key: str | None, content: object, create: Callable[[], UUID]
) -> UUID:
    """Run `create` unless this key has already created a record; return the record's id.

    Call it inside a transaction, so that key and record are stored together. Raises RuleBroken when the key is sent
    again with other content.
    """
    if not key:
        return create()
    digest = hashlib.sha256(
        json.dumps(content, sort_keys=True, default=str, ensure_ascii=False).encode()
    ).hexdigest()
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    primary_key = {"subject_id": subject_id, "scope": scope, "key": key}
    inserted = db.session.execute(
        insert(IdempotencyKey)
        .values(**primary_key, content_hash=digest, created_at=now())
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.content_hash)
    ).first()
    is_this_key = [getattr(IdempotencyKey, name) == value for name, value in primary_key.items()]
    if inserted is None:
        before = db.session.execute(
            sa.select(IdempotencyKey.content_hash, IdempotencyKey.record_id).where(*is_this_key)
        ).one()
        if before.content_hash != digest or before.record_id is None:
            raise RuleBroken(
                Reason(
                    "idempotency_key_reused",
                    "This form has already been sent with different answers.",
                    "Open the page again and resend the form.",
                )
            )
        found: UUID = before.record_id
        return found
    created = create()
    db.session.execute(sa.update(IdempotencyKey).where(*is_this_key).values(record_id=created))
    return created
