"""Races of changes of cases, clients, screenings and follow-ups."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.portal_access import lock_portal_access, redeem_link_or_card
from caseapp.domain.auth.portal_codes import invite_client, make_card
from caseapp.domain.cases import operations as cases
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseDetails, StageMove
from caseapp.domain.clients.operations import confirm_contact, update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.operations import complete_followup, create_followup
from caseapp.domain.followups.queries import lock_followup, open_kind
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.screening.circumstance_operations import end_circumstance
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.hold_operations import name_second_person, release_hold
from caseapp.domain.screening.operations import decide_proposals, record_screening, set_manual_flag
from caseapp.domain.screening.queries import list_flags, lock_hold
from caseapp.domain.screening.schemas import (
    CircumstanceEnd,
    Decisions,
    NewException,
    NewScreening,
)
from caseapp.domain.suitability.operations import allow_handout
from tests.domain.screening.hold_helpers import blockers, finish_tasks, only_hold
from tests.support import builders
from tests.support.followups import list_tasks, result_for

if TYPE_CHECKING:
    from collections.abc import Callable


from tests.guarantees.races.race import (
    CLOSING,
    NO_FACTS,
    ORDER,
    Race,
    Team,
    count,
    recording_urgent,
    version,
)


def moving(team: Team) -> Race:
    """Move a case on while an urgent screening is being recorded."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    move = StageMove("understand", "", {})
    return Race(
        recording_urgent(coach, made),
        lambda: cases.move_case(coach, lock_case(coach, made.case_id), move, version(made)),
        "hold_open",
    )


def closing(team: Team) -> Race:
    """Close a case while an urgent screening is being recorded."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    return Race(
        recording_urgent(coach, made),
        lambda: cases.close_case(coach, lock_case(coach, made.case_id), CLOSING, version(made)),
        "hold_open",
    )


def opening(team: Team) -> Race:
    """Open a case while another one is being opened for the same client."""
    coach, client_id = team["coach"], builders.client(team["coach"])

    def open_case() -> object:
        return cases.open_case(coach, lock_client(coach, client_id), NO_FACTS, coach_id=coach.id)

    return Race(open_case, open_case, "case_open")


def reopening(team: Team) -> Race:
    """Reopen a case while a new one is being opened for the same client."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    with transaction():
        cases.close_case(coach, lock_case(coach, made.case_id), CLOSING, version(made))
    return Race(
        lambda: cases.open_case(
            coach, lock_client(coach, made.client_id), NO_FACTS, coach_id=coach.id
        ),
        lambda: cases.reopen_case(coach, lock_case(coach, made.case_id), "Again", version(made)),
        "case_open",
    )


def clearing(team: Team) -> Race:
    """Clear the contact block while a court order is being recorded."""
    supervisor, made = team["supervisor"], builders.case(team["coach"])
    facts = CaseDetails({"spouse_contact_wish": "asked_for_none"}, "undecided", None)
    with transaction():
        case = lock_case(team["coach"], made.case_id)
        cases.update_case(team["coach"], case, facts, case.case.version)
    [flag] = list_flags(team["coach"], made.client_id)
    flag_id = flag.id
    db.session.rollback()

    def record_order() -> None:
        case = lock_case(team["coach"], made.case_id)
        cases.update_case(team["coach"], case, ORDER, case.case.version)

    return Race(
        record_order,
        lambda: cases.clear_case_flag(
            supervisor, lock_case(supervisor, made.case_id), flag_id, "It has ended"
        ),
        "order_in_force",
    )


def releasing(team: Team) -> Race:
    """Release a safety hold while another concern is being recorded."""
    coach, supervisor = team["coach"], team["supervisor"]
    with at(now() - timedelta(days=20)):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm=3)
    builders.screen(coach, made.client_id, days_ago=8)
    builders.screen(coach, made.client_id, days_ago=1)
    # None of the checks can be done before its time.
    finish_tasks(coach, made.client_id)
    hold = only_hold(made.client_id)
    hold_id, hold_version = hold.id, hold.version
    assert blockers(hold, supervisor) == []
    return Race(
        recording_urgent(coach, made),
        lambda: release_hold(supervisor, lock_hold(supervisor, hold_id), "Steady", hold_version),
        "screening_not_steady",
    )


