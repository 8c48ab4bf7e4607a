"""Once-keys: the same request sent twice makes one record, and both answers lead to it."""

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
from caseapp.core.database import Model, db
from caseapp.core.errors import Reason, RuleBroken

if TYPE_CHECKING:
    from collections.abc import Callable


class OnceKey(Model):
    """Remember what a key made, for whom and from which content."""

    __tablename__ = "once_key"

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    content: Mapped[str] = mapped_column(sa.String(64))
    made_id: Mapped[UUID | None]
    at: Mapped[datetime]


def once(
    subject_id: UUID, scope: str, key: str | None, content: object, make: Callable[[], UUID]
) -> UUID:
    """Run `make` unless this key has already made something; give the id of what stands.

    To be called inside a transaction, so that key and record are stored together. Raises RuleBroken when
    the key comes back with other content.
    """
    if not key:
        return make()
    digest = hashlib.sha256(
        json.dumps(content, sort_keys=True, default=str, ensure_ascii=False).encode()
    ).hexdigest()
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    place = {"subject_id": subject_id, "scope": scope, "key": key}
    taken = db.session.execute(
        insert(OnceKey)
        .values(**place, content=digest, at=now())
        .on_conflict_do_nothing()
        .returning(OnceKey.content)
    ).first()
    here = [getattr(OnceKey, name) == value for name, value in place.items()]
    if taken is None:
        before = db.session.execute(sa.select(OnceKey.content, OnceKey.made_id).where(*here)).one()
        if before.content != digest or before.made_id is None:
            raise RuleBroken(
                Reason(
                    "once_key_reused",
                    "This form was already sent with other answers.",
                    "Open the page again and send it once more.",
                )
            )
        found: UUID = before.made_id
        return found
    made = make()
    db.session.execute(sa.update(OnceKey).where(*here).values(made_id=made))
    return made
