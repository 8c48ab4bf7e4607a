"""Many who write the same records at once lose nothing, and one request that is sent many times makes one record."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from itertools import product

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import Stale
from caseapp.core.transaction import transaction
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.operations import save_draft
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.schemas import DraftChange
from tests.api.api_client import program
from tests.support import builders
from tests.support.concurrency import run_concurrently
from tests.support.depth import ROUNDS

pytestmark = [pytest.mark.both, pytest.mark.slow]

# How many write, how often each of them, and how many records they share.
WRITERS, TURNS, RECORDS = (50, 200, 10) if ROUNDS > 1 else (8, 6, 2)
SENDERS = 100


def add_word(actor, note_id, word):
    """Add a word to a draft as a window does: read it, change it, and begin again if somebody else was first."""
    while True:
        db.session.rollback()
        found = get_note(actor, note_id)
        change = DraftChange(sections={"data": f"{found.sections.get('data', '')} {word}".strip()})
        try:
            with transaction():
                save_draft(actor, lock_note(actor, note_id), change, found.version)
        except Stale:
            continue
        return


@pytest.mark.soak
def test_writers_at_once_lose_no_update(app, team):
    coach = team["coach"]
    case_id = builders.case(coach).case_id
    drafts = [builders.draft(coach, case_id, {}) for _ in range(RECORDS)]

    def write(number):
        for turn in range(TURNS):
            add_word(coach, drafts[(number + turn) % RECORDS], f"{number}.{turn}")

    assert run_concurrently(app, WRITERS, write) == [None] * WRITERS
    db.session.rollback()
    found = [get_note(coach, note_id) for note_id in drafts]
    written = Counter(word for note in found for word in note.sections["data"].split())
    assert written == Counter(
        f"{who}.{turn}" for who, turn in product(range(WRITERS), range(TURNS))
    )
    assert sum(note.version - 1 for note in found) == WRITERS * TURNS


def test_request_sent_many_times_at_once_makes_one_record(app, team):
    coach = program(app, team["coach"])
    path = f"/cases/{builders.case(coach.actor).case_id}/notes"
    new = {"format": "free", "session_at": "2026-01-02T10:00:00Z", "sections": {"text": "Rested."}}

    def send(_number):
        mine = replace(coach, client=app.test_client())
        answer = mine.post(path, new, idempotency_key="the-same-one")
        return answer.status_code, answer.get_json().get("id")

    answers = Counter(run_concurrently(app, SENDERS, send))
    [(status, note_id)] = answers
    assert status == HTTPStatus.CREATED
    db.session.rollback()
    assert [str(found) for found in db.session.scalars(sa.select(Note.id))] == [note_id]
