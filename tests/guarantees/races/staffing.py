"""Races of handing over clients and disabling accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.models import Cover, Transfer
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import lock_followup
from caseapp.domain.practice.queries import today
from caseapp.domain.safety_plans.operations import complete_task
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.staffing.cover_operations import arrange_cover, end_cover, write_line
from caseapp.domain.staffing.cover_queries import (
    lock_caseload,
    lock_cover,
    lock_covered_client,
)
from caseapp.domain.staffing.cover_schemas import NewCover
from caseapp.domain.staffing.denial_operations import deny_access, end_denial
from caseapp.domain.staffing.denials import lock_access, lock_denial
from caseapp.domain.staffing.emergencies import lock_emergency, lock_reviewed_emergency
from caseapp.domain.staffing.emergency_operations import (
    end_emergency_access,
    open_emergency_access,
    review_emergency_access,
)
from caseapp.domain.staffing.members import change_role
from caseapp.domain.staffing.operations import change_supervisor, disable_member, hand_over
from caseapp.domain.staffing.queries import (
    list_responsibilities,
    lock_member,
    lock_members,
)
from caseapp.domain.staffing.schemas import NewDenial, NewEmergencyAccess
from caseapp.domain.staffing.transfer_operations import (
    accept_transfer,
    decline_transfer,
    offer_cases,
    undo_transfer,
    withdraw_transfer,
)
from caseapp.domain.staffing.transfer_queries import lock_transfer
from caseapp.domain.staffing.transfer_schemas import NewTransfer
from caseapp.domain.users.models import User
from tests.guarantees.races.race import Race, Team, count, recording_urgent
from tests.support import builders, staff
from tests.support.followups import find_tasks, result_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.staffing.transfer_queries import LockedTransfer


def _new_coach() -> Actor:
    """Add a coach whom the team's supervisor supervises, under a name that no race has used."""
    number = db.session.scalar(sa.select(sa.func.count()).select_from(User))
    leaver: Actor = staff.add(f"leaver{number}", role="coach", supervisor="supervisor")
    return leaver


def _supervisor_of(user_id: UUID) -> UUID | None:
    db.session.rollback()
    return db.session.scalar(sa.select(User.supervisor_id).where(User.id == user_id))


def handing_over(team: Team) -> Race:
    """Hand over a client while an urgent screening is being recorded: its follow-ups and marks move too."""
    supervisor, leaver, heir = team["supervisor"], _new_coach(), team["coach"]
    made = builders.case(leaver)
    builders.screen(leaver, made.client_id, sleep=2)

    def moved() -> bool:
        left = FollowUp.client_id == made.client_id, FollowUp.assigned_to == leaver.id
        open_ones = count(FollowUp, *left, FollowUp.completed_at.is_(None))
        marked = {mark.client_id for mark in list_marks(heir.id, HOLD_KINDS)}
        gone = not list_marks(leaver.id, HOLD_KINDS)
        return open_ones == 0 and made.client_id in marked and gone

    return Race(
        recording_urgent(leaver, made),
        lambda: hand_over(supervisor, lock_client(supervisor, made.client_id), leaver.id, heir.id),
        holds=moved,
    )


def disabling(team: Team) -> Race:
    """Disable a coach while they record an urgent screening: they stay, since they are responsible."""
    leaver = _new_coach()
    made = builders.case(leaver)
    return Race(
        recording_urgent(leaver, made),
        lambda: disable_member(operator(), lock_member(leaver.id), None),
        "clients_left",
        holds=lambda: len(list_responsibilities(leaver.id)) == 1,
    )


def changing_supervisor(team: Team) -> Race:
    """Give a coach another supervisor while a hold of their client opens: the new one sees it, the old one doesn't."""
    leaver, other = _new_coach(), _second_supervisor()
    made = builders.case(leaver)

    def change() -> None:
        change_supervisor(operator(), *lock_members(leaver.id, other.id))

    def marked(actor: Actor) -> bool:
        return made.client_id in {mark.client_id for mark in list_marks(actor.id, HOLD_KINDS)}

    return Race(
        recording_urgent(leaver, made),
        change,
        holds=lambda: (
            _supervisor_of(leaver.id) == other.id
            and marked(other)
            and not marked(team["supervisor"])
        ),
    )


