"""Searches for clients: the list of clients, and which clients a list of other records shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, SQLColumnExpression
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, literal_limit, make_page, page_newest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.domain.clients.comparison import phone_numbers, search_words
from caseapp.domain.clients.matches import email_hash
from caseapp.domain.clients.models import (
    Client,
    ClientNameWord,
    PhoneHash,
)
from caseapp.domain.clients.visibility import has_any, is_visible_to, sees_client, visible_to
from caseapp.domain.keys.queries import fingerprint
from caseapp.domain.practice.queries import get_practice_info

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

# Up to so many clients are gathered; a more common name is looked for in the newest records.
FEW_CLIENTS = 1000
LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True)
class ClientListItem:
    """A client in a list."""

    id: UUID
    name: str
    preferred_name: str
    pronouns: str
    created_at: datetime
    consent_withdrawn_on: date | None


def list_clients(
    actor: Actor, q: str | None, cursor: str | None, limit: int
) -> Page[ClientListItem]:
    """List the clients an actor may see, newest first, optionally filtered by a search."""
    require(actor, Action.CLIENT_READ)
    chosen = choose_clients(actor, q)
    page = chosen.select_page(sa.select(Client.id, Client.created_at), Client.id, cursor, limit)
    shown = page.subquery("page")
    rows = db.session.execute(
        sa.select(
            Client.id,
            Client.name,
            Client.preferred_name,
            Client.pronouns,
            Client.created_at,
            Client.consent_withdrawn_on,
        )
        .join(shown, shown.c.id == Client.id)
        .order_by(shown.c.created_at.desc(), shown.c.id.desc())
    ).all()
    items = [ClientListItem(*row) for row in rows]
    listed = make_page(items, limit, lambda item: (item.created_at, item.id))
    note_shown(item.id for item in listed.items)
    return listed


Condition = Callable[[SQLColumnExpression[UUID]], ColumnElement[bool]]


@dataclass(frozen=True)
class ChosenClients:
    """The clients whose records a list shows, and the way to these records that reads the fewest rows.

    `gathered` selects the clients when they are few: their records are read and sorted. Otherwise the index of the
    list's order is walked, and each record's client is checked by `conditions`, until the page is full. Each way reads
    whole tables where the other one reads little, and the planner knows neither who asks nor which names are common.
    """

    gathered: sa.Select[UUID] | None
    conditions: tuple[Condition, ...]

    def select_page(
        self,
        records: sa.Select[UUID, datetime],
        client_id: SQLColumnExpression[UUID],
        cursor: str | None,
        limit: int,
    ) -> sa.Select[UUID, datetime]:
        """Select a page of records, newest first; `records` selects their ids and times."""
        if self.gathered is None:
            query = records.where(*(condition(client_id) for condition in self.conditions))
        else:
            few = records.where(client_id.in_(self.gathered)).cte("few")
            query = sa.select(*few.prefix_with("MATERIALIZED").c)
        key, moment = query.selected_columns
        return page_newest_first(query, moment, key, cursor, limit)


def choose_clients(actor: Actor, q: str | None = None) -> ChosenClients:
    """Choose the clients whom an actor may see, or those of them that a search finds.

    A search is an exact email address or phone number, or the beginnings of words of the name. Without a search, a
    coach's clients count as few and a supervisor's as many. Names are counted, up to FEW_CLIENTS, in one statement:
    what each word finds and whom the actor may see, and the fewest are gathered.
    """

    def visible(client_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
        return is_visible_to(actor, client_id)

    if not (q and q.strip()):
        few = None if actor.role is Role.SUPERVISOR else visible_to(actor)
        return ChosenClients(few, (visible,))
    text = q.strip()
    if "@" in text:
        exact = Client.email_hash == email_hash(text)
    elif not any(character.isalpha() for character in text) and (
        numbers := phone_numbers(text, get_practice_info().practice.country)
    ):
        exact = Client.id.in_(
            sa.select(PhoneHash.client_id).where(
                PhoneHash.hash.in_([fingerprint("phone", number) for number in numbers])
            )
        )
    elif words := search_words(text):

        def check(client_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
            return sees_client(actor, client_id)

        return _choose_by_name(
            [*(_search_word(word) for word in words), (visible_to(actor), check)]
        )
    else:
        exact = sa.false()
    return ChosenClients(sa.select(Client.id).where(exact, visible(Client.id)), ())


def _search_word(word: str) -> tuple[sa.Select[UUID], Condition]:
    """Return how to find the clients with a word of their name that begins so, and how to check one of them."""
    found = aliased(ClientNameWord)
    begins = sa.and_(found.word >= word, found.word < word + LAST_CHARACTER)
    query = sa.select(found.client_id).where(begins)

    def check(client_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
        return has_any(query.where(found.client_id == client_id))

    return query, check


def _choose_by_name(restrictions: Sequence[tuple[sa.Select[UUID], Condition]]) -> ChosenClients:
    """Choose the clients that meet all restrictions, each of which is a query and a check of one client."""
    counted = (
        sa.select(sa.func.count())
        .select_from(query.limit(literal_limit(FEW_CLIENTS + 1)).subquery())
        .scalar_subquery()
        for query, _ in restrictions
    )
    counts = db.session.execute(sa.select(*counted)).one()
    fewest = min(range(len(counts)), key=counts.__getitem__)
    if counts[fewest] > FEW_CLIENTS:
        return ChosenClients(None, tuple(check for _, check in restrictions))
    query, _ = restrictions[fewest]
    (client_id,) = query.selected_columns
    others = (check for number, (_, check) in enumerate(restrictions) if number != fewest)
    return ChosenClients(query.where(*(check(client_id) for check in others)), ())
