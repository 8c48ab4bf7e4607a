"""Races of changes of notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.cases import operations as cases
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.followups.operations import complete_followup
from caseapp.domain.followups.queries import list_client_followups, lock_followup
from caseapp.domain.notes.copied_operations import confirm_copied, copy_rest
from caseapp.domain.notes.cosign_operations import cosign_note, return_note
from caseapp.domain.notes.left_draft_operations import file_draft
from caseapp.domain.notes.left_draft_queries import lock_left_draft
from caseapp.domain.notes.models import NoteMove
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import (
    add_addendum,
    create_note,
    discard_draft,
    mark_screening_in_error,
    record_draft_screening,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.plan_operations import bring_plan_forward
from caseapp.domain.notes.queries import lock_case_for_note, lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.revision_operations import restore_text
from caseapp.domain.notes.revision_queries import get_own_draft, list_revisions
from caseapp.domain.notes.schemas import DraftChange, NewAddendum, NewNote, NewNoteMove
from caseapp.domain.notes.snippet_operations import insert_snippet, save_snippet
from caseapp.domain.notes.snippet_schemas import SnippetText
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import lock_process_note
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import lock_screening
from caseapp.domain.staffing.members import enable_member
from caseapp.domain.staffing.queries import lock_member
from caseapp.domain.users.models import User
from tests.support import builders, staff
from tests.support.followups import result_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from caseapp.domain.notes.queries import LockedNote

from tests.guarantees.races.race import CLOSING, Race, Team, count, version

WRONG_CASE = NewNoteMove("The wrong case was open.")
WHY_FILED = "It is all there is of that session."


def starting_a_note(team: Team) -> Race:
    """Start a note while the case is being closed."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    new = NewNote("dap", now(), 50, "video", {})
    return Race(
        lambda: cases.close_case(coach, lock_case(coach, made.case_id), CLOSING, version(made)),
        lambda: create_note(coach, lock_case_for_note(coach, made.case_id), new),
        "case_closed",
    )


def signed_meanwhile(team: Team, change: Callable[[LockedNote], object]) -> Race:
    """Change a complete draft while its author signs it in another window."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    note_id = builders.draft(coach, made.case_id, levels={item.key: 0 for item in ITEMS})
    return Race(
        lambda: sign_note(coach, lock_note(coach, note_id), 2),
        lambda: change(lock_note(coach, note_id)),
        "note_signed",
    )


def saving_a_process_note(team: Team) -> Race:
    """Save a process note for the first time while its author does in another window."""
    coach, made = team["coach"], builders.case(team["coach"])

    def save() -> None:
        save_process_note(coach, lock_process_note(coach, made.number), "I dread this.", 0)

    return Race(save, save, "stale")


def saving_a_note(team: Team) -> Race:
    """Save a draft while it is being signed."""
    change = DraftChange(sections={"plan": "From this window"})
    return signed_meanwhile(team, lambda note: save_draft(team["coach"], note, change, 2))


def bringing_a_plan(team: Team) -> Race:
    """Bring the last plan into a draft while it is being signed."""
    return signed_meanwhile(team, lambda note: bring_plan_forward(team["coach"], note, 2))


def restoring_a_text(team: Team) -> Race:
    """Put an earlier text of a draft back while it is being signed, which deletes it."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    note_id = builders.revised_draft(coach, made.case_id)
    [revision, _] = list_revisions(coach, get_own_draft(coach, note_id))
    return Race(
        lambda: sign_note(coach, lock_note(coach, note_id), 3),
        lambda: restore_text(coach, lock_note(coach, note_id), revision.id, 3),
        "note_signed",
    )


def inserting_a_snippet(team: Team) -> Race:
    """Put a snippet into a draft while it is being signed."""
    coach = team["coach"]
    with transaction():
        snippet_id = save_snippet(coach, SnippetText("Sleep", "Slept well."), 0)
    return signed_meanwhile(team, lambda note: insert_snippet(coach, note, snippet_id, 2))


def copying_answers(team: Team) -> Race:
    """Copy the last answers into a draft while it is being signed."""
    return signed_meanwhile(team, lambda note: copy_rest(team["coach"], note, 2))


def confirming_answers(team: Team) -> Race:
    """Confirm copied answers of a draft while it is being signed."""
    return signed_meanwhile(team, lambda note: confirm_copied(team["coach"], note, 2))


def recording_from_a_note(team: Team) -> Race:
    """Record the screening of a draft while it is being signed, which records it too."""
    return signed_meanwhile(team, lambda note: record_draft_screening(team["coach"], note, 2))


def signing(team: Team) -> Race:
    """Sign a draft while it is being signed in another window."""
    return signed_meanwhile(team, lambda note: sign_note(team["coach"], note, 2))


