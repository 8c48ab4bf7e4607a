"""Rules for alerts: when each step is due, whom it alerts, and who may be deputy or manager. Pure functions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from caseapp.core.errors import Reason
from caseapp.core.permissions import Role
from caseapp.domain.alerts.codes import STEPS, URGENT_KINDS
from caseapp.domain.protocol.rules import add_working_days

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from caseapp.domain.alerts.schemas import AlertTimes, StaffMember, TeamMember

# Two machines' clocks differ by less; a clock that is further behind was set back.
MAX_CLOCK_SKEW = timedelta(minutes=5)
# How long whoever an alert has reached may read what it is about, after it was acknowledged.
READABLE_FOR = timedelta(days=7)
NO_SUPERVISOR = Reason(
    "not_a_supervisor",
    "The manager and every deputy must be a supervisor with an active account.",
    "Choose an active supervisor.",
)
OWN_DEPUTY = Reason("own_deputy", "Nobody can be their own deputy.", "Choose another supervisor.")
NEEDS_NO_DEPUTY = Reason(
    "needs_no_deputy", "Only supervisors have a deputy.", "Leave the deputy empty."
)


def plan_steps(
    kind: str, opened_at: datetime, times: AlertTimes, zone: str
) -> dict[str, datetime | None]:
    """Return when each step of an alert is due; None for a step that is only taken when nobody else was alerted.

    The coach and the supervisor are alerted at once. For what is about a safety hold the others follow after some
    minutes, at any hour; for anything else after some working days in the time zone of the practice. Source of the
    defaults: the issue about safety, awaiting clinical sign-off.
    """
    due: dict[str, datetime | None] = {"coach": opened_at, "supervisor": opened_at}
    if kind in URGENT_KINDS:
        due["deputy"] = opened_at + timedelta(minutes=times.safety_deputy_minutes)
        due["manager"] = opened_at + timedelta(minutes=times.safety_manager_minutes)
        return due
    local = opened_at.astimezone(ZoneInfo(zone))
    due["deputy"] = add_working_days(local, times.care_deputy_days)
    days = times.care_manager_days
    due["manager"] = None if days is None else add_working_days(local, days)
    return due


def list_people(
    step: str, team: Sequence[TeamMember], manager: StaffMember | None
) -> list[StaffMember]:
    """List the people of a step who can be alerted now.

    These are the active members of the care team, their active supervisors, the deputies of these supervisors (also of
    one who has left), and the manager. Deputies and the manager have to be supervisors.
    """
    candidates: dict[str, Sequence[StaffMember | None]] = {
        "coach": [member.coach for member in team],
        "supervisor": [member.supervisor for member in team],
        "deputy": [member.deputy for member in team],
        "manager": [manager],
    }
    found = {
        person.id: person
        for person in candidates[step]
        if person is not None and person.is_active and (step == "coach" or is_supervisor(person))
    }
    return [*found.values()]


def list_second_people(team: Sequence[TeamMember], manager: StaffMember | None) -> set[UUID]:
    """List everybody but the coaches whom some step would alert now."""
    people = {person.id for step in STEPS for person in list_people(step, team, manager)}
    return people - {member.coach.id for member in team}


def list_positions(team: Sequence[TeamMember], manager: StaffMember | None) -> set[UUID]:
    """List everybody whom some step names now, also those who can't be alerted because they have left."""
    named = [person for one in team for person in (one.coach, one.supervisor, one.deputy)]
    return {person.id for person in (*named, manager) if person is not None}


def is_supervisor(person: StaffMember) -> bool:
    """Tell whether somebody is a supervisor with an active account."""
    return person.is_active and person.role == Role.SUPERVISOR


def list_due_steps(
    due: Mapping[str, datetime | None],
    taken: Collection[str],
    people: Mapping[str, Collection[UUID]],
    told: Collection[UUID],
    second_people: Collection[UUID],
    at: datetime,
    opened_at: datetime,
) -> list[str]:
    """List the steps to take now, in order.

    A step is due at its time, and at once when no second person knows so far, by an earlier step or by one of this
    list: whoever is away must not delay the next. A step that was taken is due again when somebody of it was not told:
    whoever has become responsible meanwhile must know. `people` are those whom each step would alert now, `told` those
    whom the alert has reached and whoever opened it, and `second_people` those who count as a second person now: of the
    told, only they do. When the clock runs behind the time at which the alert was opened it can't be trusted, and every
    step is due: too early is safer than too late.
    """
    found: list[str] = []
    known = set(told) & set(second_people)
    for step in STEPS:
        untold, due_at = set(people[step]) - set(told), due[step]
        if step in taken:
            is_due = bool(untold)
        else:
            is_set_back = at < opened_at - MAX_CLOCK_SKEW
            is_due = is_set_back or not known or (due_at is not None and due_at <= at)
        if is_due:
            found.append(step)
            known |= untold & set(second_people)
    return found


def ends_alert(
    kind: str,
    who: UUID,
    opened_by: UUID,
    coaches: Collection[UUID],
    second_people: Collection[UUID],
) -> bool:
    """Tell whether somebody's acknowledgement ends an alert for everybody.

    About a safety hold a second person has to know. So it is ended by somebody who doesn't coach the client, and by a
    coach when whoever opened it is a second person now. Product proposal, awaiting clinical sign-off.
    """
    return kind not in URGENT_KINDS or who not in coaches or opened_by in second_people


def list_manager_faults(manager: StaffMember | None) -> list[Reason]:
    """List why somebody can't be the manager whom the last step alerts; nobody is allowed."""
    return [] if manager is None or is_supervisor(manager) else [NO_SUPERVISOR]


def list_deputy_faults(person: StaffMember, deputy: StaffMember | None) -> list[Reason]:
    """List why somebody can't be a person's deputy; no deputy is allowed."""
    if deputy is None:
        return []
    if person.role != Role.SUPERVISOR:
        return [NEEDS_NO_DEPUTY]
    if deputy.id == person.id:
        return [OWN_DEPUTY]
    return [] if is_supervisor(deputy) else [NO_SUPERVISOR]