def moving_decision(team: Team) -> Race:
    """Give a coach another supervisor while a client declines a plan: the new supervisor decides."""
    leaver, other = _new_coach(), _second_supervisor()
    made = builders.case(leaver)
    builders.screen(leaver, made.client_id, self_harm="urgent")
    [plan] = find_tasks(made.client_id, "safety_plan")

    def decline() -> None:
        new = result_for("safety_plan", "declined", "The client did not want any plan today.")
        task = lock_followup(leaver, plan.id)
        complete_task(leaver, task, new, task.row.version)

    def moved() -> bool:
        db.session.rollback()
        decisions = find_tasks(made.client_id, "declined_decision")
        return [decision.assigned_to for decision in decisions] == [other.id]

    return Race(
        decline,
        lambda: change_supervisor(operator(), *lock_members(leaver.id, other.id)),
        holds=moved,
    )


def becoming_admin(team: Team) -> Race:
    """Make a coach an admin while they record an urgent screening: they stay a coach, since they are responsible."""
    leaver = _new_coach()
    made = builders.case(leaver)
    return Race(
        recording_urgent(leaver, made),
        lambda: change_role(operator(), lock_member(leaver.id), "admin", None, None),
        "clients_left",
    )


def leaving_admins(team: Team) -> Race:
    """Disable one of two admins while the other one is being disabled: one of them stays."""
    number = db.session.scalar(sa.select(sa.func.count()).select_from(User))
    other: Actor = staff.add(f"other{number}", role="admin")
    return Race(
        lambda: disable_member(operator(), lock_member(other.id), None),
        lambda: disable_member(operator(), lock_member(team["admin"].id), None),
        "last_admin",
    )


def denying(team: Team) -> Race:
    """Record that somebody must not see a client while they become the coach: a coach has to hand over first."""
    supervisor, leaver, heir = team["supervisor"], _new_coach(), _new_coach()
    made = builders.case(leaver)
    return Race(
        lambda: hand_over(supervisor, lock_client(supervisor, made.client_id), leaver.id, heir.id),
        lambda: deny_access(
            supervisor,
            lock_access(supervisor, made.number),
            NewDenial(made.number, heir.id, "relative"),
        ),
        "coaches_client",
    )


def ending_denial(team: Team) -> Race:
    """Let somebody see a client again twice: the second finds nothing to end."""
    supervisor, denied = team["supervisor"], _new_coach()
    made = builders.case(team["coach"])
    with transaction():
        new = NewDenial(made.number, denied.id, "relative")
        denial_id = deny_access(supervisor, lock_access(supervisor, made.number), new)

    def end() -> None:
        end_denial(supervisor, lock_denial(supervisor, denial_id), "past")

    return Race(end, end, "not_found")


def reading_in_emergency(team: Team) -> Race:
    """Open a record by emergency access while it is recorded that one must not see it: there is no such case."""
    supervisor, reader = team["supervisor"], _new_coach()
    made = builders.case(team["coach"])
    new = NewEmergencyAccess(made.number, "contact", "She rang and nobody is here.")
    return Race(
        lambda: deny_access(
            supervisor,
            lock_access(supervisor, made.number),
            NewDenial(made.number, reader.id, "relative"),
        ),
        lambda: open_emergency_access(
            reader, lock_access(reader, made.number, Action.EMERGENCY_OPEN), new
        ),
        "invalid",
    )


def ending_emergency_access(team: Team) -> Race:
    """End an emergency access that ends in another window: it is over."""
    reader, made = _new_coach(), builders.case(team["coach"])
    # A race is prepared an hour ago; then it would be over.
    with at(now() + timedelta(minutes=30)):
        emergency_id = builders.read_in_emergency(reader, made.number)

    def end() -> None:
        end_emergency_access(reader, lock_emergency(reader, emergency_id))

    return Race(end, end, "not_found")


def reviewing(team: Team) -> Race:
    """Review an emergency access while another supervisor reviews it: the first one counts."""
    supervisor, reader, made = team["supervisor"], _new_coach(), builders.case(team["coach"])
    emergency_id = builders.read_in_emergency(reader, made.number)

    def review() -> None:
        review_emergency_access(
            supervisor, lock_reviewed_emergency(supervisor, emergency_id), "needed"
        )

    return Race(review, review, "reviewed")


def _second_supervisor() -> Actor:
    number = db.session.scalar(sa.select(sa.func.count()).select_from(User))
    second: Actor = staff.add(f"second{number}", role="supervisor")
    return second


def _cover(team: Team) -> tuple[Actor, Callable[[], UUID], builders.CaseIds]:
    """Return a new coach, a function that lets the team's coach cover all of their clients, and one of these."""
    coach, day = _new_coach(), today()
    made = builders.case(coach)
    wanted = NewCover(team["coach"].id, day, day, (), all=True)
    return coach, lambda: arrange_cover(coach, lock_caseload(coach, coach.id), wanted), made


