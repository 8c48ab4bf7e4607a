"""Queries for the disclosure log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.vault import unseal_json
from caseapp.domain.clients.queries import open_visible_key
from caseapp.domain.clients.visibility import is_visible_to
from caseapp.domain.disclosures.models import Disclosure
from caseapp.domain.disclosures.schemas import DisclosureRecord
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.vault import DataKey

_ENTRIES = (
    sa.select(Disclosure, User.name, ClientKey.wrapped)
    .join(ClientKey, ClientKey.client_id == Disclosure.client_id)
    .join(User, User.id == Disclosure.recorded_by)
)


def _open(row: Any, key: DataKey) -> DisclosureRecord:  # noqa: ANN401 - a result row
    entry = row.Disclosure
    return DisclosureRecord(
        id=entry.id,
        client_id=entry.client_id,
        disclosed_on=entry.disclosed_on,
        recorded_at=entry.recorded_at,
        recorded_by=entry.recorded_by,
        recorded_by_name=row.name,
        **unseal_json(entry, "content", key),
    )


def list_disclosures(
    actor: Actor, client_id: UUID, cursor: str | None, limit: int
) -> Page[DisclosureRecord]:
    """List a client's disclosure log, what was recorded last before the rest.

    Raises NotFound, and Invalid for a cursor that this application did not create.
    """
    require(actor, Action.DISCLOSURE_READ)
    key = open_visible_key(actor, client_id)
    of_client = _ENTRIES.where(Disclosure.client_id == client_id)
    rows = db.session.execute(
        page_newest_first(of_client, Disclosure.recorded_at, Disclosure.id, cursor, limit)
    ).all()
    page = make_page(rows, limit, lambda row: (row.Disclosure.recorded_at, row.Disclosure.id))
    return page.map(lambda row: _open(row, key))


def get_disclosure(actor: Actor, disclosure_id: UUID) -> DisclosureRecord:
    """Load one entry.

    Raises NotFound.
    """
    require(actor, Action.DISCLOSURE_READ)
    row = db.session.execute(
        _ENTRIES.where(Disclosure.id == disclosure_id, is_visible_to(actor, Disclosure.client_id))
    ).first()
    if row is None:
        raise NotFound
    key = open_client_key(row.wrapped, row.Disclosure.client_id, "disclosure", disclosure_id)
    return _open(row, key)
