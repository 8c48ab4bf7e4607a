"""Files are complete or missing: the process is killed before each line that writes one (REL-08)."""

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

from caseapp.core import fonts, pdf, pdf_cache, settings

PAGE = '<html lang="en"><head><title>Cached</title></head><body><p>{text}</p></body></html>'
OLD = 2 * 3600


@pytest.fixture
def folder(session_app, tmp_path):
    """Use a data directory of its own, with the fonts that exist already."""
    before = settings.active()
    made = before.data_dir / "fonts"
    for face in fonts.FACES:
        fonts.print_font(face)
    (tmp_path / "fonts").symlink_to(made)
    settings.use(replace(before, data_dir=tmp_path))
    yield tmp_path
    settings.use(before)


def run_until_line(line, module, call):
    """Run a call in a fork that kills itself before the n-th executed line of a module; return its exit code."""
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

        # What measures the tests has this frame traced, and would take the next trace away.
        sys._getframe().f_trace = None  # noqa: SLF001
        sys.settrace(trace)
        try:
            call()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def render_cached(document):
    return pdf_cache.get_or_render(document, lambda: pdf.render(document))


def files(folder, *endings):
    return [path for path in folder.glob("pdf/*/*") if path.suffix in endings]


@pytest.mark.process
def test_cached_pdf_is_complete_or_missing_whenever_the_process_is_killed(folder):
    whole = pdf.render(PAGE.format(text="Whole."))
    partial_count, finished, line = 0, False, 0
    while not finished:
        line += 1
        document = PAGE.format(text=f"Killed before line {line}.")
        finished = run_until_line(line, pdf_cache, lambda d=document: render_cached(d)) == 0
        for file in files(folder, pdf_cache.PLAIN_SUFFIX):
            assert file.read_bytes()[:8] == whole[:8]
            assert file.read_bytes().rstrip().endswith(b"%%EOF")
        partial = [path for path in folder.glob("pdf/*/*") if path.suffix != pdf_cache.PLAIN_SUFFIX]
        partial_count += len(partial)
        for file in partial:
            os.utime(file, (time.time() - OLD, time.time() - OLD))
        there = len(files(folder, pdf_cache.PLAIN_SUFFIX))
        pdf_cache.delete_expired()
        # Partial files are deleted, complete ones are not.
        assert [
            path for path in folder.glob("pdf/*/*") if path.suffix != pdf_cache.PLAIN_SUFFIX
        ] == []
        assert len(files(folder, pdf_cache.PLAIN_SUFFIX)) == there
        assert render_cached(document) == render_cached(document)
        assert len(files(folder, pdf_cache.PLAIN_SUFFIX)) == line
    assert line > 15
    # Some kills must fall between the first byte and the rename, or the test proves nothing.
    assert partial_count >= 3


@pytest.mark.process
def test_full_disk_caches_nothing_and_still_returns_the_pdf(folder):
    document = PAGE.format(text="Too much.")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        pdf.render(document)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        os._exit(7 if render_cached(document).rstrip().endswith(b"%%EOF") else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert [*folder.glob("pdf/*/*")] == []
    assert render_cached(document).rstrip().endswith(b"%%EOF")


@pytest.mark.process
@pytest.mark.parametrize(("owner", "step"), [(TTFont, "save"), (os, "fsync"), (Path, "rename")])
def test_font_file_is_complete_or_missing(folder, owner, step):
    """Check this because a partial font file would break every later PDF."""
    (folder / "fonts").unlink()
    child = os.fork()
    if not child:
        setattr(owner, step, lambda *_args, **_kwargs: os.kill(os.getpid(), signal.SIGKILL))
        try:
            fonts.print_font("serif-600")
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    [temporary] = (folder / "fonts").iterdir()
    assert temporary.suffix != ".ttf"
    with TTFont(fonts.print_font("serif-600")) as font:
        assert "glyf" in font


@pytest.mark.slow
def test_font_file_is_flushed_before_it_is_renamed(folder, monkeypatch):
    """Check this because a power cut could otherwise leave an empty file under the final name."""
    (folder / "fonts").unlink()
    calls, flush, rename = [], os.fsync, Path.rename

    def record_fsync(number):
        calls.append("fsync")
        flush(number)

    def record_rename(path, target):
        calls.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "rename", record_rename)
    fonts.print_font("serif-600")
    assert calls[:2] == ["fsync", "rename"]


@pytest.mark.pdf
def test_symbolic_link_in_the_cache_is_not_followed(folder):
    document = PAGE.format(text="Whole.")
    whole = render_cached(document)
    [place] = files(folder, pdf_cache.PLAIN_SUFFIX)
    elsewhere = folder / "elsewhere.pdf"
    elsewhere.write_bytes(b"%PDF of somebody else")
    place.unlink()
    place.symlink_to(elsewhere)
    assert render_cached(document) == whole
    assert not place.is_symlink()
    assert place.read_bytes() == whole
    assert elsewhere.read_bytes() == b"%PDF of somebody else"
