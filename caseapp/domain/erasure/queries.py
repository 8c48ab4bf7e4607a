"""Queries for erasures: their locks, what is still open about a client, and the requests with their certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.vault import SealBroken
from caseapp.domain.alerts.models import Alert
from caseapp.domain.audit.tombstones import read_tombstones
from caseapp.domain.cases.models import Case, CaseEvent
from caseapp.domain.cases.queries import list_case_numbers
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember, Client, EmergencyAccess, Transfer
from caseapp.domain.clients.queries import lock_client, take_client_lock, take_lock_of_owner
from caseapp.domain.clients.visibility import (
    in_role,
    is_responsible_for,
    is_visible_to,
    looked_after_by,
    select_denied_clients,
)
from caseapp.domain.contacts.models import Contact
from caseapp.domain.erasure.codes import DONE, REQUESTED
from caseapp.domain.erasure.models import Erasure
from caseapp.domain.erasure.rules import list_request_faults
from caseapp.domain.erasure.schemas import ErasureRecord, OpenMatters
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.legal_holds.queries import has_legal_hold
from caseapp.domain.notes.models import Note
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.models import SafetyEvent
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caseapp.core.errors import Reason
    from caseapp.core.vault import DataKey
    from caseapp.domain.cases.queries import CaseContext


RECORDED = (
    (CaseEvent, CaseEvent.occurred_at),
    (SafetyEvent, SafetyEvent.recorded_at),
    (Note, Note.updated_at),
    (Contact, Contact.recorded_at),
)
"""What makes a request to erase a record outdated when it is newer than the request, with its time."""

log = structlog.get_logger()


@dataclass(frozen=True)
class LockedRecord:
    """A client whose lock is held until the transaction ends, with what is open; only `lock_…` functions make one.

    `is_responsible` tells whether the actor has the client as a coach or as the supervisor of one.
    """

    client_id: UUID
    key: DataKey
    matters: OpenMatters
    is_responsible: bool


@dataclass(frozen=True)
class LockedErasure:
    """A request whose client's lock is held until the transaction ends; only `lock_erasure` makes one.

    `record` is None once it was decided or withdrawn. `is_seen` tells whether the actor sees the client,
    `is_responsible` whether they decide about requests of this client: an admin does, who sees no client.
    """

    row: Erasure
    record: LockedRecord | None
    is_seen: bool
    is_responsible: bool


def lock_record(actor: Actor, number: str) -> LockedRecord:
    """Lock the client of a case that the actor sees, and read what is open.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.ERASURE_REQUEST)
    take_lock_of_owner(Case.number, number)
    # Not the case with its context: a safety state that doesn't open keeps nobody from being erased.
    client_id = db.session.scalar(
        sa.select(Case.client_id).where(Case.number == number, is_visible_to(actor, Case.client_id))
    )
    if client_id is None:
        raise NotFound
    return lock_record_of(actor, client_id)


def lock_record_of(actor: Actor, client_id: UUID) -> LockedRecord:
    """Do the same for a client.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.ERASURE_REQUEST)
    key = lock_client(actor, client_id).key
    is_responsible = is_responsible_for(actor.role, actor.id, client_id)
    return LockedRecord(client_id, key, _find_open_matters(key), is_responsible)


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
    is_responsible = actor.role is Role.ADMIN or is_responsible_for(
        actor.role, actor.id, row.client_id
    )
    if row.state == REQUESTED:
        # Whoever waited for the lock while the request moved to another client holds the lock of the other now.
        take_client_lock(row.client_id)
        key = get_client_key(row.client_id)
        record = LockedRecord(row.client_id, key, _find_open_matters(key), is_responsible)
    return LockedErasure(row, record, bool(found.is_seen), is_responsible)


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
            sa.exists().where(Erasure.client_id == client_id, _is_outdated()).label("outdated"),
            has_legal_hold(client_id).label("legal_hold"),
        )
    ).one()
    return OpenMatters(
        has_open_case=bool(found.case),
        has_open_hold=_has_open_hold(key),
        has_open_alert=bool(found.alert),
        is_offered=bool(found.offer),
        has_emergency=bool(found.emergency),
        is_requested=bool(found.request),
        is_outdated=bool(found.outdated),
        has_legal_hold=bool(found.legal_hold),
    )


def _has_open_hold(key: DataKey) -> bool:
    """Tell whether a hold is open; a state that doesn't open keeps nobody from being erased."""
    try:
        return bool(get_current_safety(key).state.holds)
    except SealBroken:
        log.warning("erasure.unreadable_state")
        return False


