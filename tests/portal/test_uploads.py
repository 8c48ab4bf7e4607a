"""Uploads of filled-in PDFs: read into answers, kept unread, or rejected with a reason."""

from __future__ import annotations

import pytest

from caseapp.core.clock import now
from caseapp.core.pdf_forms import MAX_FILE_BYTES
from caseapp.core.scanning import HARMFUL
from caseapp.domain.worksheets.schemas import UPLOAD_RETENTION
from caseapp.http.template_helpers import MESSAGES, long_day
from caseapp.http.uploads import OTHER_FIELDS_BYTES
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import (
    PAGE,
    assign,
    assignment_id_at,
    case_number,
    form,
    text,
    upload,
    upload_ids,
    write,
)
from tests.support.concurrency import run_concurrently
from tests.support.staff import csrf
from tests.support.staff_pages import StaffBrowser

pytestmark = pytest.mark.pdf


def test_upload_of_filled_in_pdf_saves_answers(reader):
    visitor, _ = reader
    pdf = visitor.get(f"{PAGE}/reading-01.pdf").data
    data = sample_files.filled(
        pdf, {"what_happened": sample_files.ABROAD, "body_signs.1": True, "strongest_urge.2": True}
    )
    answer = upload(visitor, data)
    assert (answer.status_code, answer.location) == (303, PAGE)
    page = visitor.get(PAGE)
    assert MESSAGES["answers_read"] in text(page)
    fields = form(page, f"{PAGE}/save")
    assert fields["answer_what_happened"] == [sample_files.ABROAD]
    assert fields["answer_body_signs"] == ["1"]
    assert fields["answer_strongest_urge"] == ["2"]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_upload_with_line_breaks_in_a_single_line_joins_them(reader, end):
    visitor, _ = reader
    line = next(
        one for one in sample_files.handout(sample_files.PAUSE).fields if one.kind == "text"
    )
    broken = {line.id: f"One call,{end}then tea.", "what_happened": f"It rained.{end}We rowed."}
    data = sample_files.filled(sample_files.blank(sample_files.PAUSE), broken)
    for _ in range(2):
        # Uploading the same file again changes nothing.
        assert upload(visitor, data).status_code == 303
    saved = form(visitor.get(PAGE), f"{PAGE}/save")
    assert saved[f"answer_{line.id}"] == ["One call, then tea."]
    assert saved["answer_what_happened"][0].splitlines()[-2:] == ["It rained.", "We rowed."]


def test_upload_with_other_answers_waits_for_review(reader):
    visitor, _ = reader
    write(visitor, what_happened="Typed here.", twenty_minutes="Kept as it is.")
    pdf = visitor.get(f"{PAGE}/reading-01.pdf").data
    data = sample_files.filled(pdf, {"what_happened": "From paper.", "strongest_urge.2": True})
    answer = upload(visitor, data)
    assert answer.status_code == 409
    assert "These are the answers from your file. They aren’t saved yet." in text(answer)
    assert "Saved so far: <span>Typed here.</span>" in text(answer)
    fields = form(answer, f"{PAGE}/save")
    assert fields["answer_what_happened"] == ["From paper."]
    assert fields["answer_twenty_minutes"] == ["Kept as it is."]
    saved = form(visitor.get(PAGE), f"{PAGE}/save")
    assert saved["answer_what_happened"] == ["Typed here."]
    assert visitor.post(f"{PAGE}/save", data=fields).status_code == 303
    saved = form(visitor.get(PAGE), f"{PAGE}/save")
    assert saved["answer_what_happened"] == ["From paper."]


def test_upload_with_too_long_answer_shows_error_and_saves_nothing(reader):
    visitor, _ = reader
    pdf = visitor.get(f"{PAGE}/reading-01.pdf").data
    answer = upload(visitor, sample_files.filled(pdf, {"twenty_minutes": "x" * 4001}))
    assert answer.status_code == 422
    assert 'href="#answer_twenty_minutes"' in text(answer)
    assert "Nothing written yet" in text(visitor.get(PAGE))


def test_upload_of_another_handout_names_it_by_alias(coach, reader):
    visitor, found = reader
    unknown = upload(visitor, sample_files.blank(sample_files.LIMITS))
    assert unknown.status_code == 303
    assert "don’t match this worksheet" in text(visitor.get(PAGE))
    assign(coach, found, "help-right-now")
    answer = upload(visitor, sample_files.blank("help-right-now"))
    assert answer.status_code == 422
    assert "This file belongs to “Numbers to keep”." in text(answer)
    assert len(upload_ids(coach, sent=False)) == 1


