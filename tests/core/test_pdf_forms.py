from __future__ import annotations

import io

import pikepdf
import pytest

from caseapp.core import pdf_forms, uploads
from caseapp.core.pdf_forms import MAX_FILE_BYTES, UnreadableForm, read_form_fields
from tests.core.sandboxes import make_pool
from tests.domain.worksheets import sample_files

pytestmark = pytest.mark.pdf


def get_error(data):
    with pytest.raises(UnreadableForm) as found:
        read_form_fields(data)
    return str(found.value)


def without_text_name(found):
    """Name fields as a handout does, without the name of the text that they stand in."""
    return {name.partition(".")[2]: value for name, value in found.items()}


def test_read_form_fields_reads_every_kind_of_field(app):
    data = sample_files.filled(
        sample_files.blank(sample_files.PAUSE),
        {"body_signs.2": True, "what_happened": sample_files.ABROAD},
    )
    found = without_text_name(read_form_fields(data))
    assert found["body_signs.2"] == "on"
    assert found["body_signs.1"] == ""
    assert found["what_happened"] == sample_files.ABROAD
    assert found["next_step"] == ""


def test_nested_field_is_read_under_its_full_name():
    pdf = pikepdf.new()
    pdf.add_blank_page()
    kid = pikepdf.Dictionary(T=pikepdf.String("b"), V=pikepdf.String("words"))
    top = pikepdf.Dictionary(
        T=pikepdf.String("a"), FT=pikepdf.Name.Tx, Kids=pikepdf.Array([pdf.make_indirect(kid)])
    )
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([pdf.make_indirect(top)]))
    assert read_form_fields(sample_files.saved(pdf)) == {"a.b": "words"}


def test_scripts_actions_and_attachments_are_ignored(app):
    plain = sample_files.filled(sample_files.blank(sample_files.PAUSE), {"what_happened": "Rang."})
    armed = sample_files.filled(
        sample_files.blank(sample_files.PAUSE),
        {"what_happened": "Rang."},
        sample_files.with_scripts,
    )
    with pikepdf.open(io.BytesIO(armed)) as pdf:
        assert "/OpenAction" in pdf.Root
        assert "run.exe" in pdf.attachments
    assert read_form_fields(armed) == read_form_fields(plain)


def test_polyglot_is_read_only_as_a_pdf(app):
    data = sample_files.filled(sample_files.blank(sample_files.PAUSE), {"what_happened": "Rang."})
    page = b"<html><script>alert(1)</script></html>"
    assert without_text_name(read_form_fields(data + b"\n" + page))["what_happened"] == "Rang."
    assert get_error(page + data) == "not_pdf"
    assert get_error(b"PK\x03\x04" + data) == "not_pdf"


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: b"", "not_pdf"),
        (lambda: b"\xff\xd8\xff\xe0 a photo", "not_pdf"),
        (lambda: b"%PDF-1.7\n" + b"x" * MAX_FILE_BYTES, "too_big"),
        (sample_files.scan, "no_form"),
        (lambda: sample_files.locked(sample_files.scan()), "locked"),
        (lambda: sample_files.locked(sample_files.scan(), user=""), "locked"),
        (lambda: b"%PDF-1.7\nnothing valid follows", "broken"),
        (lambda: sample_files.scan()[:200], "broken"),
    ],
)
def test_unreadable_file_reports_why(make, found):
    assert get_error(make()) == found


@pytest.mark.parametrize(
    "make", [sample_files.endless, sample_files.crowded, sample_files.nested, sample_files.bomb]
)
def test_hostile_file_ends_only_its_worker(app, make):
    data = make()
    assert len(data) < MAX_FILE_BYTES
    assert get_error(data) in {"too_much", "broken", "no_form"}
    good = sample_files.filled(sample_files.blank(sample_files.PAUSE), {"what_happened": "Rang."})
    assert without_text_name(read_form_fields(good))["what_happened"] == "Rang."


@pytest.mark.process
def test_server_that_cannot_start_is_reported_as_busy(monkeypatch):
    monkeypatch.setattr(uploads, "_pool", make_pool("OSError"))
    assert get_error(sample_files.scan()) == "busy"


class AnsweringPool:
    """A pool whose workers have been taken over: they answer with what the file says."""

    def run(self, job):
        return job.removeprefix(uploads.FORM + pdf_forms.MAGIC)


@pytest.mark.parametrize(
    "answer",
    [b"", b"words", b"[]", b'"a"', b'{"a": 1}', b'{"a": {"b": "c"}}', b"\xff", b"[" * 100_000],
)
def test_worker_that_answers_anything_but_fields_is_refused(monkeypatch, answer):
    monkeypatch.setattr(uploads, "_pool", AnsweringPool())
    assert get_error(pdf_forms.MAGIC + answer) == "broken"
    monkeypatch.setattr(pdf_forms, "MAGIC", b"")
    assert read_form_fields(b'{"a": "b"}') == {"a": "b"}
