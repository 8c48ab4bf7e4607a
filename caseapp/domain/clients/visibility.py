"""Who may see a client: the conditions and questions that every query about clients asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import SQLColumnExpression
from sqlalchemy.orm import aliased

from caseapp.core.clock import now
from caseapp.core.database import UTCTime, db
from caseapp.core.pagination import literal_limit
from caseapp.core.permissions import Role
from caseapp.core.transaction import is_changing
from caseapp.domain.clients.codes import COACH, COVER, READER
from caseapp.domain.clients.models import (
    AccessDenial,
    CareTeamMember,
)
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import is_visible_coach, select_visible_coaches_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.core.actor import Actor

    Opens = Callable[..., sa.ColumnElement[bool]]


MOMENT = sa.bindparam("team_moment", callable_=now, type_=UTCTime())


def in_role(member: type[CareTeamMember], *roles: str) -> sa.ColumnElement[bool]:
    """Build the SQL condition that a membership (of the table or an alias) is in one of these roles and runs now.

    Everything that depends on care teams asks this, so that whoever is no longer a member sees nothing from the next
    request on.
    """
    runs = [
        member.role == roles[0] if len(roles) == 1 else member.role.in_(roles),
        member.ends_at > MOMENT,
    ]
    if COVER in roles:
        # The others begin when they are given: to ask would hide a new client from a server whose clock is behind.
        runs.append(sa.or_(member.role != COVER, member.starts_at <= MOMENT))
    return sa.and_(*runs)


IS_READING = sa.bindparam("is_reading", callable_=lambda: not is_changing(), type_=sa.Boolean())


def opens_record(
    member: type[CareTeamMember], who: UUID | sa.BindParameter[UUID]
) -> sa.ColumnElement[bool]:
    """Build the SQL condition that a membership opens a client's record now: a coach's, or one's own of another role.

    A cover opens the client to nobody above. A reader's opens it for reading only: no change finds the client.
    """
    return _is_member(member, who, sa.and_(member.role == READER, IS_READING))


def looks_after(
    member: type[CareTeamMember], who: UUID | sa.BindParameter[UUID]
) -> sa.ColumnElement[bool]:
    """Build the SQL condition that a membership makes a client somebody's work now, which reading a record doesn't."""
    return _is_member(member, who)


def _is_member(
    member: type[CareTeamMember],
    who: UUID | sa.BindParameter[UUID],
    *others: sa.ColumnElement[bool],
) -> sa.ColumnElement[bool]:
    covers = sa.and_(member.role == COVER, member.starts_at <= MOMENT)
    own = sa.and_(member.user_id == who, sa.or_(covers, *others))
    return sa.and_(sa.or_(member.role == COACH, own), member.ends_at > MOMENT)


def visible_to(actor: Actor) -> sa.Select[UUID]:
    """Select the ids of the clients an actor may see: the one rule of visibility for everything about clients.

    Coaches see their own clients and those whom they cover now, supervisors also those of the coaches they supervise,
    admins none, and nobody a client whom they must not see (`AccessDenial`). Whoever has emergency access sees the
    client too, but no change does. Use it as `client_id IN (…)`: written as EXISTS, the same rule scans whole tables.
    """
    return select_visible_clients(actor.role, actor.id)


def looked_after_by(actor: Actor) -> sa.Select[UUID]:
    """Select the clients who are an actor's work: all whom they may see but those whose records they only read."""
    return select_visible_clients(actor.role, actor.id, looks_after)


def list_only_read(actor: Actor) -> frozenset[UUID]:
    """List the clients whose records an actor reads by emergency access and who are no work of theirs."""
    read = sa.select(CareTeamMember.client_id).where(
        CareTeamMember.user_id == actor.id,
        in_role(CareTeamMember, READER),
        CareTeamMember.client_id.not_in(looked_after_by(actor)),
    )
    return frozenset(db.session.scalars(read))


def select_visible_clients(
    role: Role, who: UUID | sa.BindParameter[UUID], opens: Opens = opens_record
) -> sa.Select[UUID]:
    """Select the clients a person with this role may see; `who` can be a bind parameter of a cached statement."""
    if role is Role.COACH:
        return sa.select(CareTeamMember.client_id).where(
            CareTeamMember.user_id == who,
            opens(CareTeamMember, who),
            CareTeamMember.client_id.not_in(select_denied_clients(who)),
        )
    if role is Role.SUPERVISOR:
        return sa.select(CareTeamMember.client_id).where(
            CareTeamMember.user_id.in_(select_visible_coaches_for(role, who)),
            opens(CareTeamMember, who),
            CareTeamMember.client_id.not_in(select_denied_clients(who)),
        )
    return sa.select(CareTeamMember.client_id).where(in_role(CareTeamMember, COACH), sa.false())


def select_denied_clients(who: UUID | sa.BindParameter[UUID]) -> sa.Select[UUID]:
    """Select the clients whom a person must not see, whatever else would let them.

    Use it as `client_id NOT IN (…)`: they are few and read once for a statement, and the plan stays as it is.
    """
    return sa.select(AccessDenial.client_id).where(
        AccessDenial.user_id == who, AccessDenial.ended_at.is_(None)
    )


