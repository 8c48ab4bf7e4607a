"""Every kind of field from the form of the portal to the coach's page, and through a PDF that was filled in."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import MagicMock

import pytest

from caseapp.core import pdf
from caseapp.core.clock import now
from caseapp.core.pdf_forms import read_form_fields
from caseapp.core.transaction import transaction
from caseapp.domain.handouts.library import parse_handout
from caseapp.domain.handouts.operations import publish_version
from caseapp.domain.worksheets import printing
from caseapp.domain.worksheets.queries import get_shared_worksheet
from tests.domain.handouts.sample_fields import EARLIER, EVERY_KIND, handout_with
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import assign, assignment_id_at, case_number, form, text, upload
from tests.support.pdf_checks import extract_text
from tests.support.staff_pages import StaffBrowser

HERE = "/portal/h/2"
SENT: dict[str, Any] = {
    "answer_my_message": "Hello.\r\nNo need to answer.",
    "answer_raw_draft": "Больно. " + "It hurts. " * 190,
    "answer_ready": ["2"],
    "answer_pull.before": "8",
    "answer_pull.after": "0",
    "answer_nights.2.2": "11:00",
    "answer_nights.3.1": "Tue",
    "answer_who_helps.1.name": "Noor",
    "answer_who_helps.1.number": "020 7946 0000",
    "answer_agreed.1.signed": "yes",
    "answer_agreed.1.date": "2 December",
}
READ = {
    "my_message": ("Hello.\nNo need to answer.",),
    "raw_draft": (SENT["answer_raw_draft"].strip(),),
    "ready": ("My message asks for nothing",),
    "pull": ("Now: 8", "After the wait: 0"),
    "nights": ("Mon: To bed: 11:00", "2: Night: Tue"),
    "who_helps": ("Name: Noor", "Number: 020 7946 0000"),
    "agreed": ("Me: Signed on paper: yes", "Me: Date: 2 December"),
}


@pytest.fixture
def every_kind(coach, reader):
    visitor, found = reader
    with transaction():
        publish_version(handout_with(EVERY_KIND))
    assign(coach, found, "own-01")
    return visitor, found


def submit(visitor, action="save", **changed):
    fields = form(visitor.get(HERE), f"{HERE}/save")
    return visitor.post(f"{HERE}/{action}", data=fields | SENT | changed)


def read_shared(coach):
    shared = get_shared_worksheet(coach, assignment_id_at(2)).shared
    return {answer.id: answer.lines for answer in shared.answers}


@pytest.mark.slow
def test_answers_of_every_kind_are_saved_shown_again_and_read_by_the_coach(app, coach, every_kind):
    visitor, found = every_kind
    page = text(visitor.get(HERE))
    assert page.count("Draw this on paper.") == 1
    assert page.count("Only you can read this, unless you share it.") == 4
    assert "Hassan" in page
    assert "Up to 2000 characters." in page
    answer = submit(visitor, "share")
    assert (answer.status_code, answer.location) == (303, HERE)
    fields = form(visitor.get(HERE), f"{HERE}/save")
    for name, value in SENT.items():
        shown = [one.replace("\r\n", "\n").strip() for one in fields[name]]
        assert shown == ([value.replace("\r\n", "\n").strip()] if isinstance(value, str) else value)
    assert 'href="tel:02079460000"' in text(visitor.get(HERE))
    assert read_shared(coach) == READ
    # Sent again unchanged, nothing is saved anew.
    assert submit(visitor).status_code == 303
    assert "you’ve changed since then" not in text(visitor.get(HERE))
    path = f"/case/{case_number(found)}/handouts/{assignment_id_at(2)}/answers"
    shown = StaffBrowser(app, coach).text(path)
    assert all(line in shown for lines in READ.values() for line in lines[0].split("\n"))
    copy = text(visitor.get(f"{HERE}/answers-02.txt"))
    assert "- Now: 8\n- After the wait: 0" in copy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("answer_pull.before", "11"),
        ("answer_nights.2.2", "x" * 201),
        ("answer_who_helps.1.name", "x" * 61),
        ("answer_raw_draft", "x" * 2001),
        ("answer_ready", ["3"]),
        ("answer_nights.1.2", "into the example"),
        ("answer_our_week", "x"),
    ],
)
def test_answer_beyond_a_limit_is_refused_at_its_control_and_what_was_typed_stays(
    every_kind, name, value
):
    visitor, _ = every_kind
    answer = submit(visitor, **{name: value})
    assert answer.status_code == 422
    page = text(answer)
    assert f'href="#{name}"' in page or "Unknown field." in page
    assert "Nothing written yet" in text(visitor.get(HERE))
    assert form(answer, f"{HERE}/save")["answer_who_helps.1.number"] == ["020 7946 0000"]


@pytest.mark.pdf
def test_pdf_that_was_filled_in_brings_every_answer_but_signatures(coach, every_kind):
    visitor, _ = every_kind
    blank = visitor.get(f"{HERE}/reading-02.pdf").data
    names = {name.partition(".")[2] for name in read_form_fields(blank)}
    assert names == {
        "my_message", "raw_draft", "ready.1", "ready.2", "pull.before", "pull.after",
        "nights.mon.to_bed", "nights.mon.up", "nights.r2.night", "nights.r2.to_bed",
        "who_helps.1.name", "who_helps.1.number", "agreed.me.date", "agreed.my_coach.date",
    }  # fmt: skip
    typed = {
        "my_message": "Hello.\nNo need to answer.",
        "raw_draft": SENT["answer_raw_draft"],
        "ready.2": True,
        "pull.before": "8",
        "pull.after": "0",
        "nights.mon.to_bed": "11:00",
        "nights.r2.night": "Tue",
        "who_helps.1.name": "Noor",
        "who_helps.1.number": "020 7946 0000",
        "agreed.me.date": "2 December",
    }
    filled = sample_files.filled(blank, typed)
    assert upload(visitor, filled, path=HERE).status_code == 303
    only_more = sample_files.filled(blank, {"agreed.my_coach.date": "3 December"})
    assert upload(visitor, only_more, path=HERE).status_code == 303
    other = sample_files.filled(blank, {"pull.before": "3"})
    answer = upload(visitor, other, path=HERE)
    assert answer.status_code == 409
    assert re.findall(r"Saved so far:.*?<span>(.*?)</span>", text(answer)) == ["8"]
    fields = form(visitor.get(HERE), f"{HERE}/save")
    assert visitor.post(f"{HERE}/share", data=fields).status_code == 303
    assert read_shared(coach) == READ | {
        "agreed": ("Me: Date: 2 December", "My coach: Date: 3 December")
    }


@pytest.mark.pdf
def test_pdf_with_answers_prints_all_of_what_was_saved_and_has_no_form(app, coach, every_kind):
    visitor, found = every_kind
    assert visitor.get(f"{HERE}/written-02.pdf").status_code == 404
    submit(visitor, "share")
    own = visitor.get(f"{HERE}/written-02.pdf").data
    path = f"/case/{case_number(found)}/handouts/{assignment_id_at(2)}/answers.pdf"
    for made in (own, StaffBrowser(app, coach).get(path).data):
        printed = " ".join(extract_text(made).split())
        assert printed.count("It hurts.") == 190
        for words in ("No need to answer.", "11:00", "Noor", "020 7946 0000", "2 December"):
            assert words in printed
        # Our fonts have no Cyrillic letters.
        assert "A question mark stands for a character that can’t be printed." in printed
        assert "/AcroForm" not in made.decode("latin-1")
    assert "Ines" not in extract_text(own)


@pytest.mark.pdf
def test_pdf_saved_before_blocks_existed_is_still_read(coach, reader):
    visitor, found = reader
    source = EARLIER.replace("id: a-walk\ncode: H01", "id: own-02\ncode: P02")
    with transaction():
        publish_version(parse_handout(source))
    assign(coach, found, "own-02")
    before = sample_files.with_fields(
        {"signs_1": "/on", "signs_2": "", "what": "Rang.", "urge": "beg", "day": "1 December"}
    )
    assert upload(visitor, before, path=HERE).status_code == 303
    fields = form(visitor.get(HERE), f"{HERE}/save")
    assert fields["answer_signs"] == ["1"]
    assert fields["answer_urge"] == ["2"]
    assert (fields["answer_what"], fields["answer_day"]) == (["Rang."], ["1 December"])


def test_handout_with_only_a_drawing_offers_nothing_to_save(coach, reader):
    visitor, found = reader
    body = "Words.\n\n::: draw week\nOur week\n:::\n\n## Stop and get help now if\n\n{{crisis_block}}\n\n*A walk.*"
    with transaction():
        publish_version(handout_with(body))
    assign(coach, found, "own-01")
    page = text(visitor.get(HERE))
    assert "Draw this on paper." in page
    assert f"{HERE}/save" not in page
    assert f"{HERE}/upload" not in page


def test_pdf_with_answers_says_whether_a_clinician_has_reviewed_the_text(app, monkeypatch):
    given = []
    monkeypatch.setattr(
        printing, "render_print_html", lambda *_, **how: given.append(how["reviewed"])
    )
    monkeypatch.setattr(pdf, "render", lambda *_, **__: b"")
    monkeypatch.setattr(printing, "get_logo_image", lambda _: b"")
    monkeypatch.setattr(printing, "local_day", lambda moment: moment.date())
    for reviewed in (True, False):
        record = MagicMock(reviewed=reviewed)
        record.handout.language = record.recipient.language = "en"
        printing.render_written_pdf(record, {}, now(), discreet=True)
    assert given == [True, False]
