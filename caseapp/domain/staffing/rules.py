"""Rules for staffing: what keeps an account from being disabled, and who may take over. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.core.permissions import Role
from caseapp.domain.alerts.rules import is_supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.domain.alerts.schemas import StaffMember
    from caseapp.domain.staffing.queries import LockedMember

WITHOUT_CASE = "a client without a case"
NOT_ACTIVE = Reason(
    "not_active",
    "Only a coach or supervisor with an active account can be responsible for a client.",
    "Choose somebody else.",
)
SAME_PERSON = Reason(
    "same_person", "This person is handing over the client.", "Choose somebody else."
)
NO_SECOND = Reason(
    "no_second_person",
    "Nobody else could then release this client’s hold.",
    "Choose somebody with a supervisor, or first name another supervisor on the page of the hold.",
)
NO_SUPERVISOR = Reason(
    "not_a_supervisor",
    "Only a supervisor with an active account can supervise.",
    "Choose another active supervisor.",
)
OWN_SUPERVISOR = Reason(
    "own_supervisor", "Nobody can supervise themselves.", "Choose another supervisor."
)
SUPERVISOR_NEEDED = Reason(
    "supervisor_needed",
    "Only a supervisor can work without a supervisor.",
    "Choose another active supervisor.",
)


def check_disable(member: LockedMember, *, has_successor: bool) -> None:
    """Check that the account of a member of staff can be disabled.

    Raises RuleBroken.
    """
    numbers = [found.number or WITHOUT_CASE for found in member.clients]
    people = len(member.people)
    refuse_for(list_leaving_blockers(numbers, people, member.named, has_successor=has_successor))


def list_leaving_blockers(
    numbers: Sequence[str], people: int, named: Sequence[str] = (), *, has_successor: bool
) -> list[Reason]:
    """List why an account can't be disabled yet.

    `numbers` are the cases of the clients with an open hold, flag or follow-up for whom the person is responsible;
    `people` is how many members of staff they supervise; `named` are the cases in which only they could release a hold
    as the second person. An admin reads case numbers only.
    """
    reasons = []
    if numbers:
        reasons.append(
            Reason(
                "clients_left",
                "They are responsible for clients with an open hold, flag or follow-up: "
                f"{', '.join(numbers)}.",
                "A supervisor has to choose who takes over: Board, Hand over.",
            )
        )
    if named:
        reasons.append(
            Reason(
                "second_person",
                f"Nobody else could release a hold of these clients: {', '.join(named)}.",
                "Ask the coach to name another supervisor on the page of the hold, or give the coach a supervisor.",
            )
        )
    if people and not has_successor:
        reasons.append(
            Reason(
                "people_left",
                f"They supervise {'one person' if people == 1 else f'{people} people'}.",
                "Name another supervisor for them.",
            )
        )
    return reasons


def list_heir_faults(heir: StaffMember | None, leaver_id: UUID) -> list[Reason]:
    """List why somebody can't become responsible for a client of another person."""
    if heir is None or not heir.is_active or heir.role == Role.ADMIN:
        return [NOT_ACTIVE]
    return [SAME_PERSON] if heir.id == leaver_id else []


def list_hold_faults(
    hold: str | None, heir: StaffMember, *, lacks_second: bool, has_choice: bool
) -> list[Reason]:
    """List why somebody can't become the coach of a client with a hold: then nobody could release it.

    `hold` is the kind of the strictest open one. A supervisor can release a care hold of their own client.
    `lacks_second` tells whether there would be no second person, `has_choice` whether anybody in the practice who may
    be the coach has a supervisor: if not, the client is handed over, and listed as one without a second person.
    """
    is_needed = hold == "safety" or (hold == "care" and heir.role != Role.SUPERVISOR)
    return [NO_SECOND] if is_needed and lacks_second and has_choice else []


def list_supervisor_faults(supervisor: StaffMember | None, member: StaffMember) -> list[Reason]:
    """List why somebody, or nobody, can't supervise a member of staff."""
    if supervisor is None:
        return [] if member.role == Role.SUPERVISOR else [SUPERVISOR_NEEDED]
    if supervisor.id == member.id:
        return [OWN_SUPERVISOR]
    return [] if is_supervisor(supervisor) else [NO_SUPERVISOR]
