"""Rules for staffing: what keeps an account from being disabled, and who may take over. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import NotFound, Reason, refuse_for
from caseapp.core.permissions import Action, Role
from caseapp.domain.alerts.rules import is_supervisor
from caseapp.domain.clients.codes import EMERGENCY_HOURS, MOST_EMERGENCIES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.alerts.schemas import StaffMember
    from caseapp.domain.staffing.denials import LockedAccess
    from caseapp.domain.staffing.emergencies import LockedEmergency
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
    "Choose somebody with a supervisor, or first name another supervisor on the hold page.",
)
NO_SUPERVISOR = Reason(
    "not_a_supervisor",
    "Only a supervisor with an active account can supervise.",
    "Choose another active supervisor.",
)
OWN_SUPERVISOR = Reason(
    "own_supervisor", "Nobody can supervise themselves.", "Choose another supervisor."
)
NOT_STAFF = Reason("not_staff", "There is no such member of staff.", "Choose somebody else.")
OWN_DENIAL = Reason(
    "own_denial",
    "Nobody can record this about themselves.",
    "Ask another supervisor or an admin to record it.",
)
COACHES_CLIENT = Reason(
    "coaches_client",
    "This person coaches the client.",
    "Hand over the client to somebody else first: Board, Hand over.",
)
ALREADY_DENIED = Reason(
    "already_denied",
    "It is already recorded that this person must not see the client.",
    "There is nothing to do.",
)
SEES_CLIENT = Reason(
    "sees_client", "You can already read this client’s record.", "Open it under Cases."
)
TOO_MANY_EMERGENCIES = Reason(
    "too_many_emergencies",
    f"You have used emergency access {MOST_EMERGENCIES} times in the last {EMERGENCY_HOURS} hours.",
    "Ask the client’s coach or their supervisor.",
)
REVIEWED = Reason("reviewed", "This access has already been reviewed.", "There is nothing to do.")
SUPERVISOR_NEEDED = Reason(
    "supervisor_needed",
    "Only a supervisor can work without a supervisor.",
    "Choose another active supervisor.",
)
NONE_NEEDED = Reason("none_needed", "An admin has no supervisor.", "Leave the supervisor empty.")


LAST_ADMIN = Reason(
    "last_admin",
    "There is no other admin who can sign in.",
    "Make somebody else an admin first.",
)
NO_COACH = Reason(
    "not_a_coach",
    "Only a coach’s notes can need a co-signature.",
    "Leave this as it is, or make them a coach first.",
)
ACTIVE = Reason("active", "The account is not disabled.", "There is nothing to do.")


def check_role(
    member: LockedMember, role: str, hidden: Collection[UUID], *, has_successor: bool
) -> None:
    """Check that a member of staff can have another role; `hidden` are clients whom the actor must not see.

    Raises RuleBroken.
    """
    leaving = _list_leaving(member, hidden, has_successor=has_successor)
    refuse_for(
        list_role_blockers(member.user.role, role, leaving, is_last_admin=member.is_last_admin)
    )


def list_role_blockers(
    before: str, after: str, leaving: Sequence[Reason], *, is_last_admin: bool
) -> list[Reason]:
    """List why somebody can't have another role yet; `leaving` is what keeps their account from being disabled.

    An admin sees no client, so nobody becomes one with clients in need. A supervisor who becomes a coach keeps theirs,
    but supervises nobody any more and can't release a hold as the second person.
    """
    if before == after:
        return []
    if before == Role.ADMIN:
        return [LAST_ADMIN] if is_last_admin else []
    if after == Role.ADMIN:
        return [*leaving]
    if before == Role.SUPERVISOR:
        return [reason for reason in leaving if reason.code != "clients_left"]
    return []


def decides_cosignature(actor: Actor, supervisor_id: UUID | None) -> bool:
    """Tell whether an actor decides if somebody's notes need a co-signature: an admin, or the person's own supervisor.

    Awaiting sign-off.
    """
    return actor.may(Action.COSIGNATURE_SET) and (
        actor.role == Role.ADMIN or supervisor_id == actor.id
    )


def check_cosignature(actor: Actor, member: LockedMember, *, needed: bool) -> None:
    """Check that an actor decides whether a member of staff needs a co-signature, and that somebody can need one.

    Raises NotFound for a supervisor of others, and RuleBroken for anybody but a coach.
    """
    if not decides_cosignature(actor, member.user.supervisor_id):
        raise NotFound
    refuse_for([NO_COACH] if needed and member.user.role != Role.COACH else [])


def check_disable(member: LockedMember, hidden: Collection[UUID], *, has_successor: bool) -> None:
    """Check that the account of a member of staff can be disabled; `hidden` are clients whom the actor must not see.

    Raises RuleBroken.
    """
    found = _list_leaving(member, hidden, has_successor=has_successor)
    refuse_for([*found, LAST_ADMIN] if member.is_last_admin else found)


def _list_leaving(
    member: LockedMember, hidden: Collection[UUID], *, has_successor: bool
) -> list[Reason]:
    return list_leaving_blockers(
        list_numbers(member.numbers, hidden),
        len(member.people),
        list_numbers(member.named, hidden),
        has_successor=has_successor,
    )


def list_numbers(cases: Mapping[UUID, str], hidden: Collection[UUID]) -> list[str]:
    """List the case numbers of some clients for whoever reads them; the `hidden` clients are only counted."""
    shown = [number for client_id, number in cases.items() if client_id not in hidden]
    left = len(cases) - len(shown)
    return [*shown, f"{left} not shown"] if left else shown


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
                f"Nobody else could release a hold for these clients: {', '.join(named)}.",
                "Ask the coach to name another supervisor on the hold page, or give the coach a supervisor.",
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


def check_emergency(access: LockedAccess, actor_id: UUID, opened: int, *, is_open: bool) -> None:
    """Check that somebody can open a client's record by emergency access.

    `opened` is how often they did so in the last EMERGENCY_HOURS, `is_open` whether they can read the record by one
    now. Raises RuleBroken.
    """
    refuse_for(list_emergency_faults(actor_id, access.viewers, opened, is_open=is_open))


def list_emergency_faults(
    actor_id: UUID, viewers: Collection[UUID], opened: int, *, is_open: bool
) -> list[Reason]:
    """List why somebody can't open a client's record by emergency access; `viewers` see it anyway."""
    if is_open or actor_id in viewers:
        return [SEES_CLIENT]
    return [TOO_MANY_EMERGENCIES] if opened >= MOST_EMERGENCIES else []


def check_review(emergency: LockedEmergency) -> None:
    """Check that nobody has reviewed an emergency access.

    Raises RuleBroken.
    """
    refuse_for([REVIEWED] if emergency.row.reviewed_at else [])


def list_supervisor_faults(supervisor: StaffMember | None, member: StaffMember) -> list[Reason]:
    """List why somebody, or nobody, can't supervise a member of staff."""
    if supervisor is None:
        return [SUPERVISOR_NEEDED] if member.role == Role.COACH else []
    if member.role == Role.ADMIN:
        return [NONE_NEEDED]
    if supervisor.id == member.id:
        return [OWN_SUPERVISOR]
    return [] if is_supervisor(supervisor) else [NO_SUPERVISOR]


def check_denial(access: LockedAccess, user_id: UUID, actor_id: UUID) -> None:
    """Check that an actor can record that somebody must not see a client.

    Raises RuleBroken.
    """
    refuse_for(list_denial_faults(user_id, actor_id, access.people, access.coaches, access.denied))


def list_denial_faults(
    user_id: UUID,
    actor_id: UUID,
    people: Collection[UUID],
    coaches: Collection[UUID],
    denied: Collection[UUID],
) -> list[Reason]:
    """List why an actor can't record that somebody must not see a client.

    `people` are the staff of the practice, `coaches` those of the client, `denied` whoever must not see the client now.
    Nobody decides about themselves, and a coach has to hand over the client first.
    """
    if user_id not in people:
        return [NOT_STAFF]
    if user_id == actor_id:
        return [OWN_DENIAL]
    if user_id in coaches:
        return [COACHES_CLIENT]
    return [ALREADY_DENIED] if user_id in denied else []
