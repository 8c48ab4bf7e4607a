"""Queries for legal holds: whether one stands, their locks, and their list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import list_case_numbers
from caseapp.domain.clients.codes import COACH, COVER
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import take_client_lock, take_lock_of_owner
from caseapp.domain.clients.visibility import in_role, looked_after_by, select_denied_clients
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.legal_holds.models import LegalHold
from caseapp.domain.legal_holds.rules import list_lift_faults
from caseapp.domain.legal_holds.schemas import LegalHoldRecord
from caseapp.domain.practice.queries import today
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date
    from uuid import UUID

UNKNOWN_NUMBER = "You have no client with this case number."
UNKNOWN_TO_ADMIN = "There is no case with this number."


@dataclass(frozen=True)
class LockedLegalHolds:
    """The standing legal holds of a client, whose lock is held until the transaction ends.

    Only `lock_legal_holds` and `lock_legal_holds_of` make one. `is_erased` tells that the record was erased.
    """

    client_id: UUID
    standing: tuple[LegalHold, ...]
    is_erased: bool


@dataclass(frozen=True)
class LockedLegalHold:
    """A legal hold of a client whose lock is held until the transaction ends; only `lock_legal_hold` makes one."""

    row: LegalHold


def has_legal_hold(client_id: Any) -> sa.Exists:  # noqa: ANN401 - a column or a value
    """Build the condition that a legal hold stands on a client's record."""
    found = sa.exists().where(LegalHold.client_id == client_id, LegalHold.lifted_at.is_(None))
    return found.correlate_except(LegalHold)


def is_on_legal_hold(client_id: UUID) -> bool:
    """Tell whether a legal hold stands on a client's record; whoever changes something holds the client's lock."""
    return db.session.scalar(sa.select(has_legal_hold(client_id))) or False


