"""Queries for staffing: for which clients a member of staff is responsible, and who may take over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.pagination import in_any
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_counted, note_shown
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.alerts.rules import is_supervisor
from caseapp.domain.auth.queries import list_able_to_sign_in
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import COACH, SECOND_PERSON
from caseapp.domain.clients.matches import list_denied
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.clients.queries import take_locks_of_coached
from caseapp.domain.clients.visibility import (
    in_role,
    is_denied_to,
    looks_after_client,
    select_clients_of,
    select_denied_clients,
)
from caseapp.domain.dashboard.listed_clients import newest_case_number
from caseapp.domain.dashboard.second_people import list_hold_authors, list_without_second
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.screening.current import SAFETY_COLUMNS, join_safety, safety_from_row
from caseapp.domain.staffing.rules import (
    WITHOUT_CASE,
    decides_cosignature,
    list_heir_faults,
    list_leaving_blockers,
    list_numbers,
)
from caseapp.domain.staffing.schemas import HandOver, Responsibility
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users, select_visible_coaches

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from caseapp.core.errors import Reason


def list_responsibilities(
    user_id: UUID,
    actor: Actor | None = None,
    *,
    reader: Actor | None = None,
    with_open_cases: bool = False,
) -> list[Responsibility]:
    """List the clients for whom a member of staff is responsible, by name; those whom an actor sees, if one is given.

    Those whom they coach and who have an open hold, an active flag or an open follow-up, and those about whom they have
    a follow-up to do; if wanted, all whom they coach in an open case too. In one statement. Those whom a `reader` must
    not see are counted for them, and the log says so. Without an actor or a reader nobody is shown them: all are only
    counted.
    """
    coached = select_clients_of(user_id, COACH)
    open_task = sa.and_(FollowUp.completed_at.is_(None), FollowUp.assigned_to == user_id)
    has_task = sa.select(FollowUp.client_id).where(open_task)
    own_tasks = (
        sa.select(sa.func.count())
        .where(open_task, FollowUp.client_id == Client.id)
        .correlate(Client)
        .scalar_subquery()
    )
    any_task = (
        sa.exists()
        .where(FollowUp.completed_at.is_(None), FollowUp.client_id == Client.id)
        .correlate(Client)
    )
    open_case = sa.exists().where(Case.client_id == Client.id, Case.status == "open")
    query = (
        sa.select(
            Client.id.label("client_id"),
            Client.name,
            newest_case_number(Client.id).label("number"),
            ClientKey.wrapped,
            (open_case.correlate(Client) if with_open_cases else sa.false()).label("has_open_case"),
            own_tasks.label("own_tasks"),
            any_task.label("any_task"),
            Client.id.in_(coached).label("is_coach"),
            (Client.id.in_(select_denied_clients(reader.id)) if reader else sa.false()).label(
                "is_denied"
            ),
            *SAFETY_COLUMNS,
        )
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(
            in_any(Client.id, coached, has_task),
            looks_after_client(actor, Client.id) if actor else sa.true(),
        )
        .order_by(Client.name, Client.id)
    )
    rows = db.session.execute(join_safety(query)).all()
    is_shown = actor is not None or reader is not None
    shown = {row.client_id for row in rows if is_shown and not row.is_denied}
    if shown:
        note_shown(shown)
    if counted := {row.client_id for row in rows} - shown:
        note_counted(Action.USER_MANAGE, counted)
    found = []
    for row in rows:
        safety = safety_from_row(row, open_listed_client_key(row.wrapped, row.client_id))
        is_in_need = bool(safety.holds or safety.flags or row.any_task)
        if is_in_need or (row.has_open_case and row.is_coach):
            kinds = tuple(hold.kind for hold in safety.holds)
            found.append(
                Responsibility(
                    row.client_id,
                    row.name,
                    row.number or "",
                    kinds,
                    len(safety.flags),
                    row.own_tasks,
                    bool(row.is_coach),
                    is_in_need,
                )
            )
    return found


def get_hand_over(actor: Actor, user_id: UUID) -> HandOver:
    """Load what a supervisor needs to hand over the clients of one of their coaches, or their own, those in need first.

    Clients whom the supervisor doesn't see are only counted. Of a member of another team only follow-ups are theirs to
    hand over; raises NotFound when there is none.
    """
    require(actor, Action.HAND_OVER)
    in_team = is_in_team(actor, user_id)
    clients = list_responsibilities(user_id, actor, with_open_cases=True)
    clients.sort(key=lambda found: not found.is_in_need)
    if not in_team:
        clients = [found for found in clients if not found.is_coach]
        if not clients:
            raise NotFound
    hidden = sa.select(sa.func.count(FollowUp.client_id.distinct())).where(
        FollowUp.completed_at.is_(None),
        FollowUp.assigned_to == user_id,
        ~looks_after_client(actor, FollowUp.client_id),
        FollowUp.client_id.not_in(select_denied_clients(actor.id)),
    )
    users = list_users()
    staff = {user.id: as_staff_member(user) for user in users}
    heirs = [person for person in staff.values() if not list_heir_faults(person, user_id)]
    supervisors = {person.id for person in heirs if is_supervisor(person)}
    without_second = {
        user.id for user in users if user.supervisor_id not in supervisors - {user.id}
    }
    return HandOver(
        staff[user_id],
        tuple(clients),
        db.session.scalar(hidden) or 0 if in_team else 0,
        tuple(heirs),
        frozenset(without_second & {person.id for person in heirs}),
    )


def is_in_team(actor: Actor, user_id: UUID) -> bool:
    """Tell whether somebody is the actor or one of the staff whom they supervise."""
    return db.session.scalar(select_visible_coaches(actor).where(User.id == user_id)) is not None


def list_team(actor: Actor) -> list[User]:
    """List the actor and the staff whom they supervise, disabled accounts too, by name."""
    require(actor, Action.HAND_OVER)
    team = sa.select(User).where(User.id.in_(select_visible_coaches(actor)))
    return [*db.session.scalars(team.order_by(User.name, User.id))]


def list_signing_coaches(actor: Actor) -> list[User]:
    """List the coaches with an account of whom the actor decides whether their notes need a co-signature, by name."""
    require(actor, Action.COSIGNATURE_SET)
    coaches = sa.select(User).where(User.role == Role.COACH, User.disabled_at.is_(None))
    found = db.session.scalars(coaches.order_by(User.name, User.id))
    return [user for user in found if decides_cosignature(actor, user.supervisor_id)]


@dataclass(frozen=True)
class LockedMember:
    """A member of staff whose account is locked until the transaction ends, with what was read after the lock.

    `clients` are those for whom they are responsible, `people` the staff whom they supervise, locked too: those with an
    active account, and those who have left and still have clients. `named` are the cases of the clients whose hold
    nobody else could release, since this person was named for it. `is_last_admin` tells whether they are an active
    admin and nobody else is one who can sign in. Only `lock_members` makes one.
    """

    user: User
    clients: tuple[Responsibility, ...]
    people: tuple[User, ...]
    named: dict[UUID, str]
    is_last_admin: bool

    @property
    def numbers(self) -> dict[UUID, str]:
        """The cases of the clients for whom they are responsible, by client."""
        return {found.client_id: found.number or WITHOUT_CASE for found in self.clients}


def lock_members(*user_ids: UUID) -> list[LockedMember]:
    """Lock the clients of some members of staff and of the people whom they supervise, then these accounts, and read.

    Clients who are offered to them are locked too.

    In this order, which is that of whoever changes a client's record, and all of them at once, each kind by id: so two
    who lock the same people never wait for each other in a circle. Active admins are locked too, so that of two who
    leave at the same moment the second one is seen to be the last. Whoever records something about one of these
    clients that opens a hold, or gives these people a client or a follow-up, waits or is seen. Raises NotFound, and
    RuntimeError outside `transaction()`.
    """
    people = sa.or_(User.id.in_(user_ids), User.supervisor_id.in_(user_ids))
    take_locks_of_coached(sa.select(User.id).where(people))
    is_admin = sa.and_(User.role == Role.ADMIN, User.disabled_at.is_(None))
    accounts = db.session.scalars(
        sa.select(User)
        .where(sa.or_(people, is_admin))
        .order_by(User.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    has_clients = sa.select(CareTeamMember.user_id).where(
        in_role(CareTeamMember, COACH), CareTeamMember.user_id.in_({one.id for one in accounts})
    )
    left = {one.id for one in accounts if one.disabled_at is not None}
    gone = left - set(db.session.scalars(has_clients.distinct())) if left else left
    by_id, members = {one.id: one for one in accounts}, []
    for user_id in user_ids:
        if user_id not in by_id:
            raise NotFound
        supervised = tuple(
            one
            for one in accounts
            if one.supervisor_id == user_id and one.id != user_id and one.id not in gone
        )
        clients, named = tuple(list_responsibilities(user_id)), _list_named(user_id)
        is_last = _is_last_admin(by_id[user_id], accounts)
        members.append(LockedMember(by_id[user_id], clients, supervised, named, is_last))
    return members


def _is_last_admin(user: User, accounts: Sequence[User]) -> bool:
    admins = {one.id for one in accounts if one.role == Role.ADMIN and one.disabled_at is None}
    return user.id in admins and not list_able_to_sign_in(admins - {user.id})


def lock_with_others(
    user_id: UUID, *, supervisor_id: UUID | None = None, successor_id: UUID | None = None
) -> tuple[LockedMember, LockedMember | None, LockedMember | None]:
    """Lock a member of staff with the supervisor and the successor whom somebody chose; None where nobody was chosen.

    Raises NotFound, and Invalid for somebody who isn't on the staff.
    """
    chosen = {"supervisor_id": supervisor_id, "successor_id": successor_id}
    for name, one in chosen.items():
        if one is not None and db.session.get(User, one) is None:
            raise Invalid({name: ["Choose one of the people listed."]})
    wanted = [one for one in chosen.values() if one is not None]
    member, *others = lock_members(user_id, *wanted)
    found = dict(zip(wanted, others, strict=True))
    return (
        member,
        found[supervisor_id] if supervisor_id else None,
        found[successor_id] if successor_id else None,
    )


def list_leaving(actor: Actor, user_id: UUID) -> tuple[list[Reason], list[User]]:
    """List what has to be placed before somebody's account can be disabled, and whom they supervise.

    Clients whom the actor must not see are only counted. Nothing is locked: it is what a page says, and is looked at
    again when the account is disabled.
    """
    coaches = sa.exists().where(CareTeamMember.user_id == User.id, in_role(CareTeamMember, COACH))
    people = db.session.scalars(
        sa.select(User)
        .where(
            User.supervisor_id == user_id,
            User.id != user_id,
            sa.or_(User.disabled_at.is_(None), coaches),
        )
        .order_by(User.name)
    ).all()
    responsible = list_responsibilities(user_id, reader=actor)
    numbers = {found.client_id: found.number or WITHOUT_CASE for found in responsible}
    named = _list_named(user_id)
    hidden = _list_hidden(actor, numbers, named)
    reasons = list_leaving_blockers(
        list_numbers(numbers, hidden), 0, list_numbers(named, hidden), has_successor=True
    )
    return reasons, [*people]


def list_hidden(actor: Actor, member: LockedMember) -> set[UUID]:
    """List those of the clients in a member's way whom the actor must not see."""
    return _list_hidden(actor, member.numbers, member.named)


