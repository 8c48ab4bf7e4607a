"""REC-16: a client's request to correct a note is answered in time, by a correction or a reason; all of it stays."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from caseapp.core import pdf
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import reads_recorded
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.dashboard.copy_operations import make_copy
from caseapp.domain.dashboard.copy_schemas import NewCopy, make_passphrase
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.dashboard.record_printing import make_record_pdf
from caseapp.domain.dashboard.timeline_filter import EVERYTHING
from caseapp.domain.notes.amendment_operations import (
    REQUESTED,
    accept_request,
    decline_request,
    record_request,
)
from caseapp.domain.notes.amendment_queries import get_amendments, list_waiting_amendments
from caseapp.domain.notes.amendment_rules import (
    find_due,
    find_request_faults,
    list_answer_blockers,
    list_request_blockers,
)
from caseapp.domain.notes.amendment_schemas import NewAmendmentRequest
from caseapp.domain.notes.move_queries import list_moved_away
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.practice.queries import today
from tests.domain.notes.test_addenda import stored
from tests.domain.notes.test_moves import move
from tests.support import builders

AUTHOR, COACH, OTHER = (UUID(int=number) for number in (1, 2, 3))
DAY = date(2026, 5, 14)
WORDS = "I never said that I slept six hours."
REASON = "The log of that week says six hours."
OPEN: Any = SimpleNamespace(state="open", seq=1)
DECLINED: Any = SimpleNamespace(state="declined", seq=1)


@pytest.mark.parametrize(
    ("changed", "requests", "codes"),
    [
        ({}, [], []),
        ({}, [DECLINED], []),
        ({"is_as_signed": False}, [], []),
        ({"status": "draft"}, [], ["note_not_signed"]),
        ({"in_error": True}, [], ["note_in_error"]),
        ({}, [DECLINED, OPEN], ["amendment_open"]),
    ],
)
def test_one_request_at_a_time_about_a_signed_note(changed, requests, codes):
    note: Any = SimpleNamespace(**{"status": "signed", "in_error": False} | changed)
    assert [reason.code for reason in list_request_blockers(note, requests)] == codes


@pytest.mark.parametrize(
    ("requests", "who", "is_supervisor", "codes"),
    [
        ([OPEN], AUTHOR, False, []),
        ([OPEN], COACH, False, []),
        ([OPEN], OTHER, True, []),
        ([OPEN], OTHER, False, ["not_responsible_for_note"]),
        ([DECLINED], AUTHOR, True, ["no_open_amendment"]),
    ],
)
def test_author_coach_and_supervisor_answer_an_open_request(requests, who, is_supervisor, codes):
    note: Any = SimpleNamespace(author_id=AUTHOR)
    found = list_answer_blockers(note, requests, who, COACH, is_supervisor=is_supervisor)
    assert [reason.code for reason in found] == codes


def test_request_is_made_between_session_and_today_and_answered_within_thirty_days():
    for day, fields in ((-1, {"requested_on"}), (0, set()), (2, set()), (3, {"requested_on"})):
        new = NewAmendmentRequest(DAY + timedelta(days=day), WORDS)
        assert find_request_faults(new, DAY, DAY + timedelta(days=2)).keys() == fields
    # Thirty days of the practice, whatever its clocks do meanwhile.
    due = find_due(date(2026, 3, 20), "Europe/Berlin")
    assert due == datetime(2026, 4, 19, 21, 59, 59, tzinfo=UTC)


@pytest.fixture
def printed(monkeypatch):
    """Return the record on paper, and the pages and the JSON of a copy, as texts."""

    def render(html, *, archive=None, **_more):
        files = {each.name: each.content for each in archive.files} if archive else {}
        return json.dumps({"html": html, **files}).encode()

    monkeypatch.setattr(pdf, "render", render)

    def make(actor, case_id, number):
        db.session.rollback()
        with reads_recorded(actor):
            paper = make_record_pdf(actor, get_case_context(actor, case_id), EVERYTHING)
        wanted = NewCopy(EVERYTHING, "in_person", asked_alone=True, passphrase=make_passphrase())
        with reads_recorded(actor):
            copy = json.loads(make_copy(actor, number, wanted).content)
        return json.loads(paper)["html"], copy["html"], copy["record.json"]

    return make


@pytest.mark.both
@pytest.mark.slow
def test_declined_words_stay_with_the_note_and_an_accepted_request_is_a_correction(team, printed):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach, "Ines Okafor")
    note_id = builders.note(coach, made.case_id)
    before = stored(note_id)

    def change(actor, operation, *given):
        with transaction():
            return operation(actor, lock_note(actor, note_id), *given)

    new = NewAmendmentRequest(today(), WORDS)
    with pytest.raises(NotFound):
        change(team["coach2"], record_request, new)
    change(coach, record_request, new)
    with pytest.raises(RuleBroken):
        change(supervisor, record_request, new)
    for actor in (coach, supervisor):
        db.session.rollback()
        (waiting,) = list_waiting_amendments(actor, None, 5).items
        assert (waiting.note_id, waiting.number) == (note_id, made.number)
        assert timedelta(days=29) < waiting.due_at - now() <= timedelta(days=31)
        assert [item.id for item in get_today(actor).amendments] == [waiting.id]
    assert list_waiting_amendments(team["coach2"], None, 5).items == []
    for text in printed(coach, made.case_id, made.number):
        assert WORDS in text
    with pytest.raises(Stale):
        change(supervisor, decline_request, REASON, 2)
    change(supervisor, decline_request, REASON, 1)
    with pytest.raises(RuleBroken):
        change(coach, accept_request, "She slept four.", 1)
    assert list_waiting_amendments(coach, None, 5).items == []
    for text in printed(coach, made.case_id, made.number):
        assert WORDS in text
        assert REASON in text
    change(coach, record_request, NewAmendmentRequest(today(), "It was four hours."))
    corrected = change(coach, accept_request, "She slept four.", 2)
    (addendum,) = corrected.addenda
    assert (addendum.kind, addendum.text) == ("correction", "She slept four.")
    assert addendum.reason == REQUESTED
    db.session.rollback()
    found = get_amendments(coach, note_id)
    assert [each.state for each in found.requests] == ["declined", "accepted"]
    assert found.requests[1].addendum_id == addendum.id
    assert stored(note_id) == before
    assert get_note(coach, note_id).is_as_signed


@pytest.mark.slow
def test_correction_goes_along_with_a_moved_note_and_what_the_client_said_stays(team, printed):
    coach, supervisor = team["coach"], team["supervisor"]
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tom Vale")
    note_id = builders.note(coach, made.case_id)
    for operation, *given in (
        (record_request, NewAmendmentRequest(today(), WORDS)),
        (decline_request, REASON, 1),
        (record_request, NewAmendmentRequest(today(), "It was four hours.")),
        (accept_request, "She slept four.", 2),
    ):
        with transaction():
            operation(supervisor, lock_note(supervisor, note_id), *given)
    said = (WORDS, REASON, "It was four hours.")
    move(coach, note_id, other)
    db.session.rollback()
    assert get_amendments(coach, note_id).requests == ()
    [addendum] = get_note(coach, note_id).addenda
    assert (addendum.text, addendum.signed_elsewhere) == ("She slept four.", True)
    [left] = list_moved_away(made.case_id)
    assert [each.state for each in left.requests] == ["declined", "accepted"]
    for text in printed(coach, other.case_id, other.number):
        assert "She slept four." in text
        assert not any(words in text for words in said)
    for text in printed(coach, made.case_id, made.number):
        assert "She slept four." not in text
        assert all(words in text for words in said)
    # Moved back, the note shows the requests again.
    move(coach, note_id, made)
    db.session.rollback()
    assert [each.words for each in get_amendments(coach, note_id).requests] == [WORDS, said[2]]
    assert [each.requests for each in list_moved_away(made.case_id)] == [()]
    assert not get_note(coach, note_id).addenda[0].signed_elsewhere
