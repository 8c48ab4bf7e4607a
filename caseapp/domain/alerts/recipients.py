"""Who is told of an alert about a client: their coach, that one’s supervisor and deputy, and the manager."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.database import db, run
from caseapp.core.permissions import Role
from caseapp.domain.alerts.codes import STEPS
from caseapp.domain.alerts.models import AlertSetting
from caseapp.domain.alerts.rules import list_people
from caseapp.domain.alerts.schemas import (
    AlertTimes,
    StaffMember,
    TeamMember,
)
from caseapp.domain.clients.codes import COACH, COVER
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.visibility import (
    in_role,
    is_denied_to,
)
from caseapp.domain.practice.models import Practice
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


# No name holds it.
SEPARATOR = "\n"


@dataclass(frozen=True)
class Escalation:
    """Whom the alerts about a client reach, and when: the care team, the manager, the times and their zone."""

    team: tuple[TeamMember, ...]
    manager: StaffMember | None
    times: AlertTimes
    zone: str


_supervisor, _deputy, _manager = aliased(User), aliased(User), aliased(User)
_PERSON = ("id", "name", "role", "phone", "on_call_hours", "disabled_at")


def _columns(user: Any, prefix: str) -> list[sa.Label[Any]]:  # noqa: ANN401 - the table or an alias
    is_denied = is_denied_to(user.id, sa.bindparam("client_id")).label(f"{prefix}_is_denied")
    return [is_denied, *(getattr(user, name).label(f"{prefix}_{name}") for name in _PERSON)]


ESCALATION = (
    sa.select(
        *_columns(User, "coach"),
        *_columns(_supervisor, "supervisor"),
        *_columns(_deputy, "deputy"),
        *_columns(_manager, "manager"),
        Practice.zone,
        AlertSetting.safety_deputy_minutes,
        AlertSetting.safety_manager_minutes,
        AlertSetting.care_deputy_days,
        AlertSetting.care_manager_days,
    )
    .select_from(AlertSetting)
    .join(Practice, Practice.id == AlertSetting.id)
    .outerjoin(
        CareTeamMember,
        sa.and_(
            CareTeamMember.client_id == sa.bindparam("client_id"),
            in_role(CareTeamMember, COACH, COVER),
        ),
    )
    .outerjoin(User, User.id == CareTeamMember.user_id)
    # Whoever covers has the alerts of the coach; nobody above them sees the client.
    .outerjoin(
        _supervisor,
        sa.and_(_supervisor.id == User.supervisor_id, CareTeamMember.role == COACH),
    )
    # A supervisor who coaches, and has no supervisor, has a deputy of their own.
    .outerjoin(
        _deputy,
        sa.and_(
            _deputy.id == sa.func.coalesce(_supervisor.deputy_id, User.deputy_id),
            CareTeamMember.role == COACH,
        ),
    )
    .outerjoin(_manager, _manager.id == AlertSetting.manager_id)
    .order_by(CareTeamMember.role == COVER, CareTeamMember.starts_at.desc(), User.id)
)


def _person(row: Any, prefix: str) -> StaffMember | None:  # noqa: ANN401 - a result row
    found = {name: getattr(row, f"{prefix}_{name}") for name in _PERSON}
    if found["id"] is None or getattr(row, f"{prefix}_is_denied"):
        return None
    return StaffMember(
        found["id"],
        found["name"],
        found["role"],
        found["phone"],
        found["on_call_hours"],
        is_active=found["disabled_at"] is None,
    )


def get_alert_setting() -> AlertSetting:
    """Load the settings of alerts; the database has them from the start."""
    return db.session.scalars(sa.select(AlertSetting)).one()


def get_escalation(client_id: UUID) -> Escalation:
    """Load whom the alerts about a client reach, and when, with one statement; nobody who must not see the client."""
    db.session.flush()
    return build_escalation(run(ESCALATION, client_id=client_id).all())


def build_escalation(rows: Sequence[Any]) -> Escalation:
    """Build what the rows of `ESCALATION` say: one for each coach of the client."""
    first = rows[0]
    return Escalation(
        tuple(
            TeamMember(coach, _person(row, "supervisor"), _person(row, "deputy"))
            for row in rows
            if (coach := _person(row, "coach")) is not None
        ),
        _person(first, "manager"),
        AlertTimes(
            first.safety_deputy_minutes,
            first.safety_manager_minutes,
            first.care_deputy_days,
            first.care_manager_days,
        ),
        first.zone,
    )


def as_staff_member(user: User) -> StaffMember:
    """Return what alerts need to know about a member of staff."""
    return StaffMember(
        user.id,
        user.name,
        user.role,
        user.phone,
        user.on_call_hours,
        is_active=user.disabled_at is None,
    )


def list_alert_people() -> list[tuple[StaffMember, list[StaffMember]]]:
    """List each active coach, and supervisor with clients, with everybody whom alerts about them may reach."""
    users = {user.id: user for user in list_users()}
    staff = {user_id: as_staff_member(user) for user_id, user in users.items()}
    with_clients = set(
        db.session.scalars(
            sa.select(CareTeamMember.user_id).where(in_role(CareTeamMember, COACH)).distinct()
        )
    )
    manager_id = get_alert_setting().manager_id
    found = []
    for user in users.values():
        coaches = user.role == Role.COACH or (
            user.role == Role.SUPERVISOR and user.id in with_clients
        )
        if not coaches or user.disabled_at is not None:
            continue
        supervisor = users[user.supervisor_id] if user.supervisor_id else None
        deputy_id = (supervisor and supervisor.deputy_id) or user.deputy_id
        member = TeamMember(
            staff[user.id],
            staff[supervisor.id] if supervisor else None,
            staff[deputy_id] if deputy_id else None,
        )
        manager = staff[manager_id] if manager_id else None
        people = {
            person.id: person
            for step in STEPS[1:]
            for person in list_people(step, [member], manager)
            if person.id != user.id
        }
        found.append((member.coach, [*people.values()]))
    return found
