"""The supervisor's board: what waits for somebody among a supervisor's own clients and those of their coaches.

Each group has a count and its most urgent rows. Nothing is cut off without a way to the rest: a group alone is paged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid5

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import (
    Page,
    make_page,
    page_in_memory,
    page_soonest_first,
)
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.domain.alerts.codes import KINDS
from caseapp.domain.alerts.queries import list_unacknowledged_alerts
from caseapp.domain.clients.matches import list_undecided_conflicts
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.dashboard.declined_proposals import list_declined_proposals
from caseapp.domain.dashboard.emergencies import list_unreviewed
from caseapp.domain.dashboard.old_levels import list_old_levels
from caseapp.domain.dashboard.queries import get_case_numbers
from caseapp.domain.dashboard.unattended import list_unattended_clients
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import find_overdue, open_kind
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.notes.unsigned import count_unsigned_notes, list_unsigned_notes
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.screening.protocol import Level
from caseapp.domain.screening.releasable import list_releasable_holds
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

GROUPS = (
    "alerts",
    "unattended",
    "holds",
    "conflicts",
    "emergencies",
    "actions",
    "levels",
    "declined",
    "notes",
)
MAX_DECLINED = 1000
MAX_CONFLICTS = 1000
SHOWN = 5
"""How many rows of each group the whole board shows."""


@dataclass(frozen=True)
class BoardRow:
    """A client in a group of the board.

    `person` is who opened the alert, has to do the action or wrote the note. `since` is when it began to wait; for an
    action, when it was due. `is_own` says of a hold that the reader can release it. Of an unattended client, `person`
    is a coach, who may have left, and `title` what they lack, see `UnattendedClient`. `levels` are old ones.
    """

    id: UUID
    client_id: UUID
    client: str = field(repr=False)
    person: str
    since: datetime
    kind: str = ""
    title: str = ""
    addressed_to: tuple[str, ...] = ()
    is_own: bool = False
    person_id: UUID | None = None
    levels: dict[str, int] = field(default_factory=dict)
    number: str = ""


@dataclass(frozen=True)
class PersonCount:
    """How many overdue actions somebody has, and since when the oldest is due."""

    id: UUID
    name: str
    count: int
    since: datetime


@dataclass(frozen=True)
class BoardGroup:
    """A group of the board: how much waits, and its most urgent rows; `is_truncated` when there may be more."""

    count: int
    page: Page[BoardRow]
    is_truncated: bool = False
    people: list[PersonCount] = field(default_factory=list)


@dataclass(frozen=True)
class Board:
    """The groups of the board by key; `show` is the one that is shown alone, `person_id` whose actions are."""

    groups: dict[str, BoardGroup]
    show: str | None
    person_id: UUID | None


def get_board(
    actor: Actor,
    *,
    show: str | None = None,
    person_id: UUID | None = None,
    cursor: str | None = None,
    limit: int = SHOWN,
) -> Board:
    """Return the board with a fixed number of statements, or one group of it alone with a page of its rows.

    `person_id` chooses whose overdue actions are listed. Raises Forbidden for anybody but a supervisor, and Invalid
    for a cursor that this application did not create.
    """
    require(actor, Action.BOARD_READ)
    keys = (show,) if show else GROUPS
    return Board(_load_numbered(actor, keys, person_id, cursor, limit), show, person_id)


def _load_numbered(
    actor: Actor,
    keys: Iterable[str],
    person_id: UUID | None,
    cursor: str | None,
    limit: int,
    cases: int | None = None,
) -> dict[str, BoardGroup]:
    """Load groups, note that their rows are shown, and add the numbers of the cases."""
    groups = {key: _load_group(actor, key, person_id, cursor, limit, cases) for key in keys}
    shown = [row.client_id for group in groups.values() for row in group.page.items]
    note_shown(shown)
    numbers = get_case_numbers(shown)

    def add_number(row: BoardRow) -> BoardRow:
        return replace(row, number=numbers.get(row.client_id, ""))

    return {key: replace(group, page=group.page.map(add_number)) for key, group in groups.items()}


def list_board_rows(
    actor: Actor, key: str, *, person_id: UUID | None, cursor: str | None, limit: int
) -> Page[BoardRow]:
    """List a page of the rows of one group; `person_id` chooses whose overdue actions are listed.

    A page of levels may have fewer rows than `limit`, which is how many open cases are looked at for it. Raises
    Forbidden for anybody but a supervisor, NotFound for an unknown group, and Invalid for a cursor that this
    application did not create.
    """
    require(actor, Action.BOARD_READ)
    if key not in GROUPS:
        raise NotFound
    return _load_numbered(actor, (key,), person_id, cursor, limit, limit)[key].page


def count_board(actor: Actor) -> dict[str, int]:
    """Count what waits in each group of the board.

    Raises Forbidden for anybody but a supervisor.
    """
    require(actor, Action.BOARD_READ)
    return {key: _load_group(actor, key, None, None, SHOWN).count for key in GROUPS}


def _load_group(
    actor: Actor,
    key: str,
    person_id: UUID | None,
    cursor: str | None,
    limit: int,
    cases: int | None = None,
) -> BoardGroup:
    if key == "actions":
        return _load_actions(actor, person_id, cursor, limit)
    if key == "levels":
        return _load_levels(actor, cursor, limit, cases)
    if key == "notes":
        notes = list_unsigned_notes(actor, cursor, limit)
        page = notes.map(
            lambda note: BoardRow(
                note.id, note.client_id, note.client, note.author, note.created_at
            )
        )
        return BoardGroup(count_unsigned_notes(actor), page)
    rows = [*LISTED[key](actor)]
    return BoardGroup(len(rows), page_in_memory(rows, _urgency, cursor, limit))


def _urgency(row: BoardRow) -> tuple[str | int, ...]:
    """Order alerts and holds: safety before care, then whatever has waited longest."""
    rank = KINDS.index(row.kind) if row.kind else len(KINDS)
    return (rank, row.since.isoformat(), row.id.hex)


def _list_alerts(actor: Actor) -> Iterable[BoardRow]:
    for alert in list_unacknowledged_alerts(actor):
        if alert.client_id and alert.kind:
            yield BoardRow(
                alert.id,
                alert.client_id,
                alert.client,
                alert.opened_by_name,
                alert.opened_at,
                kind=alert.kind,
                addressed_to=alert.addressed_to,
            )


def _list_unattended(actor: Actor) -> Iterable[BoardRow]:
    for found in list_unattended_clients(actor):
        yield BoardRow(
            found.client_id,
            found.client_id,
            found.client,
            found.coach,
            found.since,
            kind=found.hold or "",
            title=found.lacks,
            person_id=found.coach_id,
        )


def _list_holds(actor: Actor) -> Iterable[BoardRow]:
    """List the holds that wait for nothing but a second person, who may be the actor."""
    for found in list_releasable_holds(actor, list_marks(actor.id, HOLD_KINDS)):
        yield BoardRow(
            found.hold.id,
            found.hold.client_id,
            found.client,
            "",
            found.hold.renewed_at or found.hold.opened_at,
            kind=found.hold.kind,
            is_own=found.is_own,
        )


def _list_declined(actor: Actor) -> Iterable[BoardRow]:
    for found in list_declined_proposals(actor, MAX_DECLINED):
        yield BoardRow(
            uuid5(found.client_id, found.item),
            found.client_id,
            found.client,
            found.declined_by,
            found.declined_at,
            title=found.reason,
            levels={found.item: Level.WATCH},
        )


def _list_emergencies(actor: Actor) -> Iterable[BoardRow]:
    """List the emergency accesses that wait for the actor's review."""
    for found in list_unreviewed(actor):
        yield BoardRow(
            found.id,
            found.client_id,
            found.client or found.number,
            found.user_name,
            found.opened_at,
        )