def test_unreadable_upload_is_visible_to_the_coach_only_after_sending(app, coach, reader):
    visitor, found = reader
    staff_browser = StaffBrowser(app, coach)
    page = f"/case/{case_number(found)}/handouts/{assignment_id_at()}"
    data = sample_files.scan()
    assert upload(visitor, data).status_code == 303
    shown = visitor.get(PAGE)
    assert "This file has no form fields" in text(shown)
    assert "Only you can see that it’s here." in text(shown)
    assert f"It’s kept until {long_day(now() + UPLOAD_RETENTION)} and then deleted" in text(shown)
    assert "h-files" not in staff_browser.text(f"{page}/answers")
    [file_id] = upload_ids(coach, sent=False)
    assert staff_browser.get(f"{page}/files/{file_id}").status_code == 404
    fields = form(shown, f"{PAGE}/files/{file_id}/send")
    assert visitor.post(f"{PAGE}/files/{file_id}/send", data=fields).status_code == 303
    assert "h-files" in staff_browser.text(f"{page}/answers")
    answer = staff_browser.get(f"{page}/files/{file_id}")
    assert answer.data == data
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="returned-01.pdf"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].endswith("; sandbox")
    assert answer.headers["Cache-Control"] == "no-store"
    fields = form(visitor.get(PAGE), f"{PAGE}/files/{file_id}/remove")
    assert visitor.post(f"{PAGE}/files/{file_id}/remove", data=fields).status_code == 303
    assert staff_browser.get(f"{page}/files/{file_id}").status_code == 404


def test_upload_sent_twice_is_kept_once_and_a_sixth_is_rejected(coach, reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    for _ in range(2):
        assert upload(visitor, sample_files.scan(), page=page).status_code == 303
    assert len(upload_ids(coach, sent=False)) == 1
    for _ in range(4):
        assert upload(visitor, sample_files.scan()).status_code == 303
    answer = upload(visitor, sample_files.scan())
    assert answer.status_code == 409
    assert "You can keep 5 files" in text(answer)


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"", 422, "Choose a file first."),
        (b"\xff\xd8\xff a photo", 422, "This is not a PDF."),
        (b"%PDF-" + b"x" * MAX_FILE_BYTES, 422, "larger than 5 MB"),
        (b"%PDF-" + b"x" * (MAX_FILE_BYTES + OTHER_FIELDS_BYTES), 413, "up to 5 MB"),
    ],
    ids=["nothing", "photo", "large", "enormous"],
)
def test_upload_of_invalid_file_says_why_and_is_not_kept(coach, reader, data, status, message):
    visitor, _ = reader
    answer = upload(visitor, data)
    assert answer.status_code == status
    assert message in text(answer)
    assert upload_ids(coach, sent=False) == []


@pytest.mark.process
def test_upload_flagged_by_the_scanner_is_not_read_or_kept(coach, reader, scanner):
    visitor, _ = reader
    page = visitor.get(PAGE)
    scanner("false")
    for data in (
        sample_files.scan(),
        sample_files.filled(sample_files.blank(sample_files.PAUSE), {}),
    ):
        answer = upload(visitor, data, page=page)
        assert answer.status_code == 422
        assert HARMFUL in text(answer)
    assert upload_ids(coach, sent=False) == []


def test_upload_with_password_is_not_kept(coach, reader):
    visitor, _ = reader
    answer = upload(visitor, sample_files.locked(sample_files.scan()))
    assert answer.status_code == 422
    assert "locked with a password" in text(answer)
    assert upload_ids(coach, sent=False) == []


def test_upload_with_very_many_parts_returns_413(reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    token = csrf(page)
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n\r\n' % number
        for number in range(60_000)
    )
    head = (
        b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n%s\r\n' % token.encode()
    )
    answer = visitor.post(
        f"{PAGE}/upload",
        data=head + parts + b"--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )
    assert answer.status_code == 413
    assert visitor.get(PAGE).status_code == 200


@pytest.mark.both
def test_app_responds_while_a_decompression_bomb_is_read(app, reader):
    visitor, _ = reader
    bomb = sample_files.bomb()
    page = visitor.get(PAGE)
    tasks = [
        lambda: upload(visitor, bomb, page=page),
        lambda: app.test_client().get("/livez"),
        lambda: app.test_client().get("/portal/safety"),
    ]
    found = run_concurrently(app, len(tasks), lambda number: tasks[number]())
    assert found[0].status_code in {303, 422}
    assert [answer.status_code for answer in found[1:]] == [200, 200]
    assert visitor.get(PAGE).status_code == 200
