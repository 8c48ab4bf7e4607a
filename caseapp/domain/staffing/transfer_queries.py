"""Queries for offers of cases to colleagues: which concern somebody, what a coach can offer, and their locks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_code
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.clients.care_team import lately_handed_over
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember, Client, Transfer
from caseapp.domain.clients.queries import (
    LockedClient,
    get_client_under_key,
    take_client_lock,
    take_lock_of_owner,
)
from caseapp.domain.clients.visibility import (
    has_coach,
    has_denial,
    in_role,
    is_denied_to,
    sees_client,
    select_clients_of,
    select_denied_clients,
)
from caseapp.domain.dashboard.listed_clients import newest_case_number
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import get_client_key, open_listed_client_key
from caseapp.domain.staffing.cover_queries import list_coached
from caseapp.domain.staffing.cover_schemas import Caseload
from caseapp.domain.staffing.queries import is_in_team
from caseapp.domain.staffing.transfer_rules import (
    BRIEF_FOR,
    list_recipient_faults,
    list_undo_faults,
    list_waiting_faults,
)
from caseapp.domain.staffing.transfer_schemas import TransferRecord
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users, select_visible_coaches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.clients.care_team import Membership

SOON = timedelta(days=7)
ACCEPTED_ONCE = {"accepted", "undone"}
LISTED_FOR = timedelta(days=30)
"""For how long whoever offered a case sees what became of it."""


@dataclass(frozen=True)
class HandedOver:
    """A client whom somebody has handed over to a coach lately: when, and by whom; empty for the application."""

    client: str = field(repr=False)
    number: str
    since: datetime
    by: str


def list_handed_over(actor: Actor) -> list[HandedOver]:
    """List the clients whom somebody else has handed over to the actor within HANDED_FOR, the newest first."""
    require(actor, Action.CLIENT_READ)
    given_by = aliased(User)
    rows = db.session.execute(
        sa.select(
            Client.id,
            Client.name,
            newest_case_number(Client.id).label("number"),
            CareTeamMember.starts_at,
            given_by.name.label("by"),
        )
        .join(CareTeamMember, CareTeamMember.client_id == Client.id)
        .outerjoin(given_by, given_by.id == CareTeamMember.created_by)
        .where(*lately_handed_over(actor.id, now()))
        .order_by(CareTeamMember.starts_at.desc(), Client.id)
    ).all()
    note_shown(row.id for row in rows)
    return [HandedOver(row.name, row.number or "", row.starts_at, row.by or "") for row in rows]


def get_offerable(actor: Actor, coach_id: UUID) -> Caseload:
    """Load a coach's clients who aren't offered yet, and who can get them; the actor's own, or of whom they supervise.

    Raises NotFound.
    """
    require(actor, Action.TRANSFER)
    if not is_in_team(actor, coach_id):
        raise NotFound
    people = [as_staff_member(user) for user in list_users()]
    clients = list_coached(actor, coach_id)
    offered = list_offered(one.client_id for one in clients)
    return Caseload(
        next(person for person in people if person.id == coach_id),
        tuple(one for one in clients if one.client_id not in offered),
        tuple(person for person in people if not list_recipient_faults(person, coach_id)),
    )


def find_offering_coach(actor: Actor, members: Iterable[Membership]) -> UUID | None:
    """Find the coach of a client whose case the actor can offer: themselves, else one whom they supervise, else None.

    `members` is the client's care team, as the actor has read it.
    """
    coaches = {one.user_id for one in members if one.role == COACH and one.is_running}
    if actor.id in coaches or actor.role is not Role.SUPERVISOR:
        return actor.id if actor.id in coaches else None
    supervised = select_visible_coaches(actor).where(User.id.in_(coaches)).order_by(User.id)
    return db.session.scalar(supervised.limit(1))


def list_offered(client_ids: Iterable[UUID]) -> set[UUID]:
    """List those of some clients who are offered to somebody now."""
    waiting = sa.select(Transfer.client_id).where(
        Transfer.client_id.in_(set(client_ids)),
        Transfer.state == "offered",
        Transfer.expires_at > now(),
    )
    return set(db.session.scalars(waiting))


@dataclass(frozen=True)
class LockedTransfer:
    """A transfer of a client whose lock is held until the transaction ends; nothing else about the client.

    `is_recipient` and `is_offering` say what the actor is: the colleague, and the coach who offered the case or that
    coach's supervisor. `from_coaches` and `from_is_denied` say that whoever offered the case coaches the client
    now, and must not see the client; `is_as_left` that the client is coached as the acceptance left it. Only
    `lock_transfer` makes one.
    """

    row: Transfer
    is_recipient: bool
    is_offering: bool
    from_coaches: bool
    is_as_left: bool
    from_is_denied: bool


def lock_transfer(actor: Actor, transfer_id: UUID) -> LockedTransfer:
    """Lock the client of a transfer that concerns the actor, who needn't see the client, then read it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.TRANSFER)
    take_lock_of_owner(Transfer.id, transfer_id)
    found = db.session.execute(
        sa.select(
            Transfer,
            _is_offering(actor).label("is_offering"),
            _is_as_left().label("is_as_left"),
        )
        .where(Transfer.id == transfer_id, _concerns(actor))
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound
    row: Transfer = found.Transfer
    return LockedTransfer(
        row,
        row.to_id == actor.id,
        bool(found.is_offering),
        has_coach(row.client_id, row.from_id),
        bool(found.is_as_left),
        has_denial(row.client_id, row.from_id),
    )


def lock_transferred(client_id: UUID) -> LockedClient:
    """Lock and open the client of a transfer that the caller has found for an actor, who needn't see the client yet.

    Raises RuntimeError outside `transaction()`.
    """
    take_client_lock(client_id)
    key = get_client_key(client_id)
    return LockedClient(get_client_under_key(key), key)


def _is_offering(actor: Actor) -> sa.ColumnElement[bool]:
    return Transfer.from_id.in_(select_visible_coaches(actor))


def _is_as_left() -> sa.ColumnElement[bool]:
    """Build the condition that the colleague has coached the client since the acceptance, and the former coach doesn't.

    A colleague to whom somebody has given the client again since then coaches by a later membership.
    """
    gained, kept = aliased(CareTeamMember), aliased(CareTeamMember)
    has_gained = sa.exists().where(
        gained.client_id == Transfer.client_id,
        gained.user_id == Transfer.to_id,
        in_role(gained, COACH),
        gained.starts_at <= Transfer.decided_at,
    )
    has_kept = sa.exists().where(
        kept.client_id == Transfer.client_id,
        kept.user_id == Transfer.from_id,
        in_role(kept, COACH),
    )
    return sa.and_(has_gained.correlate(Transfer), ~has_kept.correlate(Transfer))


def _concerns(actor: Actor) -> sa.ColumnElement[bool]:
    return sa.and_(
        sa.or_(Transfer.to_id == actor.id, _is_offering(actor)),
        Transfer.client_id.not_in(select_denied_clients(actor.id)),
    )


def list_transfers(actor: Actor) -> list[TransferRecord]:
    """List the offers that concern the actor, the newest first; in one statement.

    What somebody was offered is listed while they can decide, and what they accepted for BRIEF_FOR; what was offered by
    them, or by a coach whom they supervise, for LISTED_FOR.
    """
    require(actor, Action.CLIENT_READ)
    moment = now()
    to_them = sa.and_(
        Transfer.to_id == actor.id,
        sa.or_(
            sa.and_(Transfer.state == "offered", Transfer.expires_at > moment),
            sa.and_(Transfer.state == "accepted", Transfer.decided_at > moment - BRIEF_FOR),
        ),
    )
    by_them = sa.and_(_is_offering(actor), Transfer.offered_at > moment - LISTED_FOR)
    coach, colleague = aliased(User, name="former"), aliased(User)
    open_tasks = (FollowUp.client_id == Client.id, FollowUp.completed_at.is_(None))
    unread = (
        Assignment.client_id == Client.id,
        Assignment.read_at.is_(None),
        Assignment.withdrawn_at.is_(None),
    )
    rows = db.session.execute(
        sa.select(
            Transfer,
            Client.name,
            newest_case_number(Client.id).label("number"),
            ClientKey.wrapped,
            coach,
            colleague.name.label("colleague"),
            sees_client(actor, Client.id).label("is_seen"),
            Client.id.in_(select_clients_of(actor.id, COACH)).label("is_coached"),
            _is_offering(actor).label("is_offering"),
            _is_as_left().label("is_as_left"),
            is_denied_to(Transfer.from_id, Transfer.client_id).label("from_is_denied"),
            _count(FollowUp, *open_tasks).label("followups"),
            _count(FollowUp, *open_tasks, FollowUp.due_at <= moment + SOON).label("due"),
            _count(Assignment, *unread).label("unread"),
        )
        .join(Client, Client.id == Transfer.client_id)
        .join(ClientKey, ClientKey.client_id == Transfer.client_id)
        .join(coach, coach.id == Transfer.from_id)
        .join(colleague, colleague.id == Transfer.to_id)
        .where(
            sa.or_(to_them, by_them),
            Transfer.client_id.not_in(select_denied_clients(actor.id)),
        )
        .order_by(Transfer.offered_at.desc(), Transfer.id.desc())
    ).all()
    note_shown(row.Transfer.client_id for row in rows)
    return [_record(actor, row) for row in rows]


def _count(table: type[FollowUp | Assignment], *where: sa.ColumnElement[bool]) -> Any:  # noqa: ANN401 - a subquery
    counted = sa.select(sa.func.count()).select_from(table).where(*where)
    return counted.correlate(Client).scalar_subquery()


def _record(actor: Actor, row: Any) -> TransferRecord:  # noqa: ANN401 - a result row
    found: Transfer = row.Transfer
    moment, is_recipient = now(), row.Transfer.to_id == actor.id
    waits = not list_waiting_faults(found.state, found.expires_at, moment)
    is_expired = found.state == "offered" and not waits
    is_told = row.is_seen or (waits and is_recipient)
    undo_faults = list_undo_faults(
        found.state, found.decided_at, moment, is_as_left=bool(row.is_as_left)
    )
    reason = None
    if row.is_seen and (not is_recipient or found.state in ACCEPTED_ONCE):
        key = open_listed_client_key(row.wrapped, found.client_id)
        reason = unseal_code("transfer", "reason", found.id, found.reason, key)
    return TransferRecord(
        id=found.id,
        number=row.number or "",
        client=row.name if is_told else None,
        from_id=found.from_id,
        coach=row.former.name,
        to_id=found.to_id,
        colleague=row.colleague,
        reason=reason,
        state="expired" if is_expired else found.state,
        offered_at=found.offered_at,
        expires_at=found.expires_at,
        decided_at=found.decided_at,
        followups=row.followups if is_told else None,
        due=row.due if is_told else None,
        unread=row.unread if is_told else None,
        may_decide=waits and is_recipient,
        may_withdraw=waits and bool(row.is_offering),
        may_undo=not (
            undo_faults
            or row.from_is_denied
            or list_recipient_faults(as_staff_member(row.former), found.to_id)
        ),
        has_brief=is_recipient
        and bool(row.number and row.is_coached)
        and found.state == "accepted"
        and found.decided_at is not None
        and moment - found.decided_at < BRIEF_FOR,
    )
