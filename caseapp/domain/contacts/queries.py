"""Queries for the contact log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.vault import unseal_json
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import (
    LockedClient,
    open_visible_key,
    take_lock_of_owner,
    unseal_client,
)
from caseapp.domain.clients.visibility import is_visible_to
from caseapp.domain.contacts.codes import CANCELLED, IN_ERROR, NO_SHOW
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.schemas import ContactRecord
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import SQLColumnExpression

    from caseapp.core.pagination import Window
    from caseapp.core.vault import DataKey

_Correction = aliased(Contact, name="correction")
_Corrector = aliased(User, name="corrector")


def counts(entry: type[Contact]) -> sa.ColumnElement[bool]:
    """Build the SQL condition that an entry (the table or an alias) counts: it was not recorded in error."""
    correction = aliased(Contact)
    return sa.and_(
        entry.kind != IN_ERROR,
        ~sa.exists().where(correction.corrects_id == entry.id).correlate(entry),
    )


def select_last(kind: str, client_id: SQLColumnExpression[UUID]) -> sa.ScalarSelect[datetime]:
    """Build a scalar select of the time of a client's newest entry of a kind that counts.

    The client is that of the row around it, however deep in a statement it stands.
    """
    entry = aliased(Contact)
    return (
        sa.select(sa.func.max(entry.happened_at, type_=Contact.happened_at.type))
        .where(entry.client_id == client_id, entry.kind == kind, counts(entry))
        .correlate_except(entry)
        .scalar_subquery()
    )


def select_missed(since: datetime | None, until: datetime | None) -> sa.Select[UUID, str, datetime]:
    """Select client, kind and time of the no-shows and cancelled sessions of a period; None means any time.

    What was recorded in error is left out.
    """
    query = sa.select(Contact.client_id, Contact.kind, Contact.happened_at).where(
        Contact.kind.in_((NO_SHOW, CANCELLED)), counts(Contact)
    )
    if since is not None:
        query = query.where(Contact.happened_at >= since)
    if until is not None:
        query = query.where(Contact.happened_at < until)
    return query


def count_missed(client_id: UUID, since: datetime, until: datetime | None) -> Counter[str]:
    """Count a client's no-shows and cancelled sessions of a period by kind; access was already checked."""
    query = select_missed(since, until).with_only_columns(Contact.kind)
    return Counter(db.session.scalars(query.where(Contact.client_id == client_id)))


def _select_entries() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(Contact, _Correction, User.name, _Corrector.name, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Contact.client_id)
        .join(User, User.id == Contact.recorded_by)
        .outerjoin(_Correction, _Correction.corrects_id == Contact.id)
        .outerjoin(_Corrector, _Corrector.id == _Correction.recorded_by)
        .where(Contact.kind != IN_ERROR)
    )


def _open(row: Any, key: DataKey) -> ContactRecord:  # noqa: ANN401 - a result row
    entry, correction, name, corrector, _ = row
    content = unseal_json(entry, "content", key)
    return ContactRecord(
        id=entry.id,
        client_id=entry.client_id,
        kind=entry.kind,
        happened_at=entry.happened_at,
        method=content["method"],
        cancelled_by=content["cancelled_by"],
        words=content["words"],
        recorded_at=entry.recorded_at,
        recorded_by=entry.recorded_by,
        recorded_by_name=name,
        in_error_at=correction.recorded_at if correction else None,
        in_error_by_name=corrector or "",
        error_reason=unseal_json(correction, "content", key)["words"] if correction else "",
    )


def list_contacts(
    actor: Actor, client_id: UUID, cursor: str | None, limit: int
) -> Page[ContactRecord]:
    """List a client's contact log, what happened last before the rest, with what was recorded in error.

    Raises NotFound, and Invalid for a cursor that this application did not create.
    """
    require(actor, Action.CONTACT_READ)
    key = open_visible_key(actor, client_id)
    query = _select_entries().where(Contact.client_id == client_id)
    rows = db.session.execute(
        page_newest_first(query, Contact.happened_at, Contact.id, cursor, limit)
    ).all()
    page = make_page(rows, limit, lambda row: (row[0].happened_at, row[0].id))
    return page.map(lambda row: _open(row, key))


def list_contacts_in(client_id: UUID, key: DataKey, window: Window) -> list[ContactRecord]:
    """List the entries of a window; access to the client was already checked."""
    of_client = (Contact.client_id == client_id, Contact.kind != IN_ERROR)
    wanted = window.select(Contact.happened_at, Contact.id, *of_client)
    rows = db.session.execute(_select_entries().where(Contact.id.in_(wanted)))
    return [_open(row, key) for row in rows]


def get_contact(actor: Actor, contact_id: UUID) -> ContactRecord:
    """Load one entry.

    Raises NotFound.
    """
    require(actor, Action.CONTACT_READ)
    row = db.session.execute(
        _select_entries().where(Contact.id == contact_id, is_visible_to(actor, Contact.client_id))
    ).first()
    if row is None:
        raise NotFound
    key = open_client_key(row.wrapped, row.Contact.client_id, "contact", row.Contact.id)
    return _open(row, key)


@dataclass(frozen=True)
class LockedContact:
    """An entry whose client is locked until the transaction ends, as read after the lock.

    Only `lock_contact` makes one.
    """

    record: ContactRecord
    client: LockedClient


def lock_contact(actor: Actor, contact_id: UUID) -> LockedContact:
    """Lock the client of an entry, then load the entry.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CONTACT_READ)
    take_lock_of_owner(Contact.id, contact_id)
    row = db.session.execute(
        _select_entries()
        .add_columns(Client)
        .join(Client, Client.id == Contact.client_id)
        .where(Contact.id == contact_id, is_visible_to(actor, Contact.client_id))
    ).first()
    if row is None:
        raise NotFound
    key = open_client_key(row.wrapped, row.Client.id, "contact", contact_id)
    client = LockedClient(unseal_client(row.Client, key), key)
    return LockedContact(_open(row[:-1], key), client)
