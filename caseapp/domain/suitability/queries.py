"""Queries for what decides about handouts for a client: the situation, the recipient, the options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.database import entity_from_row, run
from caseapp.core.errors import NotFound
from caseapp.core.vault import unseal_text
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import newest_case_id
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import unseal_client
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.current import SAFETY_COLUMNS, join_safety, safety_from_row
from caseapp.domain.suitability.rules import (
    assess_suitability,
    derive_situation,
    list_allowing_blockers,
    situation_in_case,
)
from caseapp.domain.suitability.schemas import HandoutOption, Recipient

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseContext

FACTS_CASE = aliased(Case)


def join_recipient(
    query: sa.Select[*tuple[Any, ...]],
    case: Any,  # noqa: ANN401 - a column or a select
) -> sa.Select[*tuple[Any, ...]]:
    """Add to a statement about clients everything a Recipient needs, with the facts of one of their cases."""
    return join_safety(
        query.add_columns(
            *Client.__table__.c,
            ClientKey.wrapped,
            FACTS_CASE.id.label("facts_case_id"),
            FACTS_CASE.facts.label("facts"),
            *SAFETY_COLUMNS,
        )
        .join(ClientKey, ClientKey.client_id == Client.id)
        .outerjoin(FACTS_CASE, FACTS_CASE.id == case)
    )


RECIPIENT = join_recipient(
    sa.select().select_from(Client).where(Client.id == sa.bindparam("client")),
    newest_case_id(Client.id),
)


def get_recipient(client_id: UUID) -> Recipient:
    """Load a client as a recipient, with the facts of their newest case; access was already checked.

    Raises NotFound when the client is gone.
    """
    row = run(RECIPIENT, client=client_id).first()
    if row is None:
        raise NotFound
    return recipient_from_row(row, ("client", client_id))


def recipient_in_case(context: CaseContext) -> Recipient:
    """Give the client of a case as a recipient."""
    return Recipient(
        context.client,
        context.key,
        situation_in_case(context),
        get_practice_info(),
        wants_faith_variant(context.facts),
    )


def recipient_from_row(row: Any, record: tuple[str, UUID]) -> Recipient:  # noqa: ANN401
    """Build the recipient from a row of a statement made with `join_recipient`.

    `record` is the kind and id of what is read.
    """
    found = entity_from_row(row, Client)
    key = open_client_key(row.wrapped, found.id, *record)
    client = unseal_client(found, key)
    text = unseal_text(Case.__tablename__, "facts", row.facts_case_id, row.facts, key)
    facts = json.loads(text) if text else {}
    safety = safety_from_row(row, key)
    situation = derive_situation(client, safety, facts, row.facts_case_id)
    return Recipient(client, key, situation, get_practice_info(), wants_faith_variant(facts))


def wants_faith_variant(facts: Any) -> bool:  # noqa: ANN401 - a mapping of coded facts
    """Tell from a case's facts whether the client asked for the faith variants."""
    return bool(facts.get("faith_variant") == "yes")


def assess_library(
    context: CaseContext,
    assigned: Collection[tuple[str, str]],
    language: str | None = "en",
) -> list[HandoutOption]:
    """Assess the newest version of every visible handout for a case, in the library's order.

    `assigned` holds slug and language of what the client already has. `language` keeps only the handouts in it; None
    means any.
    """
    situation, help_lines = situation_in_case(context), get_practice_info().help_lines
    return [
        HandoutOption(
            item.handout,
            item.handout_version_id,
            assess_suitability(item.handout, situation, help_lines, context.case.stage),
            (item.handout.id, item.handout.language) in assigned,
            item.reviewed,
        )
        for item in list_newest_versions()
        if language is None or item.handout.language == language
    ]


def list_allowable_handouts(context: CaseContext) -> dict[str, str]:
    """List the handouts that a supervisor can allow in a case during its care hold, titles by slug."""
    found: dict[str, list[HandoutOption]] = {}
    for option in assess_library(context, (), language=None):
        found.setdefault(option.handout.id, []).append(option)
    return {
        slug: options[0].handout.title
        for slug, options in found.items()
        if not list_allowing_blockers(context, [option.suitability for option in options])
    }
