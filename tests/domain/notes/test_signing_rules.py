"""Starting, changing, signing and discarding a note, without a database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.errors import Invalid, RuleBroken
from caseapp.domain.clients.queries import LockedClient
from caseapp.domain.notes.formats import FORMATS
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import LockedCaseForNote, LockedNote
from caseapp.domain.notes.records import DraftScreening, NoteRecord
from caseapp.domain.notes.rules import (
    check_discard,
    check_draft,
    check_new_note,
    check_sign,
    list_discard_blockers,
    list_draft_blockers,
    missing_for_signature,
)
from caseapp.domain.notes.schemas import NewNote
from caseapp.domain.screening.protocol import ITEMS, Level
from tests.support.contexts import CLIENT, COACH, KEY, NOW, client, complete

if TYPE_CHECKING:
    from collections.abc import Callable

    from caseapp.core.errors import Reason

KEYS = [item.key for item in ITEMS]
drafts = st.builds(
    DraftScreening,
    answers=st.dictionaries(
        st.sampled_from(KEYS), st.sampled_from([None, *map(int, Level)]), max_size=len(KEYS)
    )
    | st.fixed_dictionaries({key: st.sampled_from([None, *map(int, Level)]) for key in KEYS}),
    asked_alone=st.booleans(),
    actions_taken=st.sampled_from([(), ("gave_numbers",)]),
    comment=st.sampled_from(["", "Calm."]),
)


@st.composite
def notes(draw):
    """Draw a note in any format, with any sections, time and answers."""
    kind = draw(st.sampled_from([*FORMATS]))
    answers = draw(drafts)
    return NoteRecord(
        id=UUID(int=5),
        case_id=UUID(int=7),
        client_id=CLIENT,
        author_id=COACH,
        format=kind,
        session_at=NOW + timedelta(minutes=draw(st.integers(-60, 60))),
        minutes=50,
        modality="video",
        status=draw(st.sampled_from(["draft", "signed"])),
        sections={
            key: draw(st.sampled_from(["", "  ", "-", "\u200b", "Slept."]))
            for key in draw(st.sets(st.sampled_from([*FORMATS[kind]])))
        },
        screening_id=None,
        updated_at=NOW,
        signed_at=None,
        sha256=None,
        actual_session_at=NOW,
        actual_minutes=50,
        in_error=False,
        version=1,
        draft=answers,
    )


@dataclass(frozen=True)
class Locked(LockedNote):
    """A locked note whose text is in memory."""

    note: NoteRecord | None = None

    @property
    def record(self):
        """Return the note."""
        return self.note


def locked_note(note, moves=0):
    """Lock a note that was moved so often."""
    row = Note(status=note.status, sha256=note.sha256, moves=moves)
    return Locked(row, LockedClient(client(), KEY), note=note)


@pytest.mark.slow
@given(notes())
def test_note_is_signed_only_complete_in_the_past_and_with_answered_or_untouched_screening(note):
    locked = locked_note(note)
    complete_text = all(note.sections.get(key) == "Slept." for key in FORMATS[note.format])
    answered = not note.draft.unanswered and (
        note.draft.highest_level is not None or not (note.draft.comment or note.draft.actions_taken)
    )
    screening_done = not note.draft.touched or answered
    signable = complete_text and note.session_at <= NOW and screening_done
    problems = missing_for_signature(note, NOW, NOW.date())
    assert signable == (not problems)
    assert all(texts and all(text.endswith(".") for text in texts) for texts in problems.values())
    if note.status == "signed":
        with pytest.raises(RuleBroken):
            check_sign(locked, NOW, NOW.date())
    elif signable:
        check_sign(locked, NOW, NOW.date())
    else:
        with pytest.raises(Invalid) as refused:
            check_sign(locked, NOW, NOW.date())
        assert refused.value.fields == problems


@pytest.mark.slow
@given(notes(), st.integers(0, 2))
def test_draft_is_changed_while_unsigned_and_discarded_unless_it_was_moved_or_holds_a_concern(
    note, moves
):
    locked = locked_note(note, moves)
    signed, moved = note.status == "signed", moves > 0
    concern = (note.unrecorded_level or 0) >= Level.CONCERN
    cases: list[tuple[Callable[[LockedNote], None], list[Reason], bool]] = [
        (check_draft, list_draft_blockers(note), signed)
    ]
    for held in (False, True):
        listed = list_discard_blockers(note, was_moved=moved, is_held=held)
        refused = signed or moved or concern or held
        cases.append((partial(check_discard, is_held=held), listed, refused))
    for check, listed, refused in cases:
        assert complete(listed)
        assert bool(listed) == refused
        if refused:
            with pytest.raises(RuleBroken) as broken:
                check(locked)
            assert [*broken.value.reasons] == listed
        else:
            check(locked)


def test_note_is_started_in_an_open_case_only():
    case = LockedCaseForNote(UUID(int=7), "C-2026-0001", "open", CLIENT, "Ines", KEY)
    new = NewNote("dap", NOW, 50, "video")
    check_new_note(case, new)
    with pytest.raises(RuleBroken) as refused:
        check_new_note(replace(case, status="closed"), new)
    assert complete(refused.value.reasons)