def _list_conflicts(actor: Actor) -> Iterable[BoardRow]:
    for found in list_undecided_conflicts(actor, MAX_CONFLICTS):
        yield BoardRow(found.client_id, found.client_id, found.client, "", found.found_at)


LISTED = {
    "alerts": _list_alerts,
    "unattended": _list_unattended,
    "holds": _list_holds,
    "conflicts": _list_conflicts,
    "emergencies": _list_emergencies,
    "declined": _list_declined,
}


def _load_levels(actor: Actor, cursor: str | None, limit: int, cases: int | None) -> BoardGroup:
    """Load the clients with old levels among the next so many open cases; the whole board shows the first of them."""
    found, following = list_old_levels(actor, list_marks(actor.id, HOLD_KINDS), cursor, cases)
    rows = [
        BoardRow(one.case_id, one.client_id, one.client, one.coach, one.since, levels=one.levels)
        for one in found
    ]
    shown = rows[:SHOWN] if limit == SHOWN else rows
    return BoardGroup(len(rows), Page(shown, following), is_truncated=following is not None)


def _load_actions(
    actor: Actor, person_id: UUID | None, cursor: str | None, limit: int
) -> BoardGroup:
    """Load the overdue required actions, the oldest first, and count them by the person who has to do them."""
    overdue = find_overdue(now(), looks_after_client(actor, FollowUp.client_id))
    since = sa.func.min(FollowUp.due_at, type_=FollowUp.due_at.type).label("since")
    counted = db.session.execute(
        sa.select(User.id, User.name, sa.func.count().label("number"), since)
        .select_from(FollowUp)
        .join(User, User.id == FollowUp.assigned_to)
        .where(overdue)
        .group_by(User.id, User.name)
        .order_by(since, User.id)
    ).all()
    people = [PersonCount(*row) for row in counted]
    query = sa.select(FollowUp.id, FollowUp.due_at).where(overdue)
    if person_id is not None:
        query = query.where(FollowUp.assigned_to == person_id)
    chosen = page_soonest_first(query, FollowUp.due_at, FollowUp.id, cursor, limit).subquery()
    rows = db.session.execute(
        sa.select(
            FollowUp, Client.name.label("client"), User.name.label("person"), ClientKey.wrapped
        )
        .join(chosen, chosen.c.id == FollowUp.id)
        .join(Client, Client.id == FollowUp.client_id)
        .join(ClientKey, ClientKey.client_id == FollowUp.client_id)
        .join(User, User.id == FollowUp.assigned_to)
        .order_by(FollowUp.due_at, FollowUp.id)
    ).all()
    note_shown(row.FollowUp.client_id for row in rows)
    page = make_page([_action(row) for row in rows], limit, lambda row: (row.since, row.id))
    wanted = [person for person in people if person_id in {None, person.id}]
    return BoardGroup(sum(person.count for person in wanted), page, people=people)


def _action(row: Any) -> BoardRow:  # noqa: ANN401 - a result row
    task = row.FollowUp
    kind = open_kind(task, open_listed_client_key(row.wrapped, task.client_id))
    return BoardRow(
        task.id,
        task.client_id,
        row.client,
        row.person,
        task.due_at,
        title=TASK_LABELS.get(kind, ""),
    )
