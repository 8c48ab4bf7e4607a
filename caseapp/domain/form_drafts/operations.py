"""Operations on form drafts: keep the words of a form that was not sent, forget them, delete those whose time is over.

A draft changes no record, so none of this is audited: what is sent later is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core.clock import now
from caseapp.core.database import db, max_length
from caseapp.core.errors import NotFound
from caseapp.core.ids import new_id
from caseapp.core.vault import combine_keys, seal, seal_private
from caseapp.domain.form_drafts.codes import MAX_BYTES, MAX_DRAFTS
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.form_drafts.queries import IS_OVER
from caseapp.domain.keys.queries import get_client_key, get_ring_key
from caseapp.domain.keys.writing import find_public_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID


def save_form_draft(
    author_id: UUID,
    path: str,
    form: str,
    client_id: UUID | None,
    words: Mapping[str, Sequence[str]],
    opened_at: datetime,
) -> bool:
    """Keep the words of a form that was opened at this time; later words of the same window replace them.

    `path` is the address of the form's page without its query, which may hold what somebody searched for; `form` is the
    address that the form is sent to. `client_id` is the client whom the form is about, in the portal always its author.
    Of a client's own words the caller holds the client's lock; they are sealed to the key that the client had when the
    form was opened. Return whether the words were kept: they are not when there are more than MAX_BYTES, when the
    client was erased, or when that key is gone.
    """
    text = json.dumps({name: list(values) for name, values in words.items()}, ensure_ascii=False)
    too_long = len(path) > max_length(FormDraft.path) or len(form) > max_length(FormDraft.form)
    if too_long or len(text.encode()) > MAX_BYTES:
        return False
    ring_key = get_ring_key("drafts")
    key, own = ring_key.for_person(author_id), None
    ring_number: int | None = ring_key.number
    if client_id is not None:
        try:
            client_key = get_client_key(client_id)
            # A client's session may have ended meanwhile; sealing to their writing key needs none.
            own = find_public_key(author_id, opened_at) if client_id == author_id else None
        except NotFound:
            return False
        if client_id == author_id:
            key, ring_number = client_key, None
        else:
            key = combine_keys(client_key, key)
    row = FormDraft(id=new_id())
    insert_into = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    insert = insert_into(FormDraft).values(
        id=row.id,
        author_id=author_id,
        client_id=client_id,
        path=path,
        form=form,
        opened_at=opened_at,
        ring_number=ring_number,
        writing_key_id=own[0] if own else None,
        words=(
            seal_private(FormDraft.__tablename__, "words", row.id, text.encode(), own[1], key)
            if own
            else seal(row, "words", text, key)
        ),
        updated_at=now(),
    )
    # The id is replaced too, because the words are sealed for it.
    replaced = ("id", "client_id", "ring_number", "writing_key_id", "words", "updated_at")
    db.session.execute(
        insert.on_conflict_do_update(
            index_elements=["author_id", "path", "form", "opened_at"],
            set_={name: insert.excluded[name] for name in replaced},
        )
    )
    _delete_oldest(author_id)
    return True


def _delete_oldest(author_id: UUID) -> None:
    """Delete the author's drafts beyond MAX_DRAFTS."""
    kept = (
        sa.select(FormDraft.id)
        .where(FormDraft.author_id == author_id)
        .order_by(FormDraft.updated_at.desc(), FormDraft.id.desc())
        .limit(MAX_DRAFTS)
    )
    db.session.execute(
        sa.delete(FormDraft).where(FormDraft.author_id == author_id, FormDraft.id.not_in(kept))
    )


def forget_form_drafts(author_id: UUID, form: str, opened_until: datetime) -> None:
    """Delete the author's words of a form that was sent or discarded, whichever page showed it.

    Only those of windows opened until then: what is being typed in a newer one stays.
    """
    db.session.execute(
        sa.delete(FormDraft).where(
            FormDraft.author_id == author_id,
            FormDraft.form == form,
            FormDraft.opened_at <= opened_until,
        )
    )


def delete_expired_drafts() -> int:
    """Delete the drafts whose time is over, and those about erased clients; return how many."""
    done = db.session.execute(sa.delete(FormDraft).where(IS_OVER))
    return cast("sa.CursorResult[Any]", done).rowcount