def discarding(team: Team) -> Race:
    """Discard a draft while a concern is being saved in it."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    note_id = builders.draft(coach, made.case_id)
    concern = DraftChange(screening=DraftScreening({"sleep": 2}))
    return Race(
        lambda: save_draft(coach, lock_note(coach, note_id), concern, 1),
        lambda: discard_draft(coach, lock_note(coach, note_id), 2),
        "unrecorded_concern",
    )


def marking_in_error(team: Team) -> Race:
    """Mark a screening as recorded in error while a required action of it gets a result."""
    coach, made = team["coach"], builders.case(team["coach"])
    screening_id = builders.screen(coach, made.client_id, self_harm="urgent")
    tasks = list_client_followups(coach, made.client_id, open_only=True)
    task_id = next(task.id for task in tasks if task.kind == "emergency_steps")
    db.session.rollback()

    def complete() -> None:
        complete_followup(coach, lock_followup(coach, task_id), result_for("emergency_steps"), 1)

    def mark() -> None:
        mark_screening_in_error(coach, lock_screening(coach, screening_id), "She was never asked.")

    return Race(complete, mark, "action_has_result")


def adding_to_a_note(team: Team) -> Race:
    """Correct a signed note while its author marks it as entered in error in another window."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    note_id = builders.note(coach, made.case_id)
    error = NewAddendum("in_error", reason="Written for somebody else.")
    more = NewAddendum("addition", "She rang again in the evening.")
    return Race(
        lambda: add_addendum(coach, lock_note(coach, note_id), error),
        lambda: add_addendum(coach, lock_note(coach, note_id), more),
        "note_in_error",
    )


def moving_to_a_closed_case(team: Team) -> Race:
    """Move a note to a case that is being closed."""
    coach, made = team["coach"], builders.case(team["coach"])
    other = builders.steady_case(coach)
    note_id = builders.note(coach, made.case_id)
    return Race(
        lambda: cases.close_case(coach, lock_case(coach, other.case_id), CLOSING, version(other)),
        lambda: move_note(coach, lock_note_move(coach, note_id, other.number), WRONG_CASE, 2),
        "case_closed",
    )


def moving_twice(team: Team) -> Race:
    """Move a note to one client while somebody moves it to another one."""
    coach, supervisor = team["coach"], team["supervisor"]
    made, other, third = (builders.case(coach) for _ in range(3))
    note_id = builders.note(coach, made.case_id)
    return Race(
        lambda: move_note(coach, lock_note_move(coach, note_id, other.number), WRONG_CASE, 2),
        lambda: move_note(
            supervisor, lock_note_move(supervisor, note_id, third.number), WRONG_CASE, 2
        ),
        "stale",
        lambda: count(NoteMove, NoteMove.note_id == note_id) == 1,
    )


def cosigned_meanwhile(team: Team, change: Callable[[LockedNote], object]) -> Race:
    """Do something with a note that needs a co-signature while its supervisor co-signs it in another window."""
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.steady_case(coach)
    with builders.supervised(coach):
        note_id = builders.note(coach, made.case_id)
    return Race(
        lambda: cosign_note(supervisor, lock_note(supervisor, note_id), 2),
        lambda: change(lock_note(supervisor, note_id)),
        "already_cosigned",
    )


def cosigning(team: Team) -> Race:
    """Co-sign a note while it is being co-signed."""
    return cosigned_meanwhile(team, lambda note: cosign_note(team["supervisor"], note, 2))


def returning(team: Team) -> Race:
    """Return a note to its author while it is being co-signed."""
    comment = "Say who was in the room."
    return cosigned_meanwhile(team, lambda note: return_note(team["supervisor"], note, comment, 2))


def filing_a_left_draft(team: Team) -> Race:
    """File the draft of somebody who has left while an admin gives them their account back."""
    coach, supervisor = team["coach"], team["supervisor"]
    leaver = staff.add(f"leaver{count(User)}", role="coach", supervisor="supervisor")
    made = builders.case(coach)
    note_id = builders.left_draft(coach, leaver, made.case_id)
    return Race(
        lambda: enable_member(team["admin"], lock_member(leaver.id)),
        lambda: file_draft(supervisor, lock_left_draft(supervisor, note_id), WHY_FILED, 1),
        "not_found",
    )


NOTES = {
    "file_draft": filing_a_left_draft,
    "move_note": moving_to_a_closed_case,
    "add_addendum": adding_to_a_note,
    "cosign_note": cosigning,
    "return_note": returning,
    "mark_screening_in_error": marking_in_error,
    "create_note": starting_a_note,
    "save_process_note": saving_a_process_note,
    "save_draft": saving_a_note,
    "copy_rest": copying_answers,
    "confirm_copied": confirming_answers,
    "insert_snippet": inserting_a_snippet,
    "restore_text": restoring_a_text,
    "bring_plan_forward": bringing_a_plan,
    "record_draft_screening": recording_from_a_note,
    "sign_note": signing,
    "discard_draft": discarding,
}

MORE_NOTES = {"move_note, twice": moving_twice}
