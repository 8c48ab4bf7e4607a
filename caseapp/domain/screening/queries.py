"""Queries for screenings, holds and flags, and the safety state that they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVarTuple

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, entity_from_row
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, in_any, literal_limit, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.reads import note_opened
from caseapp.core.vault import DataKey, unseal_column
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import is_visible_to, require_visible_client, take_lock_of_owner
from caseapp.domain.followups.queries import list_hold_followups
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import get_client_key, open_key
from caseapp.domain.screening.models import Flag, Hold, Screening
from caseapp.domain.screening.protocol import ITEMS, SAFETY_ITEMS, SCREENING_VALIDITY
from caseapp.domain.screening.rules import highest_level, list_episodes, release_blockers
from caseapp.domain.screening.schemas import ScreeningRecord
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.core.pagination import Window

RELEASE_SCREENINGS = 20
Columns = TypeVarTuple("Columns")


def get_levels(row: Screening) -> dict[str, int | None]:
    """Return the levels of a stored screening by item."""
    return {item.key: getattr(row, item.key) for item in ITEMS}


def _select_with_key(client: sa.ColumnElement[bool]) -> sa.Select[Screening, bytes]:
    return (
        sa.select(Screening, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Screening.client_id)
        .where(client)
    )


def _record_from_row(row: Any) -> ScreeningRecord:  # noqa: ANN401 - a result row
    return _record(
        row.Screening, open_key(row.wrapped, row.Screening.client_id, "screening", row.Screening.id)
    )


def _record(found: Screening, key: DataKey, recorded_by_name: str = "") -> ScreeningRecord:
    return ScreeningRecord(
        id=found.id,
        client_id=found.client_id,
        recorded_at=found.recorded_at,
        recorded_by=found.recorded_by,
        levels=get_levels(found),
        asked_alone=found.asked_alone,
        actions_taken=found.actions_taken,
        comment=unseal_column(found, "comment", key) or "",
        recorded_by_name=recorded_by_name,
    )


def list_screenings(
    actor: Actor, client_id: UUID, cursor: str | None, limit: int
) -> Page[ScreeningRecord]:
    """List a client's screenings, newest first.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    require_visible_client(actor, client_id)
    query = _select_with_key(Screening.client_id == client_id)
    rows = db.session.execute(
        page_newest_first(query, Screening.recorded_at, Screening.id, cursor, limit)
    ).all()
    return make_page(
        [_record_from_row(row) for row in rows], limit, lambda item: (item.recorded_at, item.id)
    )


def get_screening(actor: Actor, screening_id: UUID) -> ScreeningRecord:
    """Load a screening.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    row = db.session.execute(
        _select_with_key(
            sa.and_(Screening.id == screening_id, is_visible_to(actor, Screening.client_id))
        )
    ).first()
    if row is None:
        raise NotFound
    return _record_from_row(row)


def list_recent_screenings(client_id: UUID, limit: int = 6) -> list[ScreeningRecord]:
    """List a client's latest screenings, newest first; access was already checked."""
    rows = db.session.execute(
        _select_with_key(Screening.client_id == client_id)
        .order_by(Screening.recorded_at.desc(), Screening.id.desc())
        .limit(limit)
    ).all()
    return [_record_from_row(row) for row in rows]


def list_page_screenings(client_id: UUID, key: DataKey, *windows: Window) -> list[ScreeningRecord]:
    """List the screenings of a client that are in at least one of some windows, newest first, in one statement.

    Access was already checked.
    """
    of_client = Screening.client_id == client_id
    wanted = [window.select(Screening.recorded_at, Screening.id, of_client) for window in windows]
    rows = db.session.execute(
        sa.select(Screening, User.name)
        .outerjoin(User, User.id == Screening.recorded_by)
        .where(in_any(Screening.id, *wanted))
        .order_by(Screening.recorded_at.desc(), Screening.id.desc())
    )
    return [_record(row, key, name or "") for row, name in rows]


def list_holds(actor: Actor, client_id: UUID) -> Sequence[Hold]:
    """List a client's holds, open ones first.

    Raises NotFound.
    """
    require(actor, Action.HOLD_READ)
    found = db.session.scalars(
        sa.select(Hold)
        .where(Hold.client_id == client_id, is_visible_to(actor, Hold.client_id))
        .order_by(Hold.released_at.is_not(None), Hold.opened_at.desc())
    ).all()
    if not found:
        require_visible_client(actor, client_id)
    note_opened(client_id, "client", client_id)
    return found


def get_hold(actor: Actor, hold_id: UUID) -> Hold:
    """Load a hold.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(Hold).where(Hold.id == hold_id, is_visible_to(actor, Hold.client_id))
    )
    if found is None:
        raise NotFound
    note_opened(found.client_id, "hold", found.id)
    return found


def list_flags(actor: Actor, client_id: UUID) -> Sequence[Flag]:
    """List a client's active flags.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    found = db.session.scalars(
        sa.select(Flag)
        .where(
            Flag.client_id == client_id,
            Flag.cleared_at.is_(None),
            is_visible_to(actor, Flag.client_id),
        )
        .order_by(Flag.set_at)
    ).all()
    if not found:
        require_visible_client(actor, client_id)
    note_opened(client_id, "client", client_id)
    return found


@dataclass(frozen=True)
class OpenHold:
    """A hold that is open now."""

    id: UUID
    client_id: UUID
    kind: str
    opened_at: datetime
    opened_by: UUID
    reasons: list[dict[str, Any]]
    version: int


