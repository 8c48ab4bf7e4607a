"""What the coach sees of a worksheet: nothing before the client shares it, and nobody sees another client's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import (
    CANARY,
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
from tests.support import builders
from tests.support.portal_client import enter_pin, sign_in_client, use_card
from tests.support.staff import csrf
from tests.support.staff_pages import StaffBrowser


@pytest.mark.pdf
def test_answers_are_shown_to_the_coach_only_while_shared(app, coach, reader):
    visitor, found = reader
    staff_browser = StaffBrowser(app, coach)
    assignment_id = assignment_id_at()
    case = f"/case/{case_number(found)}"
    pages = [
        "/today",
        case,
        f"{case}/handouts",
        f"{case}/handouts/{assignment_id}/answers",
        f"{case}/details",
        "/follow-ups",
    ]
    write(visitor, what_happened=CANARY)
    upload(visitor, b"%PDF-1.4\n" + CANARY.encode())
    assert not any(CANARY in staff_browser.text(page) for page in pages)
    assert "Nothing shared" in staff_browser.text(pages[3])
    assert "Shared with you" not in staff_browser.text(pages[2])
    assert write(visitor, "share", what_happened=CANARY).status_code == 303
    assert [page for page in pages if CANARY in staff_browser.text(page)] == [pages[3]]
    assert "Shared with you on" in staff_browser.text(pages[2])
    write(visitor, what_happened="Written after that.")
    assert "Written after that." not in staff_browser.text(pages[3])
    assert "Only you can see what you’ve changed since then." in text(visitor.get(PAGE))
    fields = form(visitor.get(PAGE), f"{PAGE}/unshare")
    assert visitor.post(f"{PAGE}/unshare", data=fields).status_code == 303
    assert not any(CANARY in staff_browser.text(page) for page in pages)
    assert "Written after that." in text(visitor.get(PAGE))


def test_share_without_answers_is_rejected(reader):
    visitor, _ = reader
    answer = write(visitor, "share")
    assert answer.status_code == 409
    assert "There is nothing to share yet." in text(answer)


@pytest.mark.pdf
def test_worksheet_of_another_client_is_not_found(app, coach, reader):
    visitor, _ = reader
    other, theirs = sign_in_client(app, coach, "Jonas Weber")
    builders.screen(coach, theirs.client_id)
    token = {"csrf_token": csrf(other.get("/portal")), "version": "0", "idempotency_key": "x"}
    for action in ("save", "share", "draft", "unshare", "delete", "upload"):
        assert other.post(f"{PAGE}/{action}", data=token).status_code == 404
    kept = upload(visitor, sample_files.scan())
    assert kept.status_code == 303
    [file_id] = upload_ids(coach, sent=False)
    assign(coach, theirs, sample_files.PAUSE)
    for action in ("send", "remove"):
        answer = other.post(f"{PAGE}/files/{file_id}/{action}", data=token)
        assert answer.status_code == 404
    assert upload_ids(coach, sent=False) == [file_id]


@pytest.mark.slow
def test_shared_answers_are_unread_on_today_until_their_page_is_opened(app, coach, reader):
    visitor, found = reader
    write(visitor, "share", what_happened=CANARY)
    staff_browser = StaffBrowser(app, coach)
    page = f"/case/{case_number(found)}/handouts/{assignment_id_at()}/answers"
    today = staff_browser.text("/today")
    assert page in today
    assert today.index("Not read yet") < today.index("My cases")
    assert CANARY not in today
    staff_browser.browser.head(page)
    assert page in staff_browser.text("/today")
    assert CANARY in staff_browser.text(page)
    assert page not in staff_browser.text("/today")


@pytest.mark.pdf
def test_sent_file_is_unread_on_today_until_it_is_saved(app, coach, reader):
    visitor, found = reader
    upload(visitor, sample_files.scan())
    [file_id] = upload_ids(coach, sent=False)
    send = f"{PAGE}/files/{file_id}/send"
    visitor.post(send, data=form(visitor.get(PAGE), send))
    staff_browser = StaffBrowser(app, coach)
    page = f"/case/{case_number(found)}/handouts/{assignment_id_at()}"
    staff_browser.text(f"{page}/answers")
    assert f"{page}/answers" in staff_browser.text("/today")
    staff_browser.browser.get(f"{page}/files/{file_id}")
    assert f"{page}/answers" not in staff_browser.text("/today")


@pytest.mark.slow
def test_many_wrong_pins_are_on_today(app, coach, reader):
    _, found = reader
    other = app.test_client()
    use_card(other, found.card_code)
    with at(now() + timedelta(minutes=1)):
        for _ in range(5):
            enter_pin(other, "000000")
    page = StaffBrowser(app, coach).text("/today")
    assert "Five or more wrong PINs" in page
    assert f"/case/{case_number(found)}/invite" in page
