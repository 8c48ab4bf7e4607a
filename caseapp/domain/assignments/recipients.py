"""Recipients: a client for whom sheets are meant, with all that decides about a sheet for them now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.database import Part, run
from caseapp.core.errors import NotFound
from caseapp.core.vault import unseal, unwrap
from caseapp.domain.assignments.eligibility import IN_PERSON_ONLY, situation_in
from caseapp.domain.assignments.schemas import Recipient
from caseapp.domain.assignments.suitability import situation_of
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import CaseHead, newest_case
from caseapp.domain.clients.models import Client, ClientKey
from caseapp.domain.clients.queries import opened
from caseapp.domain.practice.queries import Office, office
from caseapp.domain.screening.queries import SAFETY, safety_in, with_safety

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

TOLD_IN = aliased(Case)


def with_recipient(
    query: sa.Select[*tuple[Any, ...]],
    case: Any,  # noqa: ANN401 - a column or a select
) -> sa.Select[*tuple[Any, ...]]:
    """Add to a statement about clients all that makes them recipients, with the facts of one case of theirs."""
    return with_safety(
        query.add_columns(
            *Client.__table__.c,
            ClientKey.wrapped,
            TOLD_IN.id.label("told_in"),
            TOLD_IN.facts.label("facts"),
            *SAFETY,
        )
        .join(ClientKey, ClientKey.client_id == Client.id)
        .outerjoin(TOLD_IN, TOLD_IN.id == case)
    )


RECIPIENT = with_recipient(
    sa.select().select_from(Client).where(Client.id == sa.bindparam("client")),
    newest_case(Client.id),
)


def recipient_for(client_id: UUID) -> Recipient:
    """Open a client and gather their situation, for those who have already been let in.

    The facts are those of their newest case. Raises NotFound when the client is gone.
    """
    rows = run(RECIPIENT, client=client_id).all()
    if not rows:
        raise NotFound
    return recipient_of(rows)


def recipient_in(head: CaseHead, seen: Office | None = None) -> Recipient:
    """Give the recipient of a case that was found for somebody who may see it."""
    return Recipient(
        head.client, head.key, situation_in(head), seen or office(), wants_faith(head.facts)
    )


def recipient_of(rows: Sequence[Any]) -> Recipient:
    """Open the rows of one client that a statement through `with_recipient` gave."""
    row, found = rows[0], Part(rows[0], Client)
    key = unwrap(found.id, row.wrapped)
    client = opened(found, key)
    text = unseal(Case.__tablename__, "facts", row.told_in, row.facts, key)
    facts = json.loads(text) if text else {}
    in_person_only = IN_PERSON_ONLY in client.safe.channels
    situation = situation_of(safety_in(rows, key), facts, in_person_only=in_person_only)
    return Recipient(client, key, situation, office(), wants_faith(facts))


def wants_faith(facts: Any) -> bool:  # noqa: ANN401 - a mapping of coded facts
    """Tell from a case's facts whether the client asked for the faith variants."""
    return bool(facts.get("faith_variant") == "yes")