def note_named(member: LockedMember, hidden: Collection[UUID], broken: RuleBroken) -> None:
    """Note whom a refusal names: those in the member's way, without the `hidden` ones, who are only counted."""
    codes = {reason.code for reason in broken.reasons}
    named = {
        *(member.numbers if "clients_left" in codes else ()),
        *(member.named if "second_person" in codes else ()),
    }
    if shown := named.difference(hidden):
        note_shown(shown)


def _list_hidden(actor: Actor, *cases: dict[UUID, str]) -> set[UUID]:
    client_ids = {client_id for found in cases for client_id in found}
    return list_denied(actor, client_ids) if client_ids else set()


def lock_member(user_id: UUID) -> LockedMember:
    """Lock one member of staff, see `lock_members`, which whoever needs two of them calls."""
    return lock_members(user_id)[0]


def lock_signing_coach(actor: Actor, user_id: UUID) -> LockedMember:
    """Lock a member of staff of whom the actor decides whether their notes need a co-signature.

    Raises NotFound.
    """
    member = lock_member(user_id)
    if not decides_cosignature(actor, member.user.supervisor_id):
        raise NotFound
    return member


def _list_named(user_id: UUID) -> dict[UUID, str]:
    """List the cases of the clients whose hold only this person could release, who was named for it, by client."""
    named = db.session.scalars(select_clients_of(user_id, SECOND_PERSON)).all()
    left = list_without_second(named, but=user_id)
    cases = db.session.execute(
        sa.select(Client.id, newest_case_number(Client.id))
        .where(Client.id.in_(left))
        .order_by(Client.id)
    )
    return {client_id: number or WITHOUT_CASE for client_id, number in cases}


def lacks_second(client_id: UUID) -> bool:
    """Tell whether nobody but a client's coach could release a hold."""
    return bool(list_without_second([client_id]))


def has_supervised_heir(client_id: UUID, leaver_id: UUID) -> bool:
    """Tell whether anybody who may take over a client has an active supervisor, other than whoever leaves.

    Whoever recorded a screening of the client's open safety hold doesn't count as one.
    """
    supervisor = aliased(User)
    found = (
        sa.exists()
        .where(
            User.id != leaver_id,
            User.disabled_at.is_(None),
            User.role != Role.ADMIN,
            supervisor.id == User.supervisor_id,
            supervisor.id != User.id,
            supervisor.id.not_in({leaver_id, *list_hold_authors(client_id)}),
            supervisor.disabled_at.is_(None),
            supervisor.role == Role.SUPERVISOR,
            *(
                ~is_denied_to(person.id, sa.literal(client_id, Client.id.type))
                for person in (User, supervisor)
            ),
        )
        .correlate(None)
    )
    return bool(db.session.scalar(sa.select(found)))
