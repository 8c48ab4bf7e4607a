"""Queries for form drafts: an author's own words for the forms of a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import UTCTime, db, run
from caseapp.core.vault import combine_keys, unseal_private, unseal_text
from caseapp.domain.form_drafts.codes import CLIENT_RETENTION, REPLACED, STAFF_RETENTION
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.form_drafts.schemas import FormWords
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import get_ring_key, open_client_key

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from uuid import UUID

    from caseapp.core.vault import PrivateKey


# A client's own drafts open only with the key that they are sealed to; all others open with those of the practice.
_OPENS = sa.or_(
    FormDraft.client_id.is_(None),
    FormDraft.client_id != FormDraft.author_id,
    FormDraft.writing_key_id.is_not_distinct_from(sa.bindparam("writing")),
)


def _before(retention: timedelta) -> sa.BindParameter[datetime]:
    """Build the moment before which nothing is kept that is kept for this long."""
    return sa.bindparam(None, callable_=lambda: now() - retention, type_=UTCTime())


_HAS_KEY = sa.exists().where(ClientKey.client_id == FormDraft.client_id).correlate(FormDraft)
_BY_CLIENT = FormDraft.client_id == FormDraft.author_id
IS_OVER = sa.or_(
    FormDraft.updated_at <= _before(STAFF_RETENTION),
    sa.and_(
        FormDraft.client_id.is_not(None),
        sa.or_(~_HAS_KEY, sa.and_(_BY_CLIENT, FormDraft.updated_at <= _before(CLIENT_RETENTION))),
    ),
)
"""The SQL condition for drafts that are kept no longer: too old, or about an erased client."""

_DRAFTS_OF_PAGE = (
    sa.select(
        FormDraft.id,
        FormDraft.form,
        FormDraft.client_id,
        FormDraft.ring_number,
        FormDraft.writing_key_id,
        FormDraft.words,
        FormDraft.opened_at,
        FormDraft.updated_at,
        ClientKey.wrapped,
    )
    .outerjoin(ClientKey, ClientKey.client_id == FormDraft.client_id)
    .where(
        FormDraft.author_id == sa.bindparam("author"),
        FormDraft.path == sa.bindparam("path"),
        _OPENS,
        sa.not_(IS_OVER),
    )
    .order_by(FormDraft.updated_at, FormDraft.id)
)


def list_form_drafts(
    author_id: UUID, path: str, writing: PrivateKey | None = None
) -> dict[str, FormWords]:
    """List the author's words for the forms of the page with this path, by the form's address.

    `writing` is the key of a client's session; what they wrote under another one is left out.

    What the author replaced in a form stands beside, under the form's address with REPLACED.
    A form that was opened in several windows has the words that were kept last. Drafts whose time is over and those
    about erased clients are left out. The caller has already found the page for this author.
    """
    key_id = writing.id if writing else None
    newest = {
        row.form: row for row in run(_DRAFTS_OF_PAGE, author=author_id, path=path, writing=key_id)
    }
    return {
        form: FormWords(_unseal(author_id, row, writing), row.opened_at, row.updated_at)
        for form, row in newest.items()
    }


def find_last_save(author_id: UUID, form: str, opened_at: datetime) -> datetime | None:
    """Return when the words of one window were last kept, or None."""
    return db.session.scalar(
        sa.select(FormDraft.updated_at).where(
            FormDraft.author_id == author_id,
            FormDraft.form == form,
            FormDraft.opened_at == opened_at,
        )
    )


def list_draft_paths(author_id: UUID, writing: PrivateKey | None = None) -> list[str]:
    """List the paths of the pages where the author has words that were not sent, each once, the newest first.

    `writing` is the key of a client's session; what they wrote under another one is left out.
    """
    newest = sa.func.max(FormDraft.updated_at)
    return [
        *db.session.scalars(
            sa.select(FormDraft.path)
            .where(
                FormDraft.author_id == author_id,
                sa.not_(FormDraft.form.endswith(REPLACED, autoescape=True)),
                _OPENS,
                sa.not_(IS_OVER),
            )
            .group_by(FormDraft.path)
            .order_by(newest.desc(), FormDraft.path),
            {"writing": writing.id if writing else None},
        )
    ]


def _unseal(
    author_id: UUID, row: sa.Row[*tuple[Any, ...]], writing: PrivateKey | None
) -> dict[str, list[str]]:
    keys = []
    if row.client_id is not None:
        keys.append(open_client_key(row.wrapped, row.client_id, "client", row.client_id))
    if row.ring_number is not None:
        keys.append(get_ring_key("drafts", row.ring_number).for_person(author_id))
    key = combine_keys(*keys) if len(keys) > 1 else keys[0]
    place = (FormDraft.__tablename__, "words", row.id)
    if row.writing_key_id is not None and writing is not None:
        text = unseal_private(*place, row.words, writing, key).decode()
    else:
        text = unseal_text(*place, row.words, key) or "{}"
    words: dict[str, list[str]] = json.loads(text)
    return words
