"""Reads: intakes that were sent to a supervisor, who sees them, the records that match, and their lock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import locked_clients
from caseapp.core.vault import seal_bound, unseal_bound
from caseapp.domain.clients.matches import (
    ClientMatch,
    Identity,
    describe_matches,
    find_matches_among,
    find_possible_matches,
)
from caseapp.domain.clients.models import AccessDenial
from caseapp.domain.intakes.codes import COMPARED, KEPT_FOR, NOTICED_FOR, SHOWN
from caseapp.domain.intakes.models import Intake
from caseapp.domain.intakes.rules import may_see_intake
from caseapp.domain.intakes.schemas import IntakeRecord
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import is_visible_coach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caseapp.core.vault import DataKey

IntakeRow = sa.Row[Intake, str, UUID | None, str | None]


@dataclass(frozen=True)
class LockedIntake:
    """An intake whose row is locked until the transaction ends, as read after the lock.

    `decided_about` are the clients about whom a supervisor has decided. Only `lock_intake` and `lock_own_intake` make
    one.
    """

    row: Intake
    record: IntakeRecord
    decided_about: frozenset[UUID]


def get_intake(actor: Actor, intake_id: UUID) -> IntakeRecord:
    """Get an intake of the actor's, or one that they may decide about as a supervisor.

    Raises NotFound.
    """
    require(actor, Action.CASE_READ)
    found = _load_seen(actor, Intake.id == intake_id)
    if not found:
        raise NotFound
    return found[0]


def list_intakes(actor: Actor, cursor: str | None, limit: int) -> Page[IntakeRecord]:
    """List the intakes of the actor, and those that they may decide about as a supervisor, newest first."""
    require(actor, Action.CASE_READ)
    return page_in_memory(_load_seen(actor), _newest_first, cursor, limit)


def _newest_first(intake: IntakeRecord) -> tuple[int, int]:
    return (-round(intake.asked_at.timestamp() * 1_000_000), -intake.id.int)


def select_notices(actor: Actor) -> sa.ColumnElement[int]:
    """Count what Today says of intakes, see `count_notices`.

    For a coach, that are their own about which a supervisor has decided lately; for a supervisor, those that wait for
    their decision. The number is negative where the clients whom these fit decide who may see them.
    """
    asker = aliased(User)
    query = sa.select(sa.func.count()).select_from(Intake)
    if not actor.may(Action.CONFLICT_DECIDE):
        decided = query.where(
            Intake.asked_by == actor.id, Intake.decided_at > now() - NOTICED_FOR, is_kept()
        )
        return decided.scalar_subquery()
    waiting = query.join(asker, asker.id == Intake.asked_by).where(
        _may_be_seen(actor, asker), is_kept(), *_waits_for(actor)
    )
    supervisors = sa.select(User.supervisor_id)
    depends = sa.exists().where(
        AccessDenial.ended_at.is_(None),
        sa.or_(AccessDenial.user_id == actor.id, AccessDenial.user_id.in_(supervisors)),
    )
    return waiting.scalar_subquery() * sa.case((depends, -1), else_=1)


def count_notices(actor: Actor, selected: int) -> int:
    """Count what Today says of intakes, from what `select_notices` has selected."""
    return selected if selected >= 0 else len(list_waiting_intakes(actor))


def list_waiting_intakes(actor: Actor) -> list[IntakeRecord]:
    """List the intakes about which a supervisor can decide now, oldest first.

    Raises Forbidden for anybody else.
    """
    require(actor, Action.CONFLICT_DECIDE)
    found = _load_seen(actor, *_waits_for(actor))
    return sorted(found, key=lambda intake: (intake.asked_at, intake.id))


def _waits_for(actor: Actor) -> tuple[sa.ColumnElement[bool], ...]:
    return (Intake.decided_at.is_(None), Intake.asked_by != actor.id)


def lock_intake(actor: Actor, intake_id: UUID) -> LockedIntake:
    """Lock an intake that the actor may see, then read it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    locked_clients()
    row = db.session.scalar(
        sa.select(Intake)
        .where(Intake.id == intake_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound
    about = _unseal(row, "about", row.about) if row.about else []
    return LockedIntake(row, get_intake(actor, intake_id), frozenset(map(UUID, about)))


def lock_own_intake(actor: Actor, intake_id: UUID) -> LockedIntake:
    """Lock an intake that the actor has sent to a supervisor, then read it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    intake = lock_intake(actor, intake_id)
    if intake.row.asked_by != actor.id:
        raise NotFound
    return intake


def list_intake_matches(actor: Actor, intake: IntakeRecord) -> list[ClientMatch]:
    """List the records that an intake fits, for a supervisor.

    Raises Forbidden for anyone else.
    """
    return describe_matches(actor, find_intake_matches(intake))


def find_intake_matches(intake: IntakeRecord) -> dict[UUID, str]:
    """Find the records that an intake fits, in the whole practice, by MATCH_REASONS."""
    return find_possible_matches(identify_intake(intake), exclude_id=None)


def identify_intake(intake: IntakeRecord) -> Identity:
    """Return what is compared of an intake."""
    return Identity(**{name: intake.client[name] for name in COMPARED})


def count_waiting(actor: Actor) -> int:
    """Count the actor's intakes that wait for a decision."""
    found = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(Intake)
        .where(Intake.asked_by == actor.id, Intake.decided_at.is_(None), is_kept())
    )
    return found or 0


def is_kept() -> sa.ColumnElement[bool]:
    """Build the SQL condition for intakes whose time isn't over."""
    return Intake.asked_at > now() - KEPT_FOR


def seal_part(intake: Intake, column: str, data: dict[str, Any] | list[str]) -> bytes:
    """Seal plain data for one column of an intake, under the key of the person who asked."""
    text = json.dumps(data, ensure_ascii=False, sort_keys=True)
    return seal_bound(text.encode(), _binding(intake, column), _own_key(intake))


def _unseal(intake: Intake, column: str, sealed: bytes) -> Any:  # noqa: ANN401 - what was sealed
    return json.loads(unseal_bound(sealed, _binding(intake, column), _own_key(intake)))


def _own_key(intake: Intake) -> DataKey:
    return get_ring_key("drafts", intake.ring_number).for_person(intake.asked_by)


def _binding(intake: Intake, column: str) -> bytes:
    return f"caseapp/intake/v1\x1f{column}\x1f{intake.id.hex}".encode()


def _load_seen(actor: Actor, *where: sa.ColumnElement[bool]) -> list[IntakeRecord]:
    """Load intakes, without those that a supervisor must not see because of the clients whom they fit.

    That is worked out when somebody looks, where anybody is kept from a client at all: other clients may fit by then,
    and other people be kept from them.
    """
    asker, decider = aliased(User), aliased(User)
    rows = db.session.execute(
        sa.select(
            Intake,
            asker.name.label("asked_by_name"),
            asker.supervisor_id,
            decider.name.label("decided_by_name"),
        )
        .join(asker, asker.id == Intake.asked_by)
        .outerjoin(decider, decider.id == Intake.decided_by)
        .where(_may_be_seen(actor, asker), is_kept(), *where)
    ).all()
    opened = [_open(actor, row) for row in rows]
    denied = _list_denied_of(actor, rows)
    if not denied:
        return opened
    supervisors = {row.Intake.id: row.supervisor_id for row in rows}
    theirs = {one.id: identify_intake(one) for one in opened if one.asked_by != actor.id}
    fitting = find_matches_among(theirs, set().union(*denied.values()))
    return [
        one
        for one in opened
        if one.id not in theirs
        or may_see_intake(
            fitting[one.id],
            denied=denied.get(actor.id, ()),
            denied_to_supervisor=None
            if supervisors[one.id] == actor.id
            else denied.get(supervisors[one.id], ()),
        )
    ]


def _may_be_seen(actor: Actor, asker: type[User]) -> sa.ColumnElement[bool]:
    """Build the SQL condition that somebody may see what another person asked, before the records that it fits count.

    A supervisor sees what their coaches asked, and looks at what was asked by those of a supervisor who must not see
    some client. Of somebody whose account is disabled, nobody else sees anything: nobody could open the case.
    """
    seen = is_visible_coach(asker, actor.role, actor.id)
    if not actor.may(Action.CONFLICT_DECIDE):
        return seen
    kept_out = sa.select(AccessDenial.user_id).where(AccessDenial.ended_at.is_(None))
    return sa.and_(asker.disabled_at.is_(None), sa.or_(seen, asker.supervisor_id.in_(kept_out)))


def _list_denied_of(actor: Actor, rows: Iterable[IntakeRow]) -> dict[UUID | None, set[UUID]]:
    """List the clients whom an actor and the supervisors of those who asked must not see; empty for a coach."""
    found: dict[UUID | None, set[UUID]] = {}
    others = [row for row in rows if row.Intake.asked_by != actor.id]
    if others:
        people = {actor.id, *(row.supervisor_id for row in others if row.supervisor_id)}
        denials = db.session.execute(
            sa.select(AccessDenial.user_id, AccessDenial.client_id).where(
                AccessDenial.ended_at.is_(None), AccessDenial.user_id.in_(people)
            )
        )
        for user_id, client_id in denials:
            found.setdefault(user_id, set()).add(client_id)
    return found


def _open(actor: Actor, row: IntakeRow) -> IntakeRecord:
    intake: Intake = row.Intake
    words = _unseal(intake, "words", intake.words)
    is_own = intake.asked_by == actor.id
    return IntakeRecord(
        intake.id,
        intake.asked_by,
        row.asked_by_name,
        intake.asked_at,
        words["client"] if is_own else {name: words["client"][name] for name in SHOWN},
        words["case"] if is_own else {},
        intake.is_allowed,
        intake.decided_at,
        None if is_own else row.decided_by_name,
    )
