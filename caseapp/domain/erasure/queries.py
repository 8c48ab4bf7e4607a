"""Queries for erasures: their locks, what is still open about a client, and the requests with their certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.domain.alerts.models import Alert
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.models import Client, EmergencyAccess, Transfer
from caseapp.domain.clients.queries import lock_client, take_lock_of_owner
from caseapp.domain.clients.visibility import looked_after_by, select_denied_clients
from caseapp.domain.erasure.codes import DONE, REQUESTED
from caseapp.domain.erasure.models import Erasure
from caseapp.domain.erasure.schemas import ErasureRecord, OpenMatters
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from caseapp.core.vault import DataKey
    from caseapp.domain.cases.queries import CaseContext


@dataclass(frozen=True)
class LockedRecord:
    """A client whose lock is held until the transaction ends, with what is open; only `lock_…` functions make one."""

    client_id: UUID
    key: DataKey
    matters: OpenMatters


@dataclass(frozen=True)
class LockedErasure:
    """A request whose client's lock is held until the transaction ends; only `lock_erasure` makes one.

    `record` is None once it was decided or withdrawn. `is_seen` tells whether the actor sees the client.
    """

    row: Erasure
    record: LockedRecord | None
    is_seen: bool


def lock_record(actor: Actor, number: str) -> LockedRecord:
    """Lock the client of a case that the actor sees, and read what is open.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.ERASURE_REQUEST)
    key = lock_case(actor, number).key
    return LockedRecord(key.client_id, key, _find_open_matters(key))


