"""Operations on the care team of a client: who joins it, and whose part in it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import SYSTEM_ID, Actor
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import refuse_for
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import COACH, COVER, READER
from caseapp.domain.clients.models import (
    ENDLESS,
    CareTeamMember,
    Cover,
    CoveredClient,
    Transfer,
)
from caseapp.domain.clients.rules import (
    MUST_NOT_SEE,
    ONLY_COVERS,
)
from caseapp.domain.clients.visibility import (
    MOMENT,
    has_coach,
    has_denial,
    in_role,
    is_responsible_for,
)

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient


INSERT_MEMBERSHIP = sa.insert(CareTeamMember.__table__)  # type: ignore[arg-type]
_COLUMNS = CareTeamMember.__table__.c
# Whoever has the role already is a row that the same statement finds.
INSERT_UNLESS_MEMBER = INSERT_MEMBERSHIP.from_select(
    _COLUMNS.keys(),
    sa.select(
        *(sa.bindparam(f"new_{column.name}", type_=column.type) for column in _COLUMNS)
    ).where(
        ~sa.exists().where(
            _COLUMNS.client_id == sa.bindparam("new_client_id"),
            _COLUMNS.user_id == sa.bindparam("new_user_id"),
            _COLUMNS.role == sa.bindparam("new_role"),
            _COLUMNS.ends_at > MOMENT,
        )
    ),
).returning(_COLUMNS.user_id)
GO_ON = (
    sa.update(CareTeamMember.__table__)  # type: ignore[arg-type]
    .where(
        _COLUMNS.client_id == sa.bindparam("of"),
        _COLUMNS.user_id == sa.bindparam("member"),
        _COLUMNS.role == sa.bindparam("part"),
        _COLUMNS.ends_at > MOMENT,
    )
    .values(ends_at=ENDLESS)
)


UNSYNCHRONIZED = {"synchronize_session": False}


def join_care_team(actor: Actor, client: LockedClient, user_id: UUID) -> bool:
    """Make a user a coach of a client; return whether they are new, otherwise nothing changes.

    Raises RuleBroken for somebody who must not see the client, and when the actor only covers for a coach of it.
    """
    if has_denial(client.id, user_id):
        refuse_for([MUST_NOT_SEE])
    is_new = not has_coach(client.id, user_id)
    if is_new:
        is_responsible = is_responsible_for(actor.role, actor.id, client.id)
        refuse_for([] if is_responsible else [ONLY_COVERS])
        begin_membership(client.id, user_id, COACH, actor.id, "opened")
    return is_new


def join_for(
    client_id: UUID, user_id: UUID, role: str, by: UUID | None = None, reason: str = ""
) -> None:
    """Give a person a role in a locked client's care team, from now on and without an end so far.

    Whoever has the role goes on having it, now without an end. `by` is who gives it, and None for the application;
    `reason` is one of JOIN_REASONS.
    """
    values = _membership_values(client_id, user_id, role, by, reason, ENDLESS)
    new = {f"new_{name}": value for name, value in values.items()}
    if run(INSERT_UNLESS_MEMBER, **new).first() is None:
        run(GO_ON, member=user_id, of=client_id, part=role)


def read_until(client_id: UUID, user_id: UUID, ends_at: datetime) -> None:
    """Let a person read a locked client's record from now until a moment."""
    begin_membership(client_id, user_id, READER, user_id, ends_at=ends_at)


def begin_membership(
    client_id: UUID,
    user_id: UUID,
    role: str,
    by: UUID | None,
    reason: str = "",
    *,
    ends_at: datetime = ENDLESS,
) -> None:
    """Give a person a role that they don't have yet in a locked client's care team, from now on until `ends_at`."""
    run(INSERT_MEMBERSHIP, **_membership_values(client_id, user_id, role, by, reason, ends_at))


def _membership_values(
    client_id: UUID, user_id: UUID, role: str, by: UUID | None, reason: str, ends_at: datetime
) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "client_id": client_id,
        "role": role,
        "starts_at": now(),
        "ends_at": ends_at,
        "reason": reason,
        "created_by": None if by == SYSTEM_ID else by,
    }


def leave_for(client_id: UUID, user_id: UUID, role: str) -> None:
    """Let a person's role in a locked client's care team end now."""
    end_memberships(_membership(client_id, user_id, role), now())


def leave_everywhere(user_id: UUID, role: str) -> None:
    """Let a person's role end now in the care teams of all clients; their account is locked."""
    end_memberships((CareTeamMember.user_id == user_id, in_role(CareTeamMember, role)), now())


def end_memberships(found: tuple[sa.ColumnElement[bool], ...], ends_at: datetime) -> None:
    """Let the memberships that meet these conditions end; those that don't begin before leave no trace."""
    for ends in (
        sa.delete(CareTeamMember).where(*found, CareTeamMember.starts_at >= ends_at),
        sa.update(CareTeamMember).where(*found).values(ends_at=ends_at),
    ):
        db.session.execute(ends, execution_options=UNSYNCHRONIZED)


def end_covers_of(client_id: UUID) -> None:
    """End every cover of a locked client, also those that have not begun: somebody else is responsible now."""
    runs_or_comes = (
        CareTeamMember.client_id == client_id,
        CareTeamMember.role == COVER,
        CareTeamMember.ends_at > now(),
    )
    end_memberships(runs_or_comes, now())
    coming = sa.select(Cover.id).where(Cover.starts_at >= now())
    db.session.execute(
        sa.delete(CoveredClient).where(
            CoveredClient.client_id == client_id, CoveredClient.cover_id.in_(coming)
        ),
        execution_options=UNSYNCHRONIZED,
    )


def end_care_team(client_id: UUID) -> None:
    """End every membership of a locked client's care team, also those that have not begun: the record is gone."""
    end_covers_of(client_id)
    end_memberships((CareTeamMember.client_id == client_id, CareTeamMember.ends_at > now()), now())


def withdraw_offers(actor: Actor, client_id: UUID, to_id: UUID | None = None) -> None:
    """Withdraw the offer of a locked client to a colleague, if there is one; only one to `to_id`, if that is given."""
    found = [Transfer.client_id == client_id]
    _withdraw(actor, *found, *([] if to_id is None else [Transfer.to_id == to_id]))


def withdraw_offers_of(actor: Actor, user_id: UUID) -> None:
    """Withdraw the offers of cases from and to a member of staff whose clients and offers are locked."""
    _withdraw(actor, sa.or_(Transfer.from_id == user_id, Transfer.to_id == user_id))


def _withdraw(actor: Actor, *which: sa.ColumnElement[bool]) -> None:
    """Withdraw the offers that meet these conditions, and record each."""
    db.session.flush()
    withdrawn = db.session.execute(
        sa.update(Transfer)
        .where(*which, Transfer.state == "offered")
        .values(state="withdrawn", decided_at=now())
        .returning(Transfer.client_id, Transfer.from_id, Transfer.to_id),
        execution_options=UNSYNCHRONIZED,
    ).all()
    for client_id, from_id, to_id in withdrawn:
        details = {"from": from_id.hex, "to": to_id.hex, "withdrawn": True}
        record(actor, Action.TRANSFER, "client", client_id, client_id=client_id, details=details)


def _membership(client_id: UUID, user_id: UUID, role: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        CareTeamMember.client_id == client_id,
        CareTeamMember.user_id == user_id,
        in_role(CareTeamMember, role),
    )