def _is_outdated() -> sa.ColumnElement[bool]:
    """Build the condition that a request waits and something about its client was recorded after it.

    That is a change of a case's stage or coach, a screening, a note or contact.
    """
    newer = [
        sa.exists()
        .where(model.client_id == Erasure.client_id, moment > Erasure.requested_at)
        .correlate(Erasure)
        for model, moment in RECORDED
    ]
    return sa.and_(Erasure.state == REQUESTED, sa.or_(*newer))


def list_faults_of_request(actor: Actor, context: CaseContext) -> list[Reason]:
    """List why the actor can't request that the record of a case's client is erased, for the page that asks for it."""
    require(actor, Action.ERASURE_REQUEST)
    is_responsible = is_responsible_for(actor.role, actor.id, context.case.client_id)
    return list_request_faults(_find_open_matters(context.key), is_responsible=is_responsible)


def count_waiting(actor: Actor) -> int:
    """Count the requests of others that wait, about clients whom the actor has as a coach or a coach's supervisor."""
    query = (
        sa.select(sa.func.count())
        .select_from(Erasure)
        .where(Erasure.state == REQUESTED, Erasure.requested_by != actor.id, _is_responsible(actor))
    )
    return db.session.scalar(query) or 0


def _is_responsible(actor: Actor) -> sa.ColumnElement[bool]:
    """Build the condition that an actor has a request's client as a coach or as the supervisor of one."""
    return Erasure.client_id.in_(looked_after_by(actor).where(in_role(CareTeamMember, COACH)))


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
    asked, decided, repeated = aliased(User), aliased(User), aliased(User)
    return (
        sa.select(
            Erasure,
            asked.name.label("asked"),
            decided.name.label("decided"),
            repeated.name.label("repeated"),
            _is_outdated().label("is_outdated"),
            has_legal_hold(Erasure.client_id).label("has_legal_hold"),
            (sa.true() if actor.role is Role.ADMIN else _is_responsible(actor)).label(
                "is_responsible"
            ),
        )
        .outerjoin(asked, asked.id == Erasure.requested_by)
        .outerjoin(decided, decided.id == Erasure.decided_by)
        .outerjoin(repeated, repeated.id == Erasure.repeated_by)
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
    numbers = list_case_numbers(ids)
    return [_as_record(actor, row, numbers.get(row.Erasure.client_id, ())) for row in rows]


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
        requested_by_name=found.asked or "",
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        decided_by_name=found.decided or "",
        refusal=row.refusal,
        counts=row.counts,
        vault_keys=tuple(row.vault_keys),
        keys_gone_at=row.keys_gone_at,
        repeated_at=row.repeated_at,
        repeated_by=row.repeated_by,
        repeated_by_name=found.repeated or "",
        tombstone_sha256=row.sha256,
        is_outdated=bool(found.is_outdated),
        has_legal_hold=waits and bool(found.has_legal_hold),
        may_decide=waits
        and not is_own
        and bool(found.is_responsible)
        and actor.may(Action.ERASURE_DECIDE),
        may_withdraw=waits and is_own,
    )


def count_without_tombstone() -> int:
    """Count the erasures that have no tombstone yet; the worker writes it.

    Raises TombstoneBroken.
    """
    known = {UUID(hex=one["erasure"]) for one in read_tombstones()}
    return sum(row.id not in known for row in list_done())


def list_done() -> list[Erasure]:
    """List all erasures that were done, the oldest first, for the tombstones."""
    rows = db.session.scalars(
        sa.select(Erasure).where(Erasure.state == DONE).order_by(Erasure.decided_at, Erasure.id)
    )
    return [*rows]
