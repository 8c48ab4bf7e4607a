"""Asked: screenings, open holds and raised flags, and what they mean for a client now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVarTuple

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import Part, db
from caseapp.core.errors import NotFound, Reason
from caseapp.core.pagination import Page, after, at_most, page_of
from caseapp.core.permissions import Action
from caseapp.core.vault import DataKey, open_row, unwrap
from caseapp.domain.clients.models import Client, ClientKey
from caseapp.domain.clients.queries import must_see, seen_by
from caseapp.domain.followups.queries import tasks_from
from caseapp.domain.followups.schemas import TASKS
from caseapp.domain.screening.models import Flag, Hold, Screening
from caseapp.domain.screening.protocol import ITEMS, SAFETY_ITEMS, STEADY_APART, VALID_FOR, highest
from caseapp.domain.screening.schemas import ScreeningRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

Columns = TypeVarTuple("Columns")


def levels_of(row: Screening | Part) -> dict[str, int | None]:
    """Give the levels of a stored screening by question."""
    return {item.key: getattr(row, item.key) for item in ITEMS}


def _with_key(client: sa.ColumnElement[bool]) -> sa.Select[Screening, bytes]:
    return (
        sa.select(Screening, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Screening.client_id)
        .where(client)
    )


def _opened(row: Any) -> ScreeningRecord:  # noqa: ANN401 - a result row
    return _record(row.Screening, unwrap(row.Screening.client_id, row.wrapped))


def _record(found: Screening | Part, key: DataKey) -> ScreeningRecord:
    return ScreeningRecord(
        id=found.id,
        client_id=found.client_id,
        at=found.at,
        recorded_by=found.recorded_by,
        levels=levels_of(found),
        asked_alone=found.asked_alone,
        actions_taken=found.actions_taken,
        comment=open_row(found, "comment", key) or "",
    )


def screenings_of(
    actor: Actor, client_id: UUID, cursor: str | None, limit: int
) -> Page[ScreeningRecord]:
    """List a client's screenings, newest first.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    must_see(actor, client_id)
    query = _with_key(Screening.client_id == client_id)
    rows = db.session.execute(after(query, Screening.at, Screening.id, cursor, limit)).all()
    return page_of([_opened(row) for row in rows], limit, lambda item: (item.at, item.id))


def screening_shown(actor: Actor, screening_id: UUID) -> ScreeningRecord:
    """Show one screening.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    row = db.session.execute(
        _with_key(sa.and_(Screening.id == screening_id, seen_by(actor, Screening.client_id)))
    ).first()
    if row is None:
        raise NotFound
    return _opened(row)


def recent_screenings(client_id: UUID, limit: int = 6) -> list[ScreeningRecord]:
    """List a client's last screenings, newest first, for those who have already been let in."""
    rows = db.session.execute(
        _with_key(Screening.client_id == client_id)
        .order_by(Screening.at.desc(), Screening.id.desc())
        .limit(limit)
    ).all()
    return [_opened(row) for row in rows]


def holds_of(actor: Actor, client_id: UUID) -> Sequence[Hold]:
    """List a client's holds, open ones first.

    Raises NotFound.
    """
    require(actor, Action.HOLD_READ)
    must_see(actor, client_id)
    return db.session.scalars(
        sa.select(Hold)
        .where(Hold.client_id == client_id)
        .order_by(Hold.cleared_at.is_not(None), Hold.opened_at.desc())
    ).all()


def get_hold(actor: Actor, hold_id: UUID) -> Hold:
    """Load a hold.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(Hold).where(Hold.id == hold_id, seen_by(actor, Hold.client_id))
    )
    if found is None:
        raise NotFound
    return found


def flags_of(actor: Actor, client_id: UUID) -> Sequence[Flag]:
    """List the flags that are up for a client.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    must_see(actor, client_id)
    return db.session.scalars(
        sa.select(Flag)
        .where(Flag.client_id == client_id, Flag.lowered_at.is_(None))
        .order_by(Flag.raised_at)
    ).all()


@dataclass(frozen=True)
class OpenHold:
    """Show a hold that pauses the coaching now."""

    id: UUID
    client_id: UUID
    kind: str
    opened_at: datetime
    opened_by: UUID
    reasons: list[dict[str, Any]]
    version: int


@dataclass(frozen=True)
class Safety:
    """Say how safe coaching is for one client at this moment; derived at each use, never stored."""

    holds: tuple[OpenHold, ...]
    flags: frozenset[str]
    last: ScreeningRecord | None
    at: datetime

    @property
    def hold(self) -> str | None:
        """Name the strictest open hold."""
        kinds = {hold.kind for hold in self.holds}
        return "safety" if "safety" in kinds else "care" if kinds else None

    @property
    def recent(self) -> bool:
        """Tell whether the last screening is at most 14 days old."""
        return self.last is not None and self.at - self.last.at <= VALID_FOR

    @property
    def safety_known(self) -> bool:
        """Tell whether the three safety questions were asked the last time."""
        return self.last is not None and all(
            self.last.levels[key] is not None for key in SAFETY_ITEMS
        )

    @property
    def level(self) -> int | None:
        """Give the highest level of the last screening."""
        return highest(self.last.levels) if self.last else None