def arranging(team: Team) -> Race:
    """Arrange the same cover twice: the second is refused."""
    coach, arrange, _ = _cover(team)
    return Race(
        arrange,
        arrange,
        "invalid",
        holds=lambda: count(Cover, Cover.coach_id == coach.id) == 1,
    )


def ending(team: Team) -> Race:
    """End a cover twice: it has already ended."""
    coach, arrange, _ = _cover(team)
    with transaction():
        cover_id = arrange()

    def end() -> None:
        end_cover(coach, lock_cover(coach, cover_id))

    return Race(end, end, "ended")


def writing_line(team: Team) -> Race:
    """Write the same line twice: the second has not read the first."""
    coach, arrange, made = _cover(team)
    with transaction():
        cover_id = arrange()

    def write() -> None:
        write_line(coach, lock_covered_client(coach, cover_id, made.client_id), "Ring her.", 1)

    return Race(write, write, "stale")


def _offer(team: Team) -> tuple[Actor, Actor, builders.CaseIds, Callable[[], None]]:
    """Return a new coach, the colleague, a client, and a function that offers the colleague this client."""
    coach, colleague = _new_coach(), team["coach"]
    made = builders.case(coach)
    wanted = NewTransfer(colleague.id, "other", (made.client_id,), all=False)
    return (
        coach,
        colleague,
        made,
        lambda: offer_cases(coach, lock_caseload(coach, coach.id), wanted),
    )


def _find_transfer(made: builders.CaseIds) -> UUID:
    return db.session.scalars(
        sa.select(Transfer.id).where(Transfer.client_id == made.client_id)
    ).one()


def offering(team: Team) -> Race:
    """Offer the same client twice: the second is refused."""
    _, _, made, offer = _offer(team)
    return Race(
        offer,
        offer,
        "invalid",
        holds=lambda: count(Transfer, Transfer.client_id == made.client_id) == 1,
    )


def _deciding(
    team: Team,
    second: Callable[[Actor, LockedTransfer], None],
    code: str,
    *,
    by_coach: bool = False,
    is_accepted: bool = False,
) -> Race:
    """Decide about an offer while its coach withdraws it, or undo a transfer while the colleague does."""
    coach, colleague, made, offer = _offer(team)
    with transaction():
        offer()
    transfer_id = _find_transfer(made)
    if is_accepted:
        with transaction():
            accept_transfer(colleague, lock_transfer(colleague, transfer_id))
    first = undo_transfer if is_accepted else withdraw_transfer
    who = coach if by_coach else colleague
    return Race(
        lambda: first(coach, lock_transfer(coach, transfer_id)),
        lambda: second(who, lock_transfer(who, transfer_id)),
        code,
    )


def accepting(team: Team) -> Race:
    """Accept an offer that is being withdrawn."""
    return _deciding(team, accept_transfer, "decided")


def accepting_denied(team: Team) -> Race:
    """Accept an offer while it is recorded that the colleague must not see the client: there is none for them."""
    _, colleague, made, offer = _offer(team)
    with transaction():
        offer()
    transfer_id, supervisor = _find_transfer(made), team["supervisor"]
    new = NewDenial(made.number, colleague.id, "relative")
    return Race(
        lambda: deny_access(supervisor, lock_access(supervisor, made.number), new),
        lambda: accept_transfer(colleague, lock_transfer(colleague, transfer_id)),
        "not_found",
    )


def declining(team: Team) -> Race:
    """Decline an offer that is being withdrawn."""
    return _deciding(team, decline_transfer, "decided")


def withdrawing(team: Team) -> Race:
    """Withdraw an offer twice."""
    return _deciding(team, withdraw_transfer, "decided", by_coach=True)


def undoing(team: Team) -> Race:
    """Undo a transfer twice."""
    return _deciding(team, undo_transfer, "not_accepted", is_accepted=True)


STAFFING: dict[str, Callable[[Team], Race]] = {
    "accept_transfer": accepting,
    "arrange_cover": arranging,
    "change_supervisor": changing_supervisor,
    "decline_transfer": declining,
    "deny_access": denying,
    "disable_member": disabling,
    "end_cover": ending,
    "end_denial": ending_denial,
    "end_emergency_access": ending_emergency_access,
    "hand_over": handing_over,
    "offer_cases": offering,
    "open_emergency_access": reading_in_emergency,
    "review_emergency_access": reviewing,
    "undo_transfer": undoing,
    "withdraw_transfer": withdrawing,
    "write_line": writing_line,
}

MORE: dict[str, Callable[[Team], Race]] = {
    "accept_transfer, denied": accepting_denied,
    "change_role": becoming_admin,
    "change_supervisor, decision": moving_decision,
    "disable_member, last admin": leaving_admins,
}
