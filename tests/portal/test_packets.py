"""Filled-in packets: answers are saved to each worksheet, and the client is told about those that are not."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.assignments.reading import get_reading_list_item
from caseapp.domain.worksheets.queries import get_client_worksheet, get_shared_summaries
from caseapp.http.template_helpers import MESSAGES
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import PAGE, assign, form, text, upload, write
from tests.support import builders, portal_client
from tests.support.portal_client import sign_in_client

pytestmark = pytest.mark.pdf

LIMITS_PAGE = "/portal/h/2"
READ_HERE, READ_OTHERS, NOT_READ = (
    MESSAGES[code] for code in ("answers_read", "other_answers_read", "other_worksheet_unread")
)
FILLED = {"1_what_happened": "Rang twice.", "1_body_signs.1": True, "2_my_limit": "Not after nine."}


@pytest.fixture
def reader(app, coach):
    """Sign in a client with two worksheets and one handout to read; return their browser and their ids."""
    visitor, found = sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    for slug in (sample_files.PAUSE, sample_files.LIMITS, "help-right-now"):
        assign(coach, found, slug)
    return visitor, found


def filled_packet(visitor, values):
    """Return the PDF of the whole reading list, filled in."""
    return sample_files.filled(visitor.get("/portal/reading-all.pdf").data, values)


def client_and_assignment(found, position):
    db.session.rollback()
    client = portal_client.reader(found.client_id, "Ines")
    return client, get_reading_list_item(client, position)


def saved_answers(found, position):
    return get_client_worksheet(*client_and_assignment(found, position)).answers


def count_uploads():
    db.session.rollback()
    return db.session.scalar(sa.text("SELECT count(*) FROM worksheet_upload"))


@pytest.mark.parametrize("path", [PAGE, LIMITS_PAGE])
def test_packet_upload_from_any_worksheet_saves_answers_to_each(coach, reader, path):
    visitor, found = reader
    answer = upload(visitor, filled_packet(visitor, FILLED), path=path)
    assert (answer.status_code, answer.location) == (303, path)
    page = text(visitor.get(path))
    assert READ_HERE in page
    assert READ_OTHERS in page
    assert NOT_READ not in page
    assert saved_answers(found, 1) == {
        "what_happened": "Rang twice.",
        "body_signs": [1],
    }
    assert saved_answers(found, 2) == {"my_limit": "Not after nine."}
    assert (
        get_shared_summaries(
            coach, [client_and_assignment(found, position)[1].id for position in (1, 2)]
        )
        == {}
    )
    assert count_uploads() == 0


def test_packet_upload_with_blank_worksheets_does_not_mention_them(reader):
    visitor, found = reader
    upload(visitor, filled_packet(visitor, {"1_what_happened": "Rang twice."}))
    page = text(visitor.get(PAGE))
    assert READ_HERE in page
    assert READ_OTHERS not in page
    assert NOT_READ not in page
    assert saved_answers(found, 2) == {}


@pytest.mark.parametrize(
    "typed", [{"2_my_limit": "Not after nine."}, {"2_look_again": "x" * 400}], ids=["other", "long"]
)
def test_packet_upload_with_conflict_elsewhere_leaves_that_worksheet_and_says_so(reader, typed):
    visitor, found = reader
    fields = form(visitor.get(LIMITS_PAGE), f"{LIMITS_PAGE}/save") | {
        "answer_my_limit": "Typed here."
    }
    assert visitor.post(f"{LIMITS_PAGE}/save", data=fields).status_code == 303
    file = filled_packet(visitor, {"1_what_happened": "Rang twice."} | typed)
    upload(visitor, file)
    page = text(visitor.get(PAGE))
    assert READ_HERE in page
    assert READ_OTHERS not in page
    assert NOT_READ in page
    assert saved_answers(found, 1) == {"what_happened": "Rang twice."}
    assert saved_answers(found, 2) == {"my_limit": "Typed here."}
    there = upload(visitor, file, path=LIMITS_PAGE)
    assert there.status_code in {409, 422}
    assert "These are the answers from your file. They aren’t saved yet." in text(there)


def test_packet_upload_with_conflict_here_still_saves_the_others(reader):
    visitor, found = reader
    file = filled_packet(visitor, FILLED)
    write(visitor, what_happened="Typed here.")
    answer = upload(visitor, file)
    assert answer.status_code == 409
    assert "Saved so far: <span>Typed here.</span>" in text(answer)
    assert READ_OTHERS in text(answer)
    assert saved_answers(found, 1) == {"what_happened": "Typed here."}
    assert saved_answers(found, 2) == {"my_limit": "Not after nine."}


def test_packet_upload_with_withdrawn_worksheet_saves_its_answers_too(coach, reader):
    visitor, found = reader
    file = filled_packet(visitor, FILLED)
    withdrawn = client_and_assignment(found, 2)[1]
    with transaction():
        withdraw(coach, lock_assignment(coach, withdrawn.id), withdrawn.version)
    upload(visitor, file)
    page = text(visitor.get(PAGE))
    assert READ_HERE in page
    assert READ_OTHERS in page
    assert "Not after nine." in text(visitor.get(LIMITS_PAGE))


def test_packet_upload_to_a_worksheet_not_in_it_names_those_it_contains(coach, reader):
    visitor, found = reader
    file = filled_packet(visitor, FILLED)
    assign(coach, found, sample_files.REASONS)
    answer = upload(visitor, file, path="/portal/h/4")
    assert answer.status_code == 422
    titles = [
        sample_files.handout(slug).neutral_title
        for slug in (sample_files.LIMITS, sample_files.PAUSE)
    ]
    assert "This file belongs to " in text(answer)
    for title in titles:
        assert f"“{title}”" in text(answer)
    assert "Open one of those pages and upload it there." in text(answer)
    assert count_uploads() == 0
    assert saved_answers(found, 1) == saved_answers(found, 2) == {}


def test_reading_list_says_where_to_upload_a_packet(reader):
    visitor, _ = reader
    page = text(visitor.get("/portal"))
    assert "open one of its worksheets in this list and upload the PDF there" in page
