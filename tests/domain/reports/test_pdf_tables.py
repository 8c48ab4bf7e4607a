import io
import re
import shutil
import subprocess

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.transaction import transaction
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.pdf_tables import FEW, MIN_SHOWN, WITHHELD, build_table, format_total
from caseapp.domain.reports.queries import build_export_file
from caseapp.domain.reports.schemas import ReportFilter
from tests.support import builders, staff


def printed_numbers(*counts):
    return [
        row.text
        for row in build_table("By stage", [(str(n), n) for n in counts], to_share=True).rows
    ]


def test_small_numbers_are_withheld():
    assert printed_numbers(12, 4, 3, 0) == ["12", FEW, FEW, FEW]
    assert format_total(4, to_share=True) == FEW
    assert format_total(1234, to_share=True) == "1,234"


def test_number_that_subtraction_would_reveal_is_withheld():
    assert printed_numbers(12, 7, 2) == ["12", WITHHELD, FEW]
    assert printed_numbers(12, 7) == ["12", "7"]
    assert printed_numbers(12, 0) == ["12", FEW]
    assert printed_numbers(2, 1) == [FEW, FEW]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=9))
def test_total_minus_what_is_shown_is_never_a_small_number(counts):
    shown = [row.count for row in build_table("", [("", n) for n in counts], to_share=True).rows]
    assert all(count is None or count >= MIN_SHOWN for count in shown)
    hidden = sum(counts) - sum(count or 0 for count in shown)
    told_total = sum(counts) >= MIN_SHOWN
    assert not told_total or hidden == 0 or hidden >= MIN_SHOWN


@pytest.fixture
def printed(app):
    cast = staff.team()
    for _ in range(6):
        builders.case(cast["coach"])
    builders.case(cast["coach2"], goal="together")
    with transaction():
        export_id = create_export(cast["admin"], ReportFilter(status="open", to_share=True), "pdf")
    pieces, kind, name = build_export_file(cast["admin"], export_id)
    assert kind == "application/pdf"
    assert re.fullmatch(r"report-\d{4}-\d\d-\d\d-[0-9a-f]{6}\.pdf", name)
    return b"".join(pieces)


@pytest.mark.pdf
def test_report_as_pdf_withholds_small_numbers(printed):
    with pikepdf.open(io.BytesIO(printed)) as file:
        assert file.Root.MarkInfo.Marked
        assert str(file.Root.Lang) == "en-GB"
        assert str(file.docinfo["/Title"]).startswith("Case report, ")
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("pdftotext (poppler-utils) is not installed")
    text = subprocess.run(  # noqa: S603 - the reader that is installed
        [reader, "-layout", "-", "-"], input=printed, capture_output=True, check=True
    ).stdout.decode()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "Status Open" in lines
    assert "Cases 7" in lines
    # Seven in Steady and none elsewhere; six with no goal and one with: that one would show, so six is kept back.
    assert "Steady 7" in lines
    assert "Undecided withheld" in lines
    assert "Together fewer than 5" in lines
    assert "success rate" in text
    assert "Marta" not in text


def test_report_for_the_practice_shows_all_numbers():
    rows = build_table("By stage", [("Steady", 7), ("Close", 1)], to_share=False).rows
    assert [row.text for row in rows] == ["7", "1"]
    assert format_total(4, to_share=False) == "4"
