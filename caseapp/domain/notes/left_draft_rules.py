"""Rules for the drafts of people who have left: what a supervisor files, and when. Pure functions.

A record stays complete when somebody leaves (REC-12); who may read and file what they left unsigned is a
product proposal that awaits sign-off.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.screening.protocol import ACTIONS_TAKEN

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.notes.left_draft_queries import LockedLeftDraft
    from caseapp.domain.notes.records import NoteRecord

SESSION_TO_COME = Reason(
    "session_to_come",
    "This draft is about a session that hasn’t begun yet.",
    "Wait until then: if the session doesn’t take place, file the draft and mark it as entered in error.",
)


def list_filing_blockers(note: NoteRecord, moment: datetime) -> list[Reason]:
    """List why the draft of somebody who has left can't be filed at a moment; empty when it can.

    Missing sections are no reason: nobody may fill them in for the author.
    """
    return [SESSION_TO_COME] if note.session_at > moment else []


def check_filing(draft: LockedLeftDraft, moment: datetime) -> None:
    """Check that the draft of somebody who has left can be filed at a moment.

    Raises RuleBroken.
    """
    refuse_for(list_filing_blockers(draft.note.record, moment))


def give_reason(note: NoteRecord, reason: str) -> NoteRecord:
    """Return a draft whose author didn't say why a level is much lower than before, and can't be asked.

    The reason of filing says it, below whatever the author wrote.
    """
    below = "\n".join(filter(None, (note.draft.below_reason, reason)))
    return replace(note, draft=replace(note.draft, below_reason=below))


def list_words_to_keep(note: NoteRecord) -> str:
    """Return what the draft says about a screening in which nothing was asked, which can't be recorded as one.

    It is kept with the note then, as the author left it.
    """
    draft = note.draft
    if draft.has_unrecorded:
        return ""
    taken = [ACTIONS_TAKEN[code] for code in draft.actions_taken]
    recorded = draft.recorded.draft if draft.recorded else None
    is_new = recorded is None or recorded.comment != draft.comment
    words = [draft.comment, f"Actions taken: {', '.join(taken)}." if taken else ""]
    kept = "\n".join(filter(None, words)) if is_new else ""
    return f"About a screening without answers, the draft says:\n{kept}" if kept else ""
