"""The care team of a client over time: who has had which role, from when until when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from marshmallow import Schema, fields
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.core.reads import note_opened
from caseapp.domain.clients.codes import COACH, COVER, HANDED_FOR, JOIN_REASONS, ROLE_LABELS
from caseapp.domain.clients.models import ENDLESS, CareTeamMember, Cover, Transfer
from caseapp.domain.clients.visibility import in_role, is_visible_to, select_denied_clients
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True)
class Membership:
    """From when until when somebody has a role in a client's care team, why, and who gave it.

    `ends_at` is None without an end so far, `given_by` where the application gave the role or it was not recorded.
    """

    user_id: UUID
    name: str
    role: str
    starts_at: datetime
    ends_at: datetime | None
    reason: str
    given_by: str | None
    is_running: bool
    has_ended: bool

    @property
    def role_label(self) -> str:
        """Say the role in words."""
        return ROLE_LABELS[self.role]

    @property
    def reason_label(self) -> str:
        """Say the reason in words, or nothing."""
        return JOIN_REASONS[self.reason]


def list_care_team(actor: Actor, client_id: UUID) -> list[Membership]:
    """List a client's memberships, those that have ended included, by their start; in one statement.

    Raises NotFound.
    """
    require(actor, Action.CLIENT_READ)
    named_by = aliased(User)
    # All of them, whatever the role and the time.
    rows = db.session.execute(
        sa.select(
            CareTeamMember.user_id,
            User.name,
            CareTeamMember.role,
            CareTeamMember.starts_at,
            CareTeamMember.ends_at,
            CareTeamMember.reason,
            named_by.name.label("given_by"),
        )
        .join(User, User.id == CareTeamMember.user_id)
        .outerjoin(named_by, named_by.id == CareTeamMember.created_by)
        .where(
            CareTeamMember.client_id == client_id,
            is_visible_to(actor, sa.literal(client_id, User.id.type)),
        )
        .order_by(CareTeamMember.starts_at, User.name, CareTeamMember.role)
    ).all()
    if not rows:
        raise NotFound
    note_opened(client_id, "client", client_id)
    moment = now()
    return [
        Membership(
            row.user_id,
            row.name,
            row.role,
            row.starts_at,
            None if row.ends_at == ENDLESS else row.ends_at,
            row.reason,
            row.given_by,
            is_running=moment < row.ends_at and (row.role != COVER or row.starts_at <= moment),
            has_ended=row.ends_at <= moment,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class RunningCover:
    """A cover that runs now: the coach who is away, and until when."""

    id: UUID
    coach_id: UUID
    coach: str
    ends_at: datetime


@dataclass(frozen=True)
class LostCover:
    """That somebody no longer covers for a coach, who was to be away until `planned_end_at`."""

    colleague: str
    planned_end_at: datetime


@dataclass(frozen=True)
class Arrangements:
    """What colleagues have arranged with somebody.

    These are the covers by them that run now, the covers for them that have ended because whoever covered has left, how
    many cases they are offered, and how many clients somebody has handed over to them lately.
    """

    covers: list[RunningCover]
    lost_covers: list[LostCover]
    waiting_transfers: int
    handed_over: int


def get_arrangements(user_id: UUID) -> Arrangements:
    """Load what colleagues have arranged with somebody, the cover that ends first before the others; in one statement.

    The clients whom they must not see aren't counted.
    """
    moment = now()
    waiting = (
        sa.select(sa.func.count())
        .select_from(Transfer)
        .where(
            Transfer.to_id == user_id,
            Transfer.state == "offered",
            Transfer.expires_at > moment,
            Transfer.client_id.not_in(select_denied_clients(user_id)),
        )
        .scalar_subquery()
    )
    handed_over = (
        sa.select(sa.func.count())
        .select_from(CareTeamMember)
        .where(*lately_handed_over(user_id, moment))
        .scalar_subquery()
    )
    # There is one row without any cover, for the numbers.
    one = sa.select(waiting.label("waiting"), handed_over.label("handed_over")).subquery()
    runs = sa.and_(Cover.user_id == user_id, Cover.ends_at > moment, Cover.starts_at <= moment)
    is_lost = sa.and_(Cover.coach_id == user_id, Cover.planned_end_at > moment)
    other = sa.case((is_lost, Cover.user_id), else_=Cover.coach_id)
    covers = one.outerjoin(Cover, sa.or_(runs, is_lost)).outerjoin(User, User.id == other)
    rows = db.session.execute(
        sa.select(one.c.waiting, one.c.handed_over, Cover, User.name)
        .select_from(covers)
        .order_by(Cover.ends_at, Cover.id)
    ).all()
    found = [(row.Cover, row.name) for row in rows if row.Cover is not None]
    return Arrangements(
        [
            RunningCover(cover.id, cover.coach_id, name, cover.ends_at)
            for cover, name in found
            if cover.planned_end_at is None
        ],
        [
            LostCover(name, cover.planned_end_at)
            for cover, name in found
            if cover.planned_end_at is not None
        ],
        rows[0].waiting,
        rows[0].handed_over,
    )


def lately_handed_over(user_id: UUID, moment: datetime) -> list[sa.ColumnElement[bool]]:
    """List what makes a membership one of a client whom somebody else has handed over to a coach within HANDED_FOR."""
    return [
        CareTeamMember.user_id == user_id,
        in_role(CareTeamMember, COACH),
        CareTeamMember.starts_at > moment - HANDED_FOR,
        CareTeamMember.reason == "handed_over",
        CareTeamMember.created_by.is_distinct_from(user_id),
        CareTeamMember.client_id.not_in(select_denied_clients(user_id)),
    ]


def list_running_covers(user_id: UUID) -> list[RunningCover]:
    """List the covers of a colleague that run now, the one that ends first before the others."""
    return get_arrangements(user_id).covers


class MembershipResponseSchema(Schema):
    """A role in a client's care team; `ends_at` is null without an end so far."""

    user_id = fields.UUID(required=True)
    name = fields.String(required=True)
    role = fields.String(required=True)
    starts_at = fields.AwareDateTime(required=True)
    ends_at = fields.AwareDateTime(required=True, allow_none=True)
    reason = fields.String(required=True)
    given_by = fields.String(required=True, allow_none=True)
    is_running = fields.Boolean(required=True)
