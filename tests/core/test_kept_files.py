"""Files are there whole or not at all: the process is killed before each line that makes one (REL-08)."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from caseapp.core import fonts, pdf, settings

PAGE = '<html lang="en"><head><title>Kept</title></head><body><p>{words}</p></body></html>'
OLD = 2 * 3600


@pytest.fixture
def folder(the_app, tmp_path):
    """Let the files of this test lie apart from all others; the fonts are those that are there already."""
    before = settings.active()
    made = before.data_dir / "fonts"
    for face in fonts.FACES:
        fonts.print_font(face)
    (tmp_path / "fonts").symlink_to(made)
    settings.use(replace(before, data_dir=tmp_path))
    yield tmp_path
    settings.use(before)


def died_before(line, module, work):
    """Do some work in a fork that kills itself before the n-th line of a module that it comes to; tell how it ended."""
    child = os.fork()
    if not child:
        seen = 0

        def trace(frame, event, _argument):
            nonlocal seen
            if frame.f_code.co_filename != module.__file__:
                return None
            if event == "line":
                seen += 1
                if seen == line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kept(document):
    return pdf.get_or_render(document, lambda: pdf.render(document))


def files(folder, *endings):
    return [path for path in folder.glob("pdf/*/*") if path.suffix in endings]


@pytest.mark.process
def test_a_pdf_is_kept_whole_or_not_at_all_whenever_the_process_is_killed(folder):
    whole = pdf.render(PAGE.format(words="Whole."))
    drafts, finished, line = 0, False, 0
    while not finished:
        line += 1
        document = PAGE.format(words=f"Killed before line {line}.")
        finished = died_before(line, pdf, lambda d=document: kept(d)) == 0
        for file in files(folder, pdf.PLAIN_SUFFIX):
            assert file.read_bytes()[:8] == whole[:8]
            assert file.read_bytes().rstrip().endswith(b"%%EOF")
        half = [path for path in folder.glob("pdf/*/*") if path.suffix != pdf.PLAIN_SUFFIX]
        drafts += len(half)
        for draft in half:
            os.utime(draft, (time.time() - OLD, time.time() - OLD))
        there = len(files(folder, pdf.PLAIN_SUFFIX))
        pdf.sweep()
        # What was left half written is gone, and nothing that was whole.
        assert [path for path in folder.glob("pdf/*/*") if path.suffix != pdf.PLAIN_SUFFIX] == []
        assert len(files(folder, pdf.PLAIN_SUFFIX)) == there
        assert kept(document) == kept(document)
        assert len(files(folder, pdf.PLAIN_SUFFIX)) == line
    assert line > 15
    # Some of the deaths fell between the first byte and the name, or this proved nothing.
    assert drafts >= 3


@pytest.mark.process
def test_a_full_disk_keeps_nothing_and_holds_nothing_back(folder):
    document = PAGE.format(words="Too much.")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        pdf.render(document)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        os._exit(7 if kept(document).rstrip().endswith(b"%%EOF") else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert [*folder.glob("pdf/*/*")] == []
    assert kept(document).rstrip().endswith(b"%%EOF")


@pytest.mark.process
@pytest.mark.parametrize(("owner", "step"), [(TTFont, "save"), (os, "fsync"), (Path, "rename")])
def test_a_font_is_made_whole_or_not_at_all(folder, owner, step):
    """Half a font under its name would spoil every PDF from then on."""
    (folder / "fonts").unlink()
    child = os.fork()
    if not child:
        setattr(owner, step, lambda *_given, **_more: os.kill(os.getpid(), signal.SIGKILL))
        try:
            fonts.print_font("serif-600")
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    [draft] = (folder / "fonts").iterdir()
    assert draft.suffix != ".ttf"
    with TTFont(fonts.print_font("serif-600")) as font:
        assert "glyf" in font


@pytest.mark.slow
def test_a_font_is_written_through_before_it_gets_its_name(folder, monkeypatch):
    """A power cut could otherwise leave an empty file under the name of a whole one."""
    (folder / "fonts").unlink()
    done, flush, rename = [], os.fsync, Path.rename

    def note_flush(number):
        done.append("flush")
        flush(number)

    def note_name(path, target):
        done.append("name")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "rename", note_name)
    fonts.print_font("serif-600")
    assert done[:2] == ["flush", "name"]


@pytest.mark.pdf
def test_a_link_in_the_place_of_a_kept_pdf_is_not_followed(folder):
    document = PAGE.format(words="Whole.")
    whole = kept(document)
    [place] = files(folder, pdf.PLAIN_SUFFIX)
    elsewhere = folder / "elsewhere.pdf"
    elsewhere.write_bytes(b"%PDF of somebody else")
    place.unlink()
    place.symlink_to(elsewhere)
    assert kept(document) == whole
    assert not place.is_symlink()
    assert place.read_bytes() == whole
    assert elsewhere.read_bytes() == b"%PDF of somebody else"
