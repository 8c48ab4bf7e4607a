"""A pack that was filled in comes back: each sheet's answers to its own place, and nothing lost in silence."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.reading import get_reading_list_item
from caseapp.domain.worksheets.queries import get_client_worksheet, get_shared_summaries
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import PAGE, form, give, text, upload, write
from tests.support import builders
from tests.support.portal_client import inside

pytestmark = pytest.mark.pdf

LIMITS = "/portal/h/2"
HERE, OTHERS, LEFT = (
    "Your answers were read from the file",
    "The file held answers to other sheets as well.",
    "Another sheet in the file needs a look from you.",
)
FILLED = {"1_what_happened": "Rang twice.", "1_body_signs_1": True, "2_my_limit": "Not after nine."}


@pytest.fixture
def reader(app, coach):
    """Give a client inside the portal with two sheets to write in and one to read."""
    visitor, found = inside(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    for slug in (sample_files.PAUSE, sample_files.LIMITS, "help-right-now"):
        give(coach, found, slug)
    return visitor, found


def pack(visitor, values):
    """Save the list as one PDF and fill it in."""
    return sample_files.filled(visitor.get("/portal/reading-all.pdf").data, values)


def sheet(found, position):
    db.session.rollback()
    client = Actor(found.client_id, Role.CLIENT, "Ines", "portal")
    return client, get_reading_list_item(client, position)


def answers(found, position):
    return get_client_worksheet(*sheet(found, position)).answers


def kept():
    db.session.rollback()
    return db.session.scalar(sa.text("SELECT count(*) FROM worksheet_upload"))


@pytest.mark.parametrize("path", [PAGE, LIMITS])
def test_every_sheet_of_a_pack_is_read_wherever_it_is_sent_from(coach, reader, path):
    visitor, found = reader
    answer = upload(visitor, pack(visitor, FILLED), path=path)
    assert (answer.status_code, answer.location) == (303, path)
    page = text(visitor.get(path))
    assert HERE in page
    assert OTHERS in page
    assert LEFT not in page
    assert answers(found, 1) == {"what_happened": "Rang twice.", "body_signs": ["tight chest"]}
    assert answers(found, 2) == {"my_limit": "Not after nine."}
    assert get_shared_summaries(coach, [sheet(found, position)[1].id for position in (1, 2)]) == {}
    assert kept() == 0


def test_sheets_that_nobody_filled_in_are_not_mentioned(reader):
    visitor, found = reader
    upload(visitor, pack(visitor, {"1_what_happened": "Rang twice."}))
    page = text(visitor.get(PAGE))
    assert HERE in page
    assert OTHERS not in page
    assert LEFT not in page
    assert answers(found, 2) == {}


@pytest.mark.parametrize(
    "typed", [{"2_my_limit": "Not after nine."}, {"2_look_again": "4/5/2030"}], ids=["other", "day"]
)
def test_what_another_sheet_has_to_be_asked_about_is_left_for_it_and_said(reader, typed):
    visitor, found = reader
    fields = form(visitor.get(LIMITS), f"{LIMITS}/save") | {"answer_my_limit": "Typed here."}
    assert visitor.post(f"{LIMITS}/save", data=fields).status_code == 303
    file = pack(visitor, {"1_what_happened": "Rang twice."} | typed)
    upload(visitor, file)
    page = text(visitor.get(PAGE))
    assert HERE in page
    assert OTHERS not in page
    assert LEFT in page
    assert answers(found, 1) == {"what_happened": "Rang twice."}
    assert answers(found, 2) == {"my_limit": "Typed here."}
    there = upload(visitor, file, path=LIMITS)
    assert there.status_code in {409, 422}
    assert "These are the answers in your file. They aren’t saved yet." in text(there)


def test_other_sheets_are_read_also_when_this_one_has_to_be_looked_at(reader):
    visitor, found = reader
    file = pack(visitor, FILLED)
    write(visitor, what_happened="Typed here.")
    answer = upload(visitor, file)
    assert answer.status_code == 409
    assert "Saved so far: <span>Typed here.</span>" in text(answer)
    assert OTHERS in text(answer)
    assert answers(found, 1) == {"what_happened": "Typed here."}
    assert answers(found, 2) == {"my_limit": "Not after nine."}


def test_a_sheet_that_was_taken_back_is_not_written_in(coach, reader):
    visitor, found = reader
    file = pack(visitor, FILLED)
    gone = sheet(found, 2)[1]
    with transaction():
        withdraw(coach, gone.id, gone.version)
    upload(visitor, file)
    page = text(visitor.get(PAGE))
    assert HERE in page
    assert LEFT in page
    db.session.rollback()
    assert db.session.scalar(sa.text("SELECT count(*) FROM worksheet_response")) == 1


def test_a_pack_without_this_sheet_names_those_that_it_holds(coach, reader):
    visitor, found = reader
    file = pack(visitor, FILLED)
    give(coach, found, sample_files.REASONS)
    answer = upload(visitor, file, path="/portal/h/4")
    assert answer.status_code == 422
    titles = [
        sample_files.handout(slug).outside_title
        for slug in (sample_files.LIMITS, sample_files.PAUSE)
    ]
    assert "This file belongs to " in text(answer)
    for title in titles:
        assert f"“{title}”" in text(answer)
    assert "Open one of them and send it from there." in text(answer)
    assert kept() == 0
    assert answers(found, 1) == answers(found, 2) == {}


def test_the_list_says_where_a_pack_can_be_sent_back(reader):
    visitor, _ = reader
    page = text(visitor.get("/portal"))
    assert "open any sheet that you wrote in and send it back there" in page
