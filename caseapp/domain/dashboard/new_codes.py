"""Who made new codes for which client, when and why: supervisors look whether each had a reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from marshmallow import Schema, fields
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_code
from caseapp.domain.auth.models import PortalInvitation
from caseapp.domain.auth.portal_codes import REASON
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.dashboard.listed_clients import newest_case_number
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

SHOWN_FOR = timedelta(days=90)


@dataclass(frozen=True)
class NewCodes:
    """Codes that replaced others of a client; `reason` is a code of NEW_CODE_REASONS.

    `card_by_name` is who made the card, None where a link was mailed or the card is missing still.
    """

    id: UUID
    client_id: UUID
    client: str = field(repr=False)
    number: str | None
    created_at: datetime
    created_by: UUID
    created_by_name: str
    reason: str
    way: str
    card_by_name: str | None
    needs_card: bool


class NewCodesResponseSchema(Schema):
    """Codes that replaced others of a client."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    number = fields.String(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    created_by = fields.UUID(required=True)
    created_by_name = fields.String(required=True)
    reason = fields.String(required=True)
    way = fields.String(required=True)
    card_by_name = fields.String(required=True, allow_none=True)
    needs_card = fields.Boolean(required=True)


def list_new_codes(
    actor: Actor, person_id: UUID | None, cursor: str | None, limit: int
) -> Page[NewCodes]:
    """List a page of the new codes of the last 90 days for the clients of a supervisor, newest first.

    With `person_id` only those that this member of staff has made. First codes are left out.
    """
    require(actor, Action.BOARD_READ)
    created_by, card_by = aliased(User), aliased(User)
    query = (
        sa.select(
            PortalInvitation,
            Client.preferred_name,
            newest_case_number(Client.id).label("number"),
            created_by.name.label("created_by_name"),
            card_by.name.label("card_by_name"),
            ClientKey.wrapped,
        )
        .join(Client, Client.id == PortalInvitation.client_id)
        .join(ClientKey, ClientKey.client_id == PortalInvitation.client_id)
        .join(created_by, created_by.id == PortalInvitation.created_by)
        .outerjoin(card_by, card_by.id == PortalInvitation.card_by)
        .where(
            looks_after_client(actor, PortalInvitation.client_id),
            PortalInvitation.created_at > now() - SHOWN_FOR,
            PortalInvitation.reason.is_not(None),
        )
    )
    if person_id is not None:
        query = query.where(PortalInvitation.created_by == person_id)
    rows = db.session.execute(
        page_newest_first(query, PortalInvitation.created_at, PortalInvitation.id, cursor, limit)
    ).all()
    note_shown(row.PortalInvitation.client_id for row in rows)
    found = []
    for row in rows:
        made: PortalInvitation = row.PortalInvitation
        assert made.reason is not None  # noqa: S101 - the query leaves the others out
        key = open_listed_client_key(row.wrapped, made.client_id)
        found.append(
            NewCodes(
                made.id,
                made.client_id,
                row.preferred_name,
                row.number,
                made.created_at,
                made.created_by,
                row.created_by_name,
                unseal_code(*REASON, made.id, made.reason, key),
                made.way,
                row.card_by_name,
                made.needs_card,
            )
        )
    return make_page(found, limit, lambda one: (one.created_at, one.id))
