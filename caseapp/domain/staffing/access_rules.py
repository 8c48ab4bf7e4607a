"""Why somebody on the staff may or may not open a case: a pure function over what is stored about both.

It explains the rule of `clients.visibility.visible_to`, which alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.permissions import Role
from caseapp.domain.clients.codes import ALERTED, COACH, COVER, READER, SECOND_PERSON
from caseapp.domain.clients.models import ENDLESS

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

LIMITED_ROLES = {
    ALERTED: "An alert about the client has reached them: they see the alert, not the case.",
    SECOND_PERSON: "They are named to release a hold: they see the hold, not the case.",
}


@dataclass(frozen=True)
class Membership:
    """A membership of the client's care team, whose it is, and who supervises that person today."""

    user_id: UUID
    name: str
    supervisor_id: UUID | None
    role: str
    starts_at: datetime
    ends_at: datetime

    def is_current(self, moment: datetime) -> bool:
        """Tell whether the membership counts at a moment."""
        return self.starts_at <= moment < self.ends_at


@dataclass(frozen=True)
class AccessFacts:
    """What is stored about a member of staff and about a client's care team.

    `is_denied` says that they must not see the client.
    """

    user_id: UUID
    role: str
    disabled_at: datetime | None
    is_denied: bool
    memberships: tuple[Membership, ...]


@dataclass(frozen=True)
class Ground:
    """One ground for or against access, as a code and a sentence; some only tell what was, or what else they see."""

    code: str
    text: str


ALLOWING = {"coach", "cover", "supervisor", "reader"}
DENYING = {"disabled", "admin", "denied"}
"""The codes of grounds that open a case, and of those that keep it closed whatever opens it."""


def list_grounds(facts: AccessFacts, moment: datetime) -> list[Ground]:
    """List every ground for and against that somebody opens a case at a moment, those that deny first."""
    found = []
    if facts.disabled_at is not None:
        text = (
            f"Their account was disabled on {_day(facts.disabled_at)}, so it can’t open anything."
        )
        found.append(Ground("disabled", text))
    if facts.role == Role.ADMIN:
        found.append(Ground("admin", "Admins can’t open client records."))
    if facts.is_denied:
        found.append(Ground("denied", "It is recorded that they must not see this client."))
    for each in facts.memberships:
        found += _list_of(each, facts, moment)
    if not {ground.code for ground in found} & ALLOWING:
        text = "They aren’t the client’s coach now, and don’t supervise that coach."
        found.append(Ground("no_membership", text))
    return found


def may_open(grounds: list[Ground]) -> bool:
    """Tell whether somebody may open the case, by all grounds for and against."""
    codes = {ground.code for ground in grounds}
    return bool(codes & ALLOWING) and not codes & DENYING


def _list_of(found: Membership, facts: AccessFacts, moment: datetime) -> list[Ground]:
    span = f"since {_day(found.starts_at)}"
    if found.starts_at > moment:
        span = f"from {_day(found.starts_at)} on"
    elif found.ends_at != ENDLESS:
        span = f"from {_day(found.starts_at)} to {_day(found.ends_at)}"
    is_own, is_current = found.user_id == facts.user_id, found.is_current(moment)
    supervises = facts.role == Role.SUPERVISOR and found.supervisor_id == facts.user_id
    if found.role == COACH and is_own:
        return [Ground("coach" if is_current else "not_now", f"The client’s coach {span}.")]
    if found.role == COVER and is_own:
        return [Ground("cover" if is_current else "not_now", f"They cover for the coach {span}.")]
    if found.role == READER and is_own:
        text = f"They can read it using emergency access {span}, but not change it."
        return [Ground("reader" if is_current else "not_now", text)]
    if found.role == COACH and supervises:
        text = f"They supervise {found.name}, the client’s coach {span}."
        return [Ground("supervisor" if is_current else "not_now", text)]
    if found.role in LIMITED_ROLES and is_own and is_current:
        return [Ground(found.role, f"{LIMITED_ROLES[found.role]} This applies {span}.")]
    return []


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