def is_denied_to(
    user_id: SQLColumnExpression[UUID] | SQLColumnExpression[UUID | None],
    client_id: SQLColumnExpression[UUID],
) -> sa.ColumnElement[bool]:
    """Build the SQL condition that the person of a row must not see the client of a row."""
    denial = aliased(AccessDenial)
    return (
        sa.exists()
        .where(denial.user_id == user_id, denial.client_id == client_id, denial.ended_at.is_(None))
        .correlate_except(denial)
    )


def has_denial(client_id: UUID, user_id: UUID) -> bool:
    """Tell whether a person must not see a client."""
    denied = select_denied_clients(user_id).where(AccessDenial.client_id == client_id)
    return db.session.scalar(denied) is not None


def is_visible_client(
    role: Role, who: UUID | sa.BindParameter[UUID], client_id: SQLColumnExpression[UUID]
) -> sa.ColumnElement[bool]:
    """Build the SQL condition that a person may see the client of one record, which is selected by its id.

    The same rule as `visible_to`, starting from the client: it reads the few members of the care team instead of all
    clients and coaches of a supervisor.
    """
    return select_memberships(role, who, client_id).exists()


def select_memberships(
    role: Role,
    who: UUID | sa.BindParameter[UUID],
    client_id: SQLColumnExpression[UUID],
    opens: Opens = opens_record,
) -> sa.Select[UUID]:
    """Select the memberships of a client's care team by which a person may see the client."""
    if role is not Role.SUPERVISOR:
        return select_visible_clients(role, who, opens).where(CareTeamMember.client_id == client_id)
    coach = aliased(User)
    return (
        sa.select(CareTeamMember.client_id)
        .join(coach, coach.id == CareTeamMember.user_id)
        .where(
            CareTeamMember.client_id == client_id,
            opens(CareTeamMember, who),
            CareTeamMember.client_id.not_in(select_denied_clients(who)),
            is_visible_coach(coach, role, who),
        )
    )


def is_visible_to(actor: Actor, client_id: SQLColumnExpression[UUID]) -> sa.ColumnElement[bool]:
    """Build the SQL condition that an actor may see the client of one record."""
    return is_visible_client(actor.role, actor.id, client_id)


def sees_client_of(
    user: type[User], client_id: SQLColumnExpression[UUID]
) -> sa.ColumnElement[bool]:
    """Build the SQL condition that a member of staff (a row of the table or an alias) sees the client of a record."""
    member, coach = aliased(CareTeamMember), aliased(User)
    supervises = sa.and_(
        user.role == Role.SUPERVISOR, coach.supervisor_id == user.id, member.role == COACH
    )
    return (
        sa.exists()
        .where(
            member.client_id == client_id,
            in_role(member, COACH, COVER),
            coach.id == member.user_id,
            sa.or_(coach.id == user.id, supervises),
            user.role != Role.ADMIN,
            ~is_denied_to(user.id, client_id),
        )
        .correlate_except(member, coach)
    )


def has_any(rows: sa.Select[UUID]) -> sa.ColumnElement[bool]:
    """Build the condition that a correlated query has rows, so that they are looked up for one record after another.

    Not EXISTS: a planner turns that into a join and may start with all clients of a name, or all that somebody sees.
    """
    return rows.limit(literal_limit(1)).scalar_subquery().is_not(None)


def sees_client(actor: Actor, client_id: SQLColumnExpression[UUID]) -> sa.ColumnElement[bool]:
    """Build the same condition for a list that walks an index and checks the client of one record after another."""
    return has_any(select_memberships(actor.role, actor.id, client_id))


def looks_after_client(
    actor: Actor, client_id: SQLColumnExpression[UUID]
) -> sa.ColumnElement[bool]:
    """Build the condition that a client is an actor's work, for a list that walks an index as in `sees_client`."""
    return has_any(select_memberships(actor.role, actor.id, client_id, looks_after))


def select_clients_of(user_id: UUID, role: str) -> sa.Select[UUID]:
    """Select the clients in whose care teams somebody has a role now, but for those whom they must not see."""
    return sa.select(CareTeamMember.client_id).where(
        CareTeamMember.user_id == user_id,
        in_role(CareTeamMember, role),
        CareTeamMember.client_id.not_in(select_denied_clients(user_id)),
    )


def has_coach(client_id: UUID, user_id: UUID) -> bool:
    """Tell whether somebody is a coach of a client now."""
    coached = select_clients_of(user_id, COACH).where(CareTeamMember.client_id == client_id)
    return db.session.scalar(sa.select(coached.exists())) or False


def is_responsible_for(role: Role, user_id: UUID, client_id: UUID) -> bool:
    """Tell whether a person with this role has a client as a coach or as the supervisor of one; cover isn’t enough."""
    memberships = select_memberships(role, user_id, sa.literal(client_id, User.id.type))
    found = memberships.where(in_role(CareTeamMember, COACH))
    return db.session.scalar(sa.select(found.exists())) or False


def has_role(
    actor: Actor, role: str, client_id: SQLColumnExpression[UUID]
) -> sa.ColumnElement[bool]:
    """Build the SQL condition that an actor has a role in the care team of a record's client now.

    For a role other than the coach's this opens only what asks for the role.
    """
    return (
        select_clients_of(actor.id, role)
        .where(CareTeamMember.client_id == client_id)
        .correlate_except(CareTeamMember)
        .exists()
    )
