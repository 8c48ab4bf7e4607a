"""The earlier texts of a draft: kept now and then, restored, and gone with the draft."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.notes.codes import MAX_REVISIONS, REVISE_EVERY
from caseapp.domain.notes.models import NoteRevision
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import discard_draft, save_draft, sign_note
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.revision_operations import restore_text
from caseapp.domain.notes.revision_queries import get_own_draft, list_revisions
from caseapp.domain.notes.revision_rules import may_be_kept
from caseapp.domain.notes.schemas import DraftChange, NewNoteMove
from tests.domain.notes.test_plans import note
from tests.support import builders

START = datetime(2026, 11, 20, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("before", "after", "passed", "kept"),
    [
        ("A", "B", REVISE_EVERY, True),
        ("A", "B", REVISE_EVERY - SECOND, False),
        ("A", "A", REVISE_EVERY, False),
        ("", "B", REVISE_EVERY, False),
        ("A", "", REVISE_EVERY, True),
    ],
)
def test_replaced_text_is_kept_at_most_every_two_minutes(before, after, passed, kept):
    found = may_be_kept(note(plan=before), note(plan=after), START, START + passed)
    assert found is kept


def texts(coach, note_id):
    found = list_revisions(coach, get_own_draft(coach, note_id))
    return [revision.sections["plan"] for revision in found]


def count():
    return db.session.scalar(sa.select(sa.func.count()).select_from(NoteRevision))


@pytest.mark.both
def test_autosaved_text_comes_back_and_nothing_is_lost(team):
    coach, start = team["coach"], now()
    case = builders.case(coach)
    with at(start):
        note_id = builders.draft(coach, case.case_id, {"plan": "First."})
    saves = [(60, "Second."), (130, "Third."), (131, "Fourth."), (3600, ""), (3601, "Typo")]
    for version, (seconds, plan) in enumerate(saves, 1):
        with at(start + seconds * SECOND), transaction():
            change = DraftChange(sections={"plan": plan})
            save_draft(coach, lock_note(coach, note_id), change, version)
    assert texts(coach, note_id) == ["Fourth.", "Second."]
    [wanted, _] = list_revisions(coach, get_own_draft(coach, note_id))
    with at(start + 3602 * SECOND), transaction():
        assert restore_text(coach, lock_note(coach, note_id), wanted.id, 6) == 7
    assert get_note(coach, note_id).sections["plan"] == "Fourth."
    assert texts(coach, note_id) == ["Typo", "Fourth.", "Second."]
    with transaction():
        assert restore_text(coach, lock_note(coach, note_id), wanted.id, 7) == 7
    other = builders.draft(coach, case.case_id)
    with pytest.raises(NotFound), transaction():
        restore_text(coach, lock_note(coach, other), wanted.id, 1)


@pytest.mark.slow
@pytest.mark.both
def test_earlier_texts_follow_a_moved_draft_and_go_when_it_is_signed_or_discarded(team):
    coach = team["coach"]
    case, right = builders.case(coach), builders.case(coach)
    moved, discarded = (builders.revised_draft(coach, case.case_id) for _ in range(2))
    with pytest.raises(NotFound):
        get_own_draft(team["supervisor"], moved)
    before = texts(coach, moved)
    assert len(before) == 2
    with transaction():
        why = NewNoteMove("The wrong case was open.")
        move_note(coach, lock_note_move(coach, moved, right.number), why, 3)
    assert texts(coach, moved) == before
    with transaction():
        discard_draft(coach, lock_note(coach, discarded), 3)
    assert count() == 2
    [wanted, _] = list_revisions(coach, get_own_draft(coach, moved))
    with transaction():
        sign_note(coach, lock_note(coach, moved), 4)
    assert count() == 0
    with pytest.raises(NotFound):
        get_own_draft(coach, moved)
    with pytest.raises(RuleBroken), transaction():
        restore_text(coach, lock_note(coach, moved), wanted.id, 5)


@pytest.mark.both
def test_only_the_newest_texts_are_kept(team, monkeypatch):
    monkeypatch.setattr("caseapp.domain.notes.revision_operations.MAX_REVISIONS", 2)
    coach, start = team["coach"], now()
    with at(start):
        note_id = builders.draft(coach, builders.case(coach).case_id, {"plan": "0"})
    for version in range(1, 5):
        with at(start + version * REVISE_EVERY), transaction():
            change = DraftChange(sections={"plan": str(version)})
            save_draft(coach, lock_note(coach, note_id), change, version)
    assert texts(coach, note_id) == ["3", "2"]
    assert MAX_REVISIONS > 2
