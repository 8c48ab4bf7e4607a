"""Queries for the practice's consent texts and for clients' consent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.transaction import locked_clients
from caseapp.core.vault import unseal_json
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import (
    LockedClient,
    open_visible_key,
    take_lock_of_owner,
    unseal_client,
)
from caseapp.domain.clients.visibility import is_visible_to
from caseapp.domain.consent.codes import GIVEN, IN_ERROR
from caseapp.domain.consent.models import Consent, ConsentText
from caseapp.domain.consent.schemas import ConsentRecord, ConsentTextRecord
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.practice.queries import lock_practice_row
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from caseapp.core.vault import DataKey

_Correction = aliased(Consent, name="correction")
_Corrector = aliased(User, name="corrector")


def list_texts(actor: Actor) -> list[ConsentTextRecord]:
    """List every published text, the newest version first."""
    require(actor, Action.CONSENT_TEXT_READ)
    rows = db.session.execute(
        sa.select(ConsentText, User.name)
        .join(User, User.id == ConsentText.published_by)
        .order_by(ConsentText.version.desc(), ConsentText.language)
    )
    return [_describe_text(text, name) for text, name in rows]


def get_text(actor: Actor, text_id: UUID) -> ConsentTextRecord:
    """Return one published text.

    Raises NotFound.
    """
    found = next((text for text in list_texts(actor) if text.id == text_id), None)
    if found is None:
        raise NotFound
    return found


def _describe_text(text: ConsentText, name: str) -> ConsentTextRecord:
    return ConsentTextRecord(
        text.id,
        text.version,
        text.language,
        text.words,
        text.published_at,
        text.published_by,
        name,
    )


@dataclass(frozen=True)
class LockedTexts:
    """The newest version of the practice's texts, 0 for none, and its languages; nobody else publishes meanwhile.

    Only `lock_texts` makes one.
    """

    newest: int
    languages: frozenset[str]


def lock_texts(actor: Actor) -> LockedTexts:
    """Keep others from publishing until the transaction ends, then read the newest version.

    Raises Forbidden, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CONSENT_TEXT_PUBLISH)
    locked_clients()
    lock_practice_row()
    newest = sa.select(sa.func.max(ConsentText.version)).scalar_subquery()
    rows = db.session.execute(
        sa.select(ConsentText.version, ConsentText.language).where(ConsentText.version == newest)
    ).all()
    return LockedTexts(rows[0].version if rows else 0, frozenset(row.language for row in rows))


def counts(entry: type[Consent]) -> sa.ColumnElement[bool]:
    """Build the SQL condition that an entry (the table or an alias) counts: it was not recorded in error."""
    correction = aliased(Consent)
    return sa.and_(
        entry.kind != IN_ERROR,
        ~sa.exists().where(correction.corrects_id == entry.id).correlate(entry),
    )


def list_counting(*client_ids: UUID) -> list[tuple[bool, int, date]]:
    """List the entries that count of a client, or of two who may be merged, as `rules.derive_standing` takes them.

    Whoever changes something by them has locked the clients.
    """
    rows = db.session.execute(
        sa.select(Consent.kind, ConsentText.version, Consent.happened_on)
        .outerjoin(ConsentText, ConsentText.id == Consent.text_id)
        .where(Consent.client_id.in_(client_ids), counts(Consent))
        .order_by(Consent.recorded_at, Consent.id)
    )
    return [(kind == GIVEN, version or 0, day) for kind, version, day in rows]


def _select_entries() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            Consent,
            User.name,
            ConsentText.version,
            ConsentText.language,
            ClientKey.wrapped,
            _Correction,
            _Corrector.name.label("corrector"),
        )
        .join(ClientKey, ClientKey.client_id == Consent.client_id)
        .join(User, User.id == Consent.recorded_by)
        .outerjoin(ConsentText, ConsentText.id == Consent.text_id)
        .outerjoin(_Correction, _Correction.corrects_id == Consent.id)
        .outerjoin(_Corrector, _Corrector.id == _Correction.recorded_by)
        .where(Consent.kind != IN_ERROR)
    )


def _open(row: Any, key: DataKey) -> ConsentRecord:  # noqa: ANN401 - a result row
    entry, correction = row.Consent, row.correction
    content = unseal_json(entry, "content", key)
    return ConsentRecord(
        id=entry.id,
        client_id=entry.client_id,
        kind=entry.kind,
        text_id=entry.text_id,
        version=row.version,
        language=row.language,
        happened_on=entry.happened_on,
        method=content["method"],
        words=content["words"],
        recorded_at=entry.recorded_at,
        recorded_by=entry.recorded_by,
        recorded_by_name=row.name,
        in_error_at=correction.recorded_at if correction else None,
        in_error_by_name=row.corrector or "",
        error_reason=unseal_json(correction, "content", key)["words"] if correction else "",
    )


def list_consents(
    actor: Actor, client_id: UUID, cursor: str | None, limit: int
) -> Page[ConsentRecord]:
    """List the entries about a client's consent, what was recorded last before the rest.

    Raises NotFound, and Invalid for a cursor that this application did not create.
    """
    require(actor, Action.CONSENT_READ)
    key = open_visible_key(actor, client_id)
    query = _select_entries().where(Consent.client_id == client_id)
    rows = db.session.execute(
        page_newest_first(query, Consent.recorded_at, Consent.id, cursor, limit)
    ).all()
    page = make_page(rows, limit, lambda row: (row.Consent.recorded_at, row.Consent.id))
    return page.map(lambda row: _open(row, key))


def get_consent(actor: Actor, consent_id: UUID) -> ConsentRecord:
    """Load one entry.

    Raises NotFound.
    """
    require(actor, Action.CONSENT_READ)
    row = db.session.execute(
        _select_entries().where(Consent.id == consent_id, is_visible_to(actor, Consent.client_id))
    ).first()
    if row is None:
        raise NotFound
    return _open(row, open_client_key(row.wrapped, row.Consent.client_id, "consent", consent_id))


@dataclass(frozen=True)
class LockedConsent:
    """An entry whose client is locked until the transaction ends, as read after the lock.

    Only `lock_consent` makes one.
    """

    record: ConsentRecord
    client: LockedClient


def lock_consent(actor: Actor, consent_id: UUID) -> LockedConsent:
    """Lock the client of an entry, then load the entry.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CONSENT_READ)
    take_lock_of_owner(Consent.id, consent_id)
    row = db.session.execute(
        _select_entries()
        .add_columns(Client)
        .join(Client, Client.id == Consent.client_id)
        .where(Consent.id == consent_id, is_visible_to(actor, Consent.client_id))
    ).first()
    if row is None:
        raise NotFound
    key = open_client_key(row.wrapped, row.Client.id, "consent", consent_id)
    return LockedConsent(_open(row, key), LockedClient(unseal_client(row.Client, key), key))