NEWEST = aliased(Screening)
LAST = (
    sa.select(NEWEST.id)
    .where(NEWEST.client_id == Client.id)
    .order_by(NEWEST.at.desc(), NEWEST.id.desc())
    .limit(at_most(1))
    .correlate(Client)
    .scalar_subquery()
)
FLAGS_UP = (
    sa.select(sa.func.aggregate_strings(Flag.kind, ","))
    .where(Flag.client_id == Client.id, Flag.lowered_at.is_(None))
    .correlate(Client)
    .label("flags_up")
)
SAFETY = (*Screening.__table__.c, *Hold.__table__.c, FLAGS_UP)
"""What a statement has to select that goes through `with_safety`."""


def with_safety(query: sa.Select[*Columns]) -> sa.Select[*Columns]:
    """Join the last screening and the open holds to a statement about clients; each open hold makes a row."""
    is_open = sa.and_(Hold.client_id == Client.id, Hold.cleared_at.is_(None))
    return query.outerjoin(Screening, Screening.id == LAST).outerjoin(Hold, is_open)


def safety_in(rows: Sequence[sa.Row[*tuple[Any, ...]]], key: DataKey) -> Safety:
    """Say what one client's rows of such a statement mean for them now."""
    last, holds = Part(rows[0], Screening), [Part(row, Hold) for row in rows]
    return Safety(
        tuple(_open_hold(hold) for hold in holds if hold.id is not None),
        frozenset((rows[0].flags_up or "").split(",")) - {""},
        None if last.id is None else _record(last, key),
        now(),
    )


def _open_hold(row: Part) -> OpenHold:
    return OpenHold(
        row.id, row.client_id, row.kind, row.opened_at, row.opened_by, row.reasons, row.version
    )


def safety_of(client_id: UUID) -> Safety:
    """Gather holds, flags and the last screening of a client, for those who have already been let in.

    Raises NotFound when the client is gone.
    """
    rows = db.session.execute(ONE_CLIENT, {"client": client_id}).all()
    if not rows:
        raise NotFound
    return safety_in(rows, unwrap(client_id, rows[0].wrapped))


ONE_CLIENT = with_safety(
    sa.select(ClientKey.wrapped, *SAFETY)
    .select_from(Client)
    .join(ClientKey, ClientKey.client_id == Client.id)
    .where(Client.id == sa.bindparam("client"))
)


def two_steady(screenings: Sequence[ScreeningRecord]) -> bool:
    """Tell whether the newest screenings hold two steady ones seven or more days apart, with nothing worse since."""
    steady: list[ScreeningRecord] = []
    for screening in screenings:
        if any((level or 0) > 1 for level in screening.levels.values()):
            break
        if screening.steady:
            steady.append(screening)
    return bool(steady) and steady[0].at - steady[-1].at >= STEADY_APART


def what_keeps(hold: Hold | OpenHold, actor: Actor) -> list[Reason]:
    """List what still stands between a hold and its end; an empty list means that a supervisor may clear it.

    A fresh full screening at none or watch, dated after the hold; every task of the hold closed; for a care hold two
    such contacts a week apart; for a safety hold a second person, who neither opened it nor recorded the screening. No
    timer and no client ends a hold. Content map, section (d), "The hold"; awaiting clinical sign-off.
    """
    since = [s for s in recent_screenings(hold.client_id, 20) if s.at > hold.opened_at]
    reasons = []
    if not since or not since[0].steady:
        reasons.append(
            Reason(
                "screening_not_steady",
                "There is no full screening at none or watch since the hold opened.",
                "Ask every question again, in private, and record the screening.",
            )
        )
    elif hold.kind == "care" and not two_steady(since):
        reasons.append(
            Reason(
                "only_one_steady_screening",
                "A care hold ends after two steady screenings, seven or more days apart.",
                "Screen again a week after the first steady one.",
            )
        )
    reasons += [
        Reason(
            "task_open",
            f"Still open: {TASKS[task.kind]}.",
            "Record what came of it under Follow-ups.",
        )
        for task in tasks_from(hold.id)
        if task.done_at is None
    ]
    authors = {hold.opened_by, *(screening.recorded_by for screening in since[:1])}
    if hold.kind == "safety" and actor.id in authors:
        reasons.append(
            Reason(
                "second_person_needed",
                "A safety hold is cleared by somebody who neither opened it nor did the last screening.",
                "Ask another supervisor.",
            )
        )
    return reasons