def lock_record_of(actor: Actor, client_id: UUID) -> LockedRecord:
    """Do the same for a client.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.ERASURE_REQUEST)
    key = lock_client(actor, client_id).key
    return LockedRecord(client_id, key, _find_open_matters(key))


def lock_erasure(actor: Actor, erasure_id: UUID) -> LockedErasure:
    """Lock the client of a request that the actor may read, then load it.

    The record of a client who was merged into another one can't be locked.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.ERASURE_READ)
    take_lock_of_owner(Erasure.id, erasure_id)
    found = db.session.execute(
        sa.select(Erasure, Erasure.client_id.in_(looked_after_by(actor)).label("is_seen"))
        .join(Client, Client.id == Erasure.client_id)
        .where(Erasure.id == erasure_id, ~Client.is_merged, _is_readable(actor))
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound
    row: Erasure = found.Erasure
    record = None
    if row.state == REQUESTED:
        key = get_client_key(row.client_id)
        record = LockedRecord(row.client_id, key, _find_open_matters(key))
    return LockedErasure(row, record, bool(found.is_seen))


def _find_open_matters(key: DataKey) -> OpenMatters:
    client_id, moment = key.client_id, now()
    found = db.session.execute(
        sa.select(
            sa.exists().where(Case.client_id == client_id, Case.status == "open").label("case"),
            sa.exists()
            .where(Alert.client_id == client_id, Alert.acknowledged_at.is_(None))
            .label("alert"),
            sa.exists()
            .where(
                Transfer.client_id == client_id,
                Transfer.state == "offered",
                Transfer.expires_at > moment,
            )
            .label("offer"),
            sa.exists()
            .where(
                EmergencyAccess.client_id == client_id,
                sa.or_(EmergencyAccess.ends_at > moment, EmergencyAccess.reviewed_at.is_(None)),
            )
            .label("emergency"),
            sa.exists()
            .where(Erasure.client_id == client_id, Erasure.state == REQUESTED)
            .label("request"),
        )
    ).one()
    return OpenMatters(
        has_open_case=bool(found.case),
        has_open_hold=bool(get_current_safety(key).state.holds),
        has_open_alert=bool(found.alert),
        is_offered=bool(found.offer),
        has_emergency=bool(found.emergency),
        is_requested=bool(found.request),
    )


def get_open_matters(actor: Actor, context: CaseContext) -> OpenMatters:
    """Find what is open about the client of a case, for the page that asks for an erasure."""
    require(actor, Action.ERASURE_REQUEST)
    return _find_open_matters(context.key)


def _is_readable(actor: Actor) -> sa.ColumnElement[bool]:
    """Build the condition for the requests that an actor may read: nobody's about a client whom they must not see.

    Everybody reads those that they made or decided, and those about clients whom they look after. An admin reads all.
    """
    allowed = Erasure.client_id.not_in(select_denied_clients(actor.id))
    if actor.role is Role.ADMIN:
        return allowed
    own = sa.or_(Erasure.requested_by == actor.id, Erasure.decided_by == actor.id)
    return sa.and_(allowed, sa.or_(own, Erasure.client_id.in_(looked_after_by(actor))))


def _select_erasures(actor: Actor) -> sa.Select[*tuple[Any, ...]]:
    asked, decided = aliased(User), aliased(User)
    return (
        sa.select(Erasure, asked.name.label("asked"), decided.name.label("decided"))
        .join(asked, asked.id == Erasure.requested_by)
        .outerjoin(decided, decided.id == Erasure.decided_by)
        .where(_is_readable(actor))
    )


def list_erasures(actor: Actor, cursor: str | None, limit: int) -> Page[ErasureRecord]:
    """List the requests that the actor may read, newest first, in two statements.

    Raises Invalid for a cursor that this application did not create.
    """
    require(actor, Action.ERASURE_READ)
    query = page_newest_first(
        _select_erasures(actor), Erasure.requested_at, Erasure.id, cursor, limit
    )
    found = _as_records(actor, db.session.execute(query).all())
    return make_page(found, limit, lambda one: (one.requested_at, one.id))


def get_erasure(actor: Actor, erasure_id: UUID) -> ErasureRecord:
    """Load a request that the actor may read, or the certificate of an erasure.

    Raises NotFound.
    """
    require(actor, Action.ERASURE_READ)
    rows = db.session.execute(_select_erasures(actor).where(Erasure.id == erasure_id)).all()
    if not rows:
        raise NotFound
    [found] = _as_records(actor, rows)
    return found


def find_request(actor: Actor, client_id: UUID) -> ErasureRecord | None:
    """Find the request about a client that waits for a decision, if the actor may read it."""
    query = _select_erasures(actor).where(
        Erasure.client_id == client_id, Erasure.state == REQUESTED
    )
    return next(iter(_as_records(actor, db.session.execute(query).all())), None)


def _as_records(actor: Actor, rows: Sequence[Any]) -> list[ErasureRecord]:
    ids = {row.Erasure.client_id for row in rows}
    note_shown(ids)
    numbers = _list_numbers(ids)
    return [_as_record(actor, row, numbers.get(row.Erasure.client_id, ())) for row in rows]


def _list_numbers(client_ids: Iterable[UUID]) -> dict[UUID, tuple[str, ...]]:
    found: dict[UUID, tuple[str, ...]] = {}
    rows = db.session.execute(
        sa.select(Case.client_id, Case.number)
        .where(Case.client_id.in_(set(client_ids)))
        .order_by(Case.opened_at, Case.id)
    )
    for client_id, number in rows:
        found[client_id] = (*found.get(client_id, ()), number)
    return found


def _as_record(actor: Actor, found: Any, numbers: tuple[str, ...]) -> ErasureRecord:  # noqa: ANN401 - a result row
    row: Erasure = found.Erasure
    waits, is_own = row.state == REQUESTED, row.requested_by == actor.id
    return ErasureRecord(
        id=row.id,
        client_id=row.client_id,
        numbers=numbers,
        ground=row.ground,
        state=row.state,
        requested_at=row.requested_at,
        requested_by=row.requested_by,
        requested_by_name=found.asked,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        decided_by_name=found.decided or "",
        refusal=row.refusal,
        counts=row.counts,
        vault_keys=tuple(row.vault_keys),
        keys_gone_at=row.keys_gone_at,
        may_decide=waits and not is_own and actor.may(Action.ERASURE_DECIDE),
        may_withdraw=waits and is_own,
    )


def list_done() -> list[Erasure]:
    """List all erasures that were done, the oldest first, for the tombstones."""
    rows = db.session.scalars(
        sa.select(Erasure).where(Erasure.state == DONE).order_by(Erasure.decided_at, Erasure.id)
    )
    return [*rows]
