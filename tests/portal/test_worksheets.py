"""Worksheets in the portal: saving, autosave, errors at the field, and nothing revealed to others."""

from __future__ import annotations

import re

import pytest

from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import CANARY, PAGE, assign, form, text, upload, write
from tests.support import builders
from tests.support.portal_client import BANNED, sign_in_client
from tests.support.staff_pages import read_forms


@pytest.mark.slow
def test_worksheet_saved_without_scripts_keeps_answers(reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    fields = form(page, f"{PAGE}/save")
    wanted = {
        f"answer_{one.id}"
        for one in sample_files.handout(sample_files.PAUSE).fields
        if one.kind in {"text", "long"}
    }
    assert wanted <= fields.keys()
    assert "Nothing written yet" in text(page)
    answer = write(
        visitor, what_happened=f"Two lines\r\n{sample_files.ABROAD}", body_signs=["2", "5"]
    )
    assert (answer.status_code, answer.location) == (303, PAGE)
    page = visitor.get(PAGE)
    assert "Only you can see it." in text(page)
    assert form(page, f"{PAGE}/save")["answer_what_happened"] == [
        f"Two lines\n{sample_files.ABROAD}"
    ]
    assert form(page, f"{PAGE}/save")["answer_body_signs"] == ["2", "5"]


def test_worksheet_page_shows_not_watched_notice_and_numbers(reader):
    visitor, _ = reader
    page = text(visitor.get(PAGE))
    before, _, _ = page.partition('<form id="worksheet"')
    assert "Marta can’t see this while you write." in before
    assert 'href="tel:999"' in before
    assert "Samaritans" in before
    assert "<title>Reading list</title>" in page
    assert 'autocomplete="off"' in page


def test_markup_in_an_answer_is_escaped(reader):
    """What a client typed is text in their own form (VULN-12)."""
    visitor, _ = reader
    write(visitor, what_happened="</textarea><script>alert(1)</script>", twenty_minutes='"><b>x')
    page = visitor.get(PAGE).get_data(as_text=True)
    assert "<script>alert(1)" not in page
    assert "<b>x" not in page
    assert "&lt;/textarea&gt;&lt;script&gt;" in page


@pytest.mark.slow
def test_long_single_line_field_has_two_rows_and_stays_one_line(reader):
    visitor, _ = reader
    lines = [one for one in sample_files.handout(sample_files.PAUSE).fields if one.kind == "text"]
    roomy = next(one for one in lines if one.longest > 100)
    page = text(visitor.get(PAGE))
    assert f'id="answer_{roomy.id}" name="answer_{roomy.id}" rows="2"' in page
    written = {roomy.id: " One call,\r\n\r\nthen tea. \u2028Then\tbed."}
    assert write(visitor, **written).status_code == 303
    saved = form(visitor.get(PAGE), f"{PAGE}/save")[f"answer_{roomy.id}"]
    assert saved == ["One call, then tea. Then\tbed."]


@pytest.mark.slow
def test_save_from_an_older_window_keeps_both_versions(reader):
    visitor, _ = reader
    write(visitor, what_happened="From the phone.")
    answer = write(visitor, start=0, what_happened="From the laptop.")
    assert answer.status_code == 412
    assert "saved in another window or on another device" in text(answer)
    assert form(answer, f"{PAGE}/save")["answer_what_happened"] == ["From the laptop."]
    assert form(visitor.get(PAGE), f"{PAGE}/save")["answer_what_happened"] == ["From the phone."]
    fields = form(answer, f"{PAGE}/save")
    assert visitor.post(f"{PAGE}/save", data=fields).status_code == 303
    assert form(visitor.get(PAGE), f"{PAGE}/save")["answer_what_happened"] == ["From the laptop."]


@pytest.mark.slow
def test_autosave_responds_in_json(reader):
    visitor, _ = reader
    answer = write(visitor, "draft", what_happened="Rang.")
    assert answer.status_code == 200
    assert answer.json["version"] == 1
    assert set(answer.json) == {"version", "form_key", "saved"}
    stale = write(visitor, "draft", start=0, what_happened="Older.")
    assert (stale.status_code, stale.json["code"], stale.json["version"]) == (409, "stale", 1)
    wrong = write(visitor, "draft", what_happened="x" * 4001)
    assert wrong.status_code == 422
    assert list(wrong.json["fields"]) == ["answer_what_happened"]
    assert "x" * 50 not in text(wrong)


@pytest.mark.slow
def test_save_with_invalid_answer_shows_the_error_at_the_field(reader):
    visitor, _ = reader
    answer = write(visitor, twenty_minutes="x" * 4001, what_happened="This stays.")
    assert answer.status_code == 422
    assert 'href="#answer_twenty_minutes"' in text(answer)
    assert "This stays." in text(answer)
    assert write(visitor, no_such_field="x").status_code == 422
    assert write(visitor, start="often").status_code == 422


def test_save_by_spanish_client_with_invalid_answer_shows_spanish_error(app, coach):
    visitor, found = sign_in_client(app, coach, "Ines Okafor", language="es")
    builders.screen(coach, found.client_id)
    assign(coach, found, "better-nights", "es")
    path = "/portal/h/1"
    fields = form(visitor.get(path), f"{path}/save")
    message = "Acorta este texto a 160 caracteres como máximo."
    answer = visitor.post(f"{path}/save", data=fields | {"answer_one_change": "x" * 161})
    assert answer.status_code == 422
    summary = re.search(r'<li><a href="#answer_one_change">([^<]+): ([^<]+)</a></li>', text(answer))
    assert summary[2] == message
    assert f">{summary[1]}" in text(answer)
    assert f'<span class="visually-hidden">Error: </span><span>{message}</span></p>' in text(answer)
    assert "Shorten" not in text(answer)
    assert "Check your answers" not in text(answer)
    strange = visitor.post(f"{path}/save", data=fields | {"answer_one_change": "a\x00b"})
    assert "Quita los caracteres" in text(strange)
    assert "Remove the" not in text(strange)


def test_large_body_outside_upload_returns_413(app, reader):
    visitor, _ = reader
    large = b"csrf_token=x&answer_what_happened=" + b"x" * (3 * 2**20)
    kind = "application/x-www-form-urlencoded"
    assert visitor.post(f"{PAGE}/save", data=large, content_type=kind).status_code == 413
    stranger = app.test_client()
    assert stranger.post(f"{PAGE}/upload", data=large, content_type=kind).status_code == 413


@pytest.mark.pdf
def test_answers_are_not_logged(reader, logged):
    visitor, _ = reader
    write(visitor, what_happened=CANARY)
    write(visitor, "draft", what_happened=f"{CANARY} again")
    write(visitor, "share", what_happened=f"{CANARY} again")
    upload(visitor, b"%PDF-1.4\n" + CANARY.encode())
    assert "portal_handouts.save" in logged()
    assert CANARY not in logged()


def test_form_actions_and_field_names_are_neutral(reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    forms = read_forms(page.get_data(as_text=True), PAGE)
    names = [one.action for one in forms] + [name for one in forms for name in one.fields]
    assert any(action.endswith("/upload") for action in names)
    assert not BANNED.search(" ".join(names))