def naming(team: Team) -> Race:
    """Name who releases a hold while another concern, perhaps by them, is being recorded."""
    coach, made = team["coach"], builders.case(team["coach"])
    builders.screen(coach, made.client_id, self_harm=3)
    hold = only_hold(made.client_id)
    hold_id, hold_version, supervisor = hold.id, hold.version, team["supervisor"]

    def name() -> None:
        name_second_person(coach, lock_hold(coach, hold_id), supervisor.id, hold_version)

    return Race(recording_urgent(coach, made), name, "stale")


def allowing(team: Team) -> Race:
    """Allow a handout in spite of a care hold while an urgent screening is being recorded."""
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, sleep=2)
    hold = only_hold(made.client_id)
    hold_id, hold_version = hold.id, hold.version
    new = NewException("my-reasons", made.case_id, "It keeps her from writing to him.")

    def allow() -> None:
        case = lock_case(supervisor, made.case_id)
        allow_handout(supervisor, case, hold_id, new, hold_version)

    return Race(recording_urgent(coach, made), allow, "safety_hold_open")


def updating(team: Team) -> Race:
    """Save a case's facts while they are being saved in another window."""
    coach, made = team["coach"], builders.case(team["coach"])
    found = version(made)

    def save() -> None:
        cases.update_case(coach, lock_case(coach, made.case_id), ORDER, found)

    return Race(save, save, "stale")


def updating_client(team: Team) -> Race:
    """Save a client's details while they are being saved in another window."""
    coach, client_id = team["coach"], builders.client(team["coach"])
    found = get_client_record(coach, client_id)

    def save(words: str) -> None:
        details = builders.details(found.name, preferred_name=words)
        update_client(coach, lock_client(coach, client_id), details, found.version)

    return Race(
        lambda: save("First"),
        lambda: save("Second"),
        "stale",
        lambda: get_client_record(coach, client_id).preferred_name == "First",
    )


def confirming(team: Team) -> Race:
    """Confirm the safe ways of contact while something unsafe is being recorded."""
    coach, client_id = team["coach"], builders.client(team["coach"])
    found = get_client_record(coach, client_id)
    return Race(
        lambda: set_manual_flag(coach, lock_client(coach, client_id), "unsafe_delivery"),
        lambda: confirm_contact(coach, lock_client(coach, client_id), found.version),
        "stale",
        lambda: get_client_record(coach, client_id).contact_confirmed_at is None,
    )


def screening(team: Team) -> Race:
    """Record an urgent screening while another one is being recorded: one hold, with the tasks of both episodes."""
    coach, made = team["coach"], builders.case(team["coach"])

    def adds_up() -> bool:
        db.session.rollback()
        history = get_safety_history(made.client_id)
        kinds = [open_kind(row, history.key) for row in list_tasks(made.client_id)]
        reasons = [len(hold.reasons) for hold in history.holds.values()]
        return (reasons, len(kinds), len(history.flags)) == ([2], 2 * len(set(kinds)), 1)

    record = recording_urgent(coach, made)
    return Race(record, record, holds=adds_up)


def deciding(team: Team) -> Race:
    """Decide that a lasting watch is no concern while a newer answer is being recorded."""
    coach = team["coach"]
    with at(now() - timedelta(days=14)):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, sleep="watch")
    well = NewScreening({"sleep": 0})
    decisions = Decisions(declined={"sleep": "Two short nights before an exam."})
    return Race(
        lambda: record_screening(coach, lock_client(coach, made.client_id), well),
        lambda: decide_proposals(coach, lock_client(coach, made.client_id), decisions),
        "not_proposed",
        lambda: get_safety_state(made.client_id).raised == {},
    )