def lock_legal_holds(actor: Actor, number: str) -> LockedLegalHolds:
    """Lock the client with a case number, and load the legal holds that stand.

    A supervisor finds the clients whom they or those they supervise coach, an admin every client whom they mustn't be
    kept from seeing. Raises Invalid, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.LEGAL_HOLD_MANAGE)
    wanted = number.strip().upper()
    take_lock_of_owner(Case.number, wanted)
    client_id = db.session.scalar(
        sa.select(Case.client_id).where(
            Case.number == wanted, *_list_conditions(actor, Case.client_id)
        )
    )
    if client_id is None:
        unknown = UNKNOWN_TO_ADMIN if actor.role is Role.ADMIN else UNKNOWN_NUMBER
        raise Invalid({"number": [unknown]})
    return lock_legal_holds_of(client_id)


def lock_legal_holds_of(client_id: UUID) -> LockedLegalHolds:
    """Lock a client whom the caller has found for an actor, and load the legal holds that stand.

    Raises RuntimeError outside `transaction()`.
    """
    take_client_lock(client_id)
    rows = db.session.scalars(
        sa.select(LegalHold)
        .where(LegalHold.client_id == client_id, LegalHold.lifted_at.is_(None))
        .order_by(LegalHold.placed_at, LegalHold.id)
        .execution_options(populate_existing=True)
    )
    has_key = db.session.scalar(sa.select(sa.exists().where(ClientKey.client_id == client_id)))
    return LockedLegalHolds(client_id, tuple(rows), is_erased=not has_key)


def lock_legal_hold(actor: Actor, legal_hold_id: UUID) -> LockedLegalHold:
    """Lock the client of a legal hold that the actor may read, then load it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.LEGAL_HOLD_MANAGE)
    take_lock_of_owner(LegalHold.id, legal_hold_id)
    row = db.session.scalar(
        sa.select(LegalHold)
        .where(LegalHold.id == legal_hold_id, *_list_conditions(actor, LegalHold.client_id))
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound
    return LockedLegalHold(row)


def _list_conditions(actor: Actor, client_id: Any) -> list[sa.ColumnElement[bool]]:  # noqa: ANN401 - a column
    """List what makes a client one whose legal holds an actor reads, places and lifts; cover isn't enough."""
    found = [client_id.not_in(select_denied_clients(actor.id))]
    if actor.role is not Role.ADMIN:
        found.append(client_id.in_(looked_after_by(actor).where(in_role(CareTeamMember, COACH))))
    return found


def list_coached(user_id: UUID, client_ids: Collection[UUID]) -> set[UUID]:
    """List those of some clients with whom somebody works as a coach now, also in a colleague's place."""
    found = sa.select(CareTeamMember.client_id).where(
        CareTeamMember.user_id == user_id,
        CareTeamMember.client_id.in_(client_ids),
        in_role(CareTeamMember, COACH, COVER),
    )
    return {*db.session.scalars(found)} if client_ids else set()


def list_legal_holds(
    actor: Actor, shown: str, cursor: str | None, limit: int
) -> Page[LegalHoldRecord]:
    """List the legal holds that the actor may read, newest first, in three statements; `shown` is a code of SHOWN.

    Raises Invalid for a cursor that this application did not create.
    """
    require(actor, Action.LEGAL_HOLD_READ)
    day = today()
    stands = LegalHold.lifted_at.is_(None)
    query = _select(actor).where(
        {
            "standing": stands,
            "due": sa.and_(stands, LegalHold.review_on <= day),
            "lifted": ~stands,
        }[shown]
    )
    query = page_newest_first(query, LegalHold.placed_at, LegalHold.id, cursor, limit)
    found = _as_records(actor, db.session.execute(query).all(), day)
    return make_page(found, limit, lambda one: (one.placed_at, one.id))


def get_legal_hold(actor: Actor, legal_hold_id: UUID) -> LegalHoldRecord:
    """Load a legal hold that the actor may read.

    Raises NotFound.
    """
    require(actor, Action.LEGAL_HOLD_READ)
    rows = db.session.execute(_select(actor).where(LegalHold.id == legal_hold_id)).all()
    if not rows:
        raise NotFound
    [found] = _as_records(actor, rows, today())
    return found


def _select(actor: Actor) -> sa.Select[*tuple[Any, ...]]:
    placed, lifted = aliased(User), aliased(User)
    return (
        sa.select(LegalHold, placed.name.label("placed"), lifted.name.label("lifted"))
        .join(placed, placed.id == LegalHold.placed_by)
        .outerjoin(lifted, lifted.id == LegalHold.lifted_by)
        .where(*_list_conditions(actor, LegalHold.client_id))
    )


def _as_records(actor: Actor, rows: Sequence[Any], day: date) -> list[LegalHoldRecord]:
    ids = {row.LegalHold.client_id for row in rows}
    note_shown(ids)
    numbers = list_case_numbers(ids)
    # An admin coaches nobody.
    coached: set[UUID] = set() if actor.role is Role.ADMIN else list_coached(actor.id, ids)
    return [
        _as_record(
            actor,
            row,
            day,
            numbers.get(row.LegalHold.client_id, ()),
            coaches=row.LegalHold.client_id in coached,
        )
        for row in rows
    ]


def _as_record(
    actor: Actor,
    found: Any,  # noqa: ANN401 - a result row
    day: date,
    numbers: tuple[str, ...],
    *,
    coaches: bool,
) -> LegalHoldRecord:
    row: LegalHold = found.LegalHold
    return LegalHoldRecord(
        id=row.id,
        client_id=row.client_id,
        numbers=numbers,
        kind=row.kind,
        placed_at=row.placed_at,
        placed_by=row.placed_by,
        placed_by_name=found.placed,
        review_on=row.review_on,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        lifted_by_name=found.lifted or "",
        lift_reason=row.lift_reason,
        is_due=row.lifted_at is None and row.review_on <= day,
        may_lift=actor.may(Action.LEGAL_HOLD_MANAGE)
        and not list_lift_faults(row.lifted_at, row.placed_by, actor.id, coaches=coaches),
    )
