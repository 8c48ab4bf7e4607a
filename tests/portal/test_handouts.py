"""The reading list and its handouts: pages, PDFs, marking as read."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pikepdf
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.sandbox import pool
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handout, withdraw
from caseapp.domain.assignments.queries import get_assignment_record, lock_assignment
from caseapp.domain.assignments.rules import NOT_AVAILABLE
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.portal.reading_list import build_reading_list
from tests.domain.authoring import steps
from tests.portal.portal_handout import form
from tests.support import builders, staff
from tests.support.pdf_checks import extract_text, forget_pdfs
from tests.support.portal_client import BANNED, sign_in_client
from tests.support.staff import csrf
from tests.support.staff_pages import Statements, lasting

CALM, PAUSE, HELP = "keep-the-day-running", "first-days-pause", "help-right-now"


@pytest.fixture
def reader(app, coach):
    """Sign in a client screened today; return their browser and their ids."""
    visitor, found = sign_in_client(app, coach, "Ines Okafor", partner_name="Paul Okafor")
    builders.screen(coach, found.client_id)
    return visitor, found


def assign(coach, found, slug, message="", channel="portal"):
    with transaction():
        return assign_handout(
            coach,
            lock_case(coach, found.case_id),
            slug,
            message=message,
            channel=channel,
            confirmed=True,
        )


def text(page):
    return unescape(page.get_data(as_text=True))


def assignment_ids(found):
    return db.session.scalars(
        sa.select(Assignment.id)
        .where(Assignment.client_id == found.client_id)
        .order_by(Assignment.position.desc())
    ).all()


def load_assignment(assignment_id):
    db.session.rollback()
    return db.session.get(Assignment, assignment_id, populate_existing=True)


def opened_at(coach, assignment_id):
    """Return when the client first opened a handout, as the coach sees it."""
    db.session.rollback()
    return get_assignment_record(coach, assignment_id).opened_at


def link_names(page):
    """Return the accessible names of the links in the main part of the page."""
    main = text(page).partition("<main")[2].partition("</main>")[0]
    found = re.findall(r"<a [^>]*>(.*?)</a>", main, flags=re.DOTALL)
    return [" ".join(re.sub("<[^>]+>", "", name).split()) for name in found]


@pytest.mark.slow
def test_reading_list_with_equal_titles_shows_numbers(coach, reader):
    visitor, found = reader
    supervisor, admin = staff.add("supervisor"), staff.add("admin")
    title = "Keeping the day running"
    namesakes = [
        steps.publish_new_handout(supervisor, admin, steps.build_content(title)) for _ in range(2)
    ]
    for slug in (CALM, PAUSE, *namesakes):
        assign(coach, found, slug)
    fields = form(visitor.get("/portal/h/4"), "/portal/h/4/read")
    assert visitor.post("/portal/h/4/read", data=fields).status_code == 303
    page = visitor.get("/portal")
    names = link_names(page)
    assert len(set(names)) == len(names)
    assert {f"Open {title}, No. 1", f"Save PDF: {title}, No. 3", f"{title}, No. 4"} <= {*names}
    assert "<span>No. 3</span>" in text(page)
    # A unique title has no number.
    assert not any("No. 2" in name for name in names)


def test_reading_list_shows_assigned_handout(coach, reader):
    visitor, found = reader
    assign(coach, found, CALM, "Read the first part.")
    page = visitor.get("/portal")
    assert page.status_code == 200
    assert "Keeping the day running" in text(page)
    assert "About 15 minutes" in text(page)
    assert "/portal/h/1/reading-01.pdf" in text(page)
    assert "Already read" not in text(page)


@pytest.mark.slow
def test_week_of_a_handout_is_shown_until_it_is_over(app, coach, reader):
    _, found = reader
    monday = datetime(2030, 3, 4, 9, tzinfo=UTC)
    with at(monday):
        builders.screen(coach, found.client_id)
        for slug, day in ((CALM, date(2030, 3, 13)), (PAUSE, date(2030, 3, 6)), (HELP, None)):
            with transaction():
                assign_handout(
                    coach,
                    lock_case(coach, found.case_id),
                    slug,
                    message="",
                    channel="portal",
                    due_on=day,
                )
    for moment, weeks in (
        (monday, ["For the week of 4 March", "For the week of 11 March"]),
        (monday + timedelta(days=8), ["For the week of 11 March"]),
        (monday + timedelta(days=60), []),
    ):
        records = [get_assignment_record(coach, row_id) for row_id in assignment_ids(found)]
        with at(moment), app.test_request_context("/portal"):
            entries = build_reading_list(records).to_read
        assert [e.meta[0] for e in entries if e.meta[0].startswith("For the week")] == weeks
        assert entries[0].title == "Numbers to keep"


def test_reading_list_when_empty_says_so(reader):
    visitor, _ = reader
    assert (
        "Nothing to read right now. Marta chooses what comes next, and adds it when it might help."
        in text(visitor.get("/portal"))
    )


@pytest.mark.slow
def test_handout_page_shows_message_and_text_and_records_first_opening(coach, reader):
    visitor, found = reader
    assignment_id = assign(coach, found, CALM, "Read <b>the first part</b>.")
    assert opened_at(coach, assignment_id) is None
    visitor.head("/portal/h/1")
    assert opened_at(coach, assignment_id) is None
    page = visitor.get("/portal/h/1")
    assert page.status_code == 200
    assert "Marta wrote" in text(page)
    assert "Read &lt;b&gt;the first part&lt;/b&gt;." in page.get_data(as_text=True)
    assert "Three things, and no more" in text(page)
    assert "{{" not in text(page)
    opened = opened_at(coach, assignment_id)
    assert opened is not None
    visitor.get("/portal/h/1")
    assert opened_at(coach, assignment_id) == opened


@pytest.mark.pdf
def test_handout_pdf_has_neutral_name_and_metadata(coach, reader):
    visitor, found = reader
    assign(coach, found, CALM, "A line that stays in the portal.")
    answer = visitor.get("/portal/h/1/reading-01.pdf")
    assert answer.status_code == 200
    assert answer.mimetype == "application/pdf"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reading-01.pdf"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with pikepdf.open(io.BytesIO(answer.data)) as pdf:
        metadata = " ".join(str(value) for value in pdf.docinfo.values())
        metadata += pdf.Root.Metadata.read_bytes().decode()
    assert "Ines" not in metadata
    assert BANNED.findall(metadata) == []
    assert visitor.head("/portal/h/1/reading-01.pdf").status_code == 200


@pytest.mark.pdf
def test_handout_pdf_in_large_print_has_more_pages(coach, reader):
    visitor, found = reader
    assign(coach, found, CALM)
    assert "/portal/h/1/reading-01.pdf?size=large" in text(visitor.get("/portal/h/1"))
    answer = visitor.get("/portal/h/1/reading-01.pdf?size=large")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reading-01-large.pdf"'
    usual = visitor.get("/portal/h/1/reading-01.pdf?size=enormous")
    sizes = []
    for made in (answer, usual):
        with pikepdf.open(io.BytesIO(made.data)) as pdf:
            sizes.append(len(pdf.pages))
    assert sizes[0] > sizes[1]


@pytest.mark.pdf
def test_handout_pdf_when_sandbox_is_busy_returns_503_page(coach, reader, monkeypatch):
    visitor, found = reader
    assign(coach, found, CALM)
    forget_pdfs()
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0)
    answer = visitor.get("/portal/h/1/reading-01.pdf")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"
    assert "was not ready in time: PDFs are slow right now. Nothing was changed" in text(answer)
    monkeypatch.undo()
    assert visitor.get("/portal/h/1/reading-01.pdf").status_code == 200


@pytest.mark.parametrize(
    "name", ["reading-1.pdf", "reading-02.pdf", "reading-.pdf", "reading-001.pdf"]
)
def test_handout_pdf_with_wrong_file_name_returns_404(coach, reader, name):
    visitor, found = reader
    assign(coach, found, CALM)
    assert visitor.get(f"/portal/h/1/{name}").status_code == 404


@pytest.mark.slow
def test_mark_read_twice_moves_handout_to_already_read(coach, reader):
    visitor, found = reader
    assignment_id = assign(coach, found, CALM)
    page = visitor.get("/portal/h/1")
    for _ in range(2):
        answer = visitor.post("/portal/h/1/read", data=form(page, "/portal/h/1/read"))
        assert (answer.status_code, answer.location) == (303, "/portal")
    assert load_assignment(assignment_id).read_at is not None
    page = text(visitor.get("/portal"))
    assert "Already read" in page
    assert "You have read 1 of 1." in page
    assert "You marked this as read" in text(visitor.get("/portal/h/1"))
    assert visitor.post("/portal/h/1/read").status_code == 400


@pytest.mark.slow
def test_handouts_of_another_client_are_not_found(app, coach, reader):
    visitor, found = reader
    other, theirs = sign_in_client(app, coach, "Jonas Weber")
    builders.screen(coach, theirs.client_id)
    assignment_id = assign(coach, theirs, CALM, "For Jonas alone")
    assert "Keeping the day running" not in text(visitor.get("/portal"))
    token = csrf(visitor.get("/portal"))
    for position in (0, 1, 2, 99999999999999999999):
        assert visitor.get(f"/portal/h/{position}").status_code == 404
        assert visitor.get(f"/portal/h/{position}/reading-{position:02}.pdf").status_code == 404
        assert (
            visitor.post(f"/portal/h/{position}/read", data={"csrf_token": token}).status_code
            == 404
        )
    assert (opened_at(coach, assignment_id), load_assignment(assignment_id).read_at) == (None, None)
    assert "For Jonas alone" in text(other.get("/portal/h/1"))
    assign(coach, found, PAUSE, "For Ines alone")
    assert "For Ines alone" in text(visitor.get("/portal/h/1"))
    assert "For Ines alone" not in text(other.get("/portal/h/1"))


@pytest.mark.slow
def test_printed_handout_is_not_on_reading_list(coach, reader):
    visitor, found = reader
    assign(coach, found, CALM, channel="print")
    assert "Keeping the day running" not in text(visitor.get("/portal"))
    assert visitor.get("/portal/h/1").status_code == 404


@pytest.mark.slow
def test_withdrawn_handout_leaves_reading_list_and_says_so(coach, reader):
    visitor, found = reader
    assignment_id = assign(coach, found, CALM)
    with transaction():
        withdraw(
            coach, lock_assignment(coach, assignment_id), load_assignment(assignment_id).version
        )
    assert "Keeping the day running" not in text(visitor.get("/portal"))
    for path in ("/portal/h/1", "/portal/h/1/reading-01.pdf"):
        answer = visitor.get(path)
        assert answer.status_code == 409
        assert NOT_AVAILABLE.message in text(answer)


@pytest.mark.slow
@pytest.mark.parametrize("hold", ["care", "safety"])
def test_reading_list_in_a_hold_keeps_its_words_and_help_lines(coach, reader, hold):
    visitor, found = reader
    assign(coach, found, HELP)
    assign(coach, found, CALM)
    before = text(visitor.get("/portal"))
    answers = {"self_harm": "concern"} if hold == "safety" else {"sleep": "concern"}
    builders.screen(coach, found.client_id, actions_taken=("safety_plan",), **answers)
    assert get_case_context(coach, found.case_id).safety.hold == hold
    after = text(visitor.get("/portal"))
    assert around_list(after) == around_list(before)
    assert ("Keeping the day running" in after) == (hold == "care")
    for word in ("hold", "paused", "sleep", "concern", "urgent"):
        assert word not in lasting(after).lower().split()


def around_list(page):
    """Return what stands before and after the handouts of a reading list."""
    before, _, rest = lasting(page).partition('<section aria-labelledby="to-read">')
    _, _, after = rest.partition('<section aria-labelledby="help"')
    return before, after


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_reading_list_that_is_short_says_who_adds_to_it(coach, reader, number):
    visitor, found = reader
    for slug in (CALM, PAUSE, HELP)[:number]:
        assign(coach, found, slug)
    assert ("Marta chooses what comes next" in text(visitor.get("/portal"))) == (number < 3)


@pytest.mark.slow
def test_reading_list_of_any_length_needs_the_same_number_of_statements(coach, reader):
    visitor, found = reader
    assign(coach, found, CALM)
    short = count_statements(visitor, "/portal")
    assign(coach, found, PAUSE)
    assign(coach, found, HELP)
    assert count_statements(visitor, "/portal") == short


def count_statements(visitor, path):
    """Count the SQL statements of a page that was opened before."""
    visitor.get(path)
    statements = []

    def note(*arguments):
        statements.append(arguments[2])

    event.listen(db.engine, "before_cursor_execute", note)
    visitor.get(path)
    event.remove(db.engine, "before_cursor_execute", note)
    return len(statements)


@pytest.mark.slow
def test_repeated_reading_is_audited_once(coach, reader):
    visitor, found = reader
    assignment_id = assign(coach, found, CALM)
    for _ in range(3):
        visitor.get("/portal")
        visitor.get("/portal/h/1")
    db.session.rollback()
    events = db.session.execute(
        sa.text("SELECT object_id FROM audit_event WHERE action = 'portal.read'")
    ).all()
    assert len(events) == 2
    assert assignment_id is not None


def test_privacy_page_names_coach_by_first_name(reader):
    visitor, _ = reader
    page = text(visitor.get("/portal/privacy"))
    assert "What Marta can see" in page
    assert "Your codes were made by Marta on" in page
    assert "Nobody opened this list before this visit." in page
    assert "Lindqvist" not in page


@pytest.mark.pdf
def test_packet_with_two_handouts_is_offered_and_recorded_as_opened(coach, reader):
    visitor, found = reader
    first = assign(coach, found, CALM, "Slowly.")
    assert "as one PDF" not in text(visitor.get("/portal"))
    assert visitor.get("/portal/reading-all.pdf").status_code == 404
    second = assign(coach, found, PAUSE)
    assert "Save all 2 as one PDF" in text(visitor.get("/portal"))
    assert visitor.head("/portal/reading-all.pdf").status_code == 200
    assert opened_at(coach, first) is None
    answer = visitor.get("/portal/reading-all.pdf")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reading-all.pdf"'
    assert extract_text(answer.data).count("Keeping the day running") > 1
    assert BANNED.findall(str(answer.headers)) == []
    assert None not in {opened_at(coach, first), opened_at(coach, second)}
    builders.screen(coach, found.client_id, self_harm="concern")
    assert visitor.get("/portal/reading-all.pdf").status_code == 404


@pytest.mark.pdf
def test_cached_pdf_is_checked_again_in_three_statements(coach, reader):
    """The session, the assignment with all that decides about it, and the practice are read every time."""
    visitor, found = reader
    assign(coach, found, CALM, "Slowly.")
    address = "/portal/h/1/reading-01.pdf"
    first = visitor.get(address)
    with Statements() as asked:
        again = visitor.get(address)
    assert again.data == first.data
    assert len(asked.seen) == 3
    builders.screen(coach, found.client_id, self_harm="concern")
    assert visitor.get(address).status_code == 409