@dataclass(frozen=True)
class SafetyState:
    """A client's open holds, active flags and last screening at one moment; derived on each use, never stored."""

    holds: tuple[OpenHold, ...]
    flags: frozenset[str]
    last_screening: ScreeningRecord | None
    as_of: datetime

    @property
    def hold(self) -> str | None:
        """Return the kind of the strictest open hold."""
        kinds = {hold.kind for hold in self.holds}
        return "safety" if "safety" in kinds else "care" if kinds else None

    @property
    def is_recent(self) -> bool:
        """Tell whether the last screening is at most 14 days old."""
        return (
            self.last_screening is not None
            and self.as_of - self.last_screening.recorded_at <= SCREENING_VALIDITY
        )

    @property
    def fear_known(self) -> bool:
        """Tell whether the last screening has an answer about fear at home that was given alone.

        In front of others nobody can be expected to say it; content map, section (e), 4c.
        """
        last = self.last_screening
        return last is not None and last.asked_alone and last.levels["fear_at_home"] is not None

    @property
    def safety_known(self) -> bool:
        """Tell whether the last screening has an answer to each safety item, about fear at home one given alone."""
        levels = self.last_screening.levels if self.last_screening else {}
        return self.fear_known and all(levels[key] is not None for key in SAFETY_ITEMS)

    @property
    def highest_level(self) -> int | None:
        """Return the highest level of the last screening."""
        return highest_level(self.last_screening.levels) if self.last_screening else None


NEWEST = aliased(Screening)
LAST_SCREENING_ID = (
    sa.select(NEWEST.id)
    .where(NEWEST.client_id == Client.id)
    .order_by(NEWEST.recorded_at.desc(), NEWEST.id.desc())
    .limit(literal_limit(1))
    .correlate(Client)
    .scalar_subquery()
)
ACTIVE_FLAGS = (
    sa.select(sa.func.aggregate_strings(Flag.kind, ","))
    .where(Flag.client_id == Client.id, Flag.cleared_at.is_(None))
    .correlate(Client)
    .label("active_flags")
)
SAFETY_COLUMNS = (*Screening.__table__.c, *Hold.__table__.c, ACTIVE_FLAGS)
"""The columns that a statement must select before it is passed to `with_safety`."""


def join_safety(query: sa.Select[*Columns]) -> sa.Select[*Columns]:
    """Join the last screening and the open holds to a statement about clients; it returns a row for each open hold."""
    is_open = sa.and_(Hold.client_id == Client.id, Hold.released_at.is_(None))
    return query.outerjoin(Screening, Screening.id == LAST_SCREENING_ID).outerjoin(Hold, is_open)


def safety_from_rows(rows: Sequence[sa.Row[*tuple[Any, ...]]], key: DataKey) -> SafetyState:
    """Build the safety state from one client's rows of a statement made with `join_safety`."""
    last, holds = entity_from_row(rows[0], Screening), [entity_from_row(row, Hold) for row in rows]
    return SafetyState(
        tuple(_open_hold(hold) for hold in holds if hold.id is not None),
        frozenset((rows[0].active_flags or "").split(",")) - {""},
        None if last.id is None else _record(last, key),
        now(),
    )


def _open_hold(row: Hold) -> OpenHold:
    return OpenHold(
        row.id, row.client_id, row.kind, row.opened_at, row.opened_by, row.reasons, row.version
    )


def get_safety_state(client_id: UUID) -> SafetyState:
    """Load a client's safety state; access was already checked.

    Raises NotFound when the client does not exist.
    """
    rows = db.session.execute(CLIENT_SAFETY_QUERY, {"client": client_id}).all()
    if not rows:
        raise NotFound
    return safety_from_rows(rows, open_key(rows[0].wrapped, client_id, "client", client_id))


CLIENT_SAFETY_QUERY = join_safety(
    sa.select(ClientKey.wrapped, *SAFETY_COLUMNS)
    .select_from(Client)
    .join(ClientKey, ClientKey.client_id == Client.id)
    .where(Client.id == sa.bindparam("client"))
)


def list_release_blockers(hold: Hold | OpenHold, actor: Actor) -> list[Reason]:
    """List what still has to happen before this actor can release a hold; empty when they can."""
    return release_blockers(hold, _list_screenings_since(hold), _list_open_kinds(hold), actor.id)


def _list_screenings_since(hold: Hold | OpenHold) -> list[ScreeningRecord]:
    return [
        screening
        for screening in list_recent_screenings(hold.client_id, RELEASE_SCREENINGS)
        if screening.recorded_at > hold.opened_at
    ]


def _list_open_kinds(hold: Hold | OpenHold) -> list[str]:
    tasks = list_hold_followups(hold.client_id, hold.id, list_episodes(hold))
    return [task.kind for task in tasks if task.completed_at is None]


@dataclass(frozen=True)
class LockedHold:
    """A hold whose client is locked until the transaction ends, with what its release depends on.

    Only `lock_hold` makes one, from what it reads after the lock. `screenings` are those since the hold opened, newest
    first; `open_kinds` are the kinds of the hold's tasks that are not completed.
    """

    hold: Hold
    key: DataKey
    screenings: tuple[ScreeningRecord, ...]
    open_kinds: tuple[str, ...]


def lock_hold(actor: Actor, hold_id: UUID) -> LockedHold:
    """Lock the client of a hold that the actor wants to release, then load the hold.

    Raises Forbidden, NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.HOLD_RELEASE)
    take_lock_of_owner(Hold.id, hold_id)
    hold = get_hold(actor, hold_id)
    return LockedHold(
        hold,
        get_client_key(hold.client_id),
        tuple(_list_screenings_since(hold)),
        tuple(_list_open_kinds(hold)),
    )