def ending_a_circumstance(team: Team) -> Race:
    """End a circumstance while a client mentions it again."""
    coach, made = team["coach"], builders.case(team["coach"])
    builders.screen(coach, made.client_id, circumstances=["leaving"])
    mentioned_at = get_safety_state(made.client_id).circumstances["leaving"]
    again = NewScreening({}, circumstances=("leaving",))
    end = CircumstanceEnd("leaving", mentioned_at, "She has lived alone for four months now.")
    return Race(
        lambda: record_screening(coach, lock_client(coach, made.client_id), again),
        lambda: end_circumstance(coach, lock_client(coach, made.client_id), end),
        "circumstance_mentioned_again",
        lambda: [*get_safety_state(made.client_id).circumstances] == ["leaving"],
    )


def flagging(team: Team) -> Race:
    """Set a flag while it is being set: it is set once."""
    coach, made = team["coach"], builders.case(team["coach"])

    def set_flag() -> None:
        set_manual_flag(coach, lock_client(coach, made.client_id), "contact_block")

    return Race(
        set_flag, set_flag, holds=lambda: len(get_safety_history(made.client_id).flags) == 1
    )


def adding_a_task(team: Team) -> Race:
    """Add a follow-up while the same is being added: both are kept, since two tasks may have one name."""
    coach, made = team["coach"], builders.case(team["coach"])
    new = NewFollowUp("Call back", now())

    def add() -> None:
        create_followup(coach, lock_client(coach, made.client_id), new)

    return Race(add, add, holds=lambda: count(FollowUp, FollowUp.client_id == made.client_id) == 2)


def completing(team: Team) -> Race:
    """Complete a follow-up while somebody else completes it."""
    coach, made = team["coach"], builders.case(team["coach"])
    with transaction():
        task_id = create_followup(
            coach, lock_client(coach, made.client_id), NewFollowUp("Call back", now())
        )

    def complete() -> None:
        complete_followup(coach, lock_followup(coach, task_id), result_for("custom"), 1)

    return Race(complete, complete, "already_completed")


def unsafe_meanwhile(team: Team, made: builders.CaseIds) -> Callable[[], object]:
    """Return a function that records that nothing may be sent to a client."""
    coach, found = team["coach"], get_client_record(team["coach"], made.client_id)
    unsafe = builders.details(found.name, safe=SafeContact(("in_person",)))
    return lambda: update_client(coach, lock_client(coach, made.client_id), unsafe, found.version)


def inviting(team: Team) -> Race:
    """Invite a client to the portal while it is being recorded as unsafe."""
    coach, made = team["coach"], builders.case(team["coach"])
    return Race(
        unsafe_meanwhile(team, made),
        lambda: invite_client(coach, lock_client(coach, made.client_id)),
        "portal_not_safe",
    )


def carding(team: Team) -> Race:
    """Make the card for a client who had a PIN while the client is being recorded as unsafe."""
    coach, made = team["coach"], builders.case(team["coach"])
    with transaction():
        invite_client(coach, lock_client(coach, made.client_id))
        db.session.execute(sa.update(PortalAccess).values(first_signed_in_at=now()))
        invite_client(coach, lock_client(coach, made.client_id), "lost")
    supervisor = team["supervisor"]
    return Race(
        unsafe_meanwhile(team, made),
        lambda: make_card(supervisor, lock_client(supervisor, made.client_id)),
        "portal_not_safe",
    )


def entering(team: Team) -> Race:
    """Come into the portal with a card while the client is being recorded as unsafe."""
    coach, made = team["coach"], builders.case(team["coach"])
    with transaction():
        card = invite_client(coach, lock_client(coach, made.client_id)).card_code
    assert card is not None
    return Race(
        unsafe_meanwhile(team, made),
        lambda: redeem_link_or_card(lock_portal_access(card)),
        "unauthenticated",
    )


CASES = {
    "release_hold": releasing,
    "name_second_person": naming,
    "allow_handout": allowing,
    "move_case": moving,
    "close_case": closing,
    "open_case": opening,
    "reopen_case": reopening,
    "clear_case_flag": clearing,
    "update_case": updating,
    "update_client": updating_client,
    "confirm_contact": confirming,
    "record_screening": screening,
    "decide_proposals": deciding,
    "end_circumstance": ending_a_circumstance,
    "set_manual_flag": flagging,
    "create_followup": adding_a_task,
    "complete_followup": completing,
    "invite_client": inviting,
    "make_card": carding,
    "redeem_link_or_card": entering,
}
