"""PDF rendering: deterministic, without network access, within limits, and cached."""

import io
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from functools import cache
from uuid import UUID

import pikepdf
import pytest

from caseapp.core import pdf, pdf_cache, settings, vault
from caseapp.core.errors import RenderFailed, RuleBroken
from caseapp.core.fonts import FACES
from caseapp.core.sandbox.pool import SandboxPool
from caseapp.core.sandbox.protocol import JobRefused
from tests.core.sandboxes import make_pool

PAGE = '<!doctype html><html lang="en-GB"><head><title>{title}</title></head><body>{body}</body></html>'


def page(body, title="A page"):
    return PAGE.format(title=title, body=body)


@pytest.mark.pdf
def test_render_twice_gives_the_same_bytes(session_app):
    document = page('<h1>Hello</h1><p>A word.</p><input type="text" name="a" title="A">')
    first = pdf.render(document)
    assert first.startswith(b"%PDF-1.7")
    assert pdf.render(document) == first


@pytest.mark.process
def test_render_in_another_process_gives_the_same_bytes_without_importing_weasyprint(
    session_app, tmp_path
):
    document = page('<h1>Hello</h1><textarea name="a" title="A"></textarea>')
    script = (
        "import os, sys;"
        "from caseapp.core import pdf, settings;"
        "from tests.support.patience import be_patient;"
        "settings.use(settings.load_settings(os.environ)); be_patient();"
        "pdf.start_pool(); made = pdf.render(sys.argv[1]);"
        "assert 'weasyprint' not in sys.modules;"
        "sys.stdout.buffer.write(made)"
    )
    elsewhere = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script, document],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONHASHSEED": "7",
            "CASEAPP_ENV": "test",
            "CASEAPP_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        check=True,
    )
    assert elsewhere.stdout == pdf.render(document)
    made = [path.name.partition(".")[0] for path in (tmp_path / "fonts").iterdir()]
    assert sorted(made) == sorted(FACES)


@pytest.mark.pdf
def test_worker_gives_the_same_bytes_as_a_renderer_in_this_process(session_app):
    """Expect this whether fonts were loaded before the fork or, where Pango starts a thread, after it."""
    document = page('<h1>Hello</h1><textarea name="a" title="A"></textarea><p><b>x</b></p>')
    made = pdf.render(document)
    assert pdf.Renderer(pdf.get_font_files()).render_document(document, "handout.css") == made
    assert pdf.Renderer(pdf.get_font_files()).render_document(document, "handout.css") == made


@pytest.mark.slow
def test_document_is_not_affected_by_earlier_ones(session_app, listener):
    """A used renderer gives the bytes of a new one, after other documents and after failures."""
    document = page('<h1>Hello</h1><ul><li>One</li></ul><input type="text" name="a" title="A">')
    fresh = pdf.Renderer(pdf.get_font_files()).render_document(document, "handout.css")
    used = pdf.Renderer(pdf.get_font_files())
    others = (
        *(filled(body, listener) for body in REFUSED),
        "<style>h1 { color: red } @page { size: A6 }</style><h1 id='a'>Ola Ñandú</h1><a href='#a'>x</a>",
        "<p style='counter-increment: page 7; string-set: a \"x\"'>x</p><ol start='9'><li>x</li></ol>",
        "<style>@counter-style disc { system: cyclic; symbols: '*' }</style><ul><li>x</li></ul>",
        "<p style='font-size:1e7px'>x y</p>",
    )
    for other in others:
        with suppress(JobRefused, ZeroDivisionError):
            used.render_document(other, "handout.css")
        assert used.render_document(document, "handout.css") == fresh


@pytest.mark.pdf
@pytest.mark.parametrize(
    "source",
    ["url(caseapp-font:serif-600)", 'local("App Serif")', "url(data:font/ttf;base64,AA==)"],
)
def test_document_with_a_font_face_is_refused(session_app, source):
    """The face would affect every later document of the same worker."""
    face = f"<style>@font-face {{ font-family: 'App Sans'; src: {source} }}</style>"
    with pytest.raises(RenderFailed) as refused:
        pdf.render(page(f"{face}<p>x</p>"))
    assert refused.value.cause == "outside"


@pytest.fixture
def listener():
    """Yield a listening socket and check that nobody connected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


# Every way to load something from outside: the vectors of SEC-31 and a few more.
REFUSED = (
    '<img src="{web}/a.png">',
    '<img src="file:///etc/hostname">',
    '<img src="//127.0.0.1/a.png"><base href="{web}/">',
    '<base href="{web}/"><img src="a.svg">',
    '<img src="{ftp}/a.png">',
    '<img src="{tls}/a.png">',
    '<link rel="stylesheet" href="{web}/a.css">',
    '<link rel="stylesheet" href="data:text/css,p%7B%7D">',
    '<link rel="attachment" href="{web}/a">',
    '<link rel="attachment" href="file:///etc/hostname">',
    '<a rel="attachment" href="{web}/a">x</a>',
    '<a rel="attachment" href="file:///etc/hostname">x</a>',
    '<p style="background: url({web}/a.png)">x</p>',
    '<ul style="list-style-image: url({web}/a.png)"><li>x</li></ul>',
    '<style>@import url("{web}/a.css");</style>',
    '<style>@import url("file:///etc/hostname");</style>',
    "<style>body {{ background: url({web}/a.svg) }}</style>",
    "<style>@page {{ background: url({web}/a.png) }}</style>",
    "<style>p::before {{ content: url({web}/a.png) }}</style><p>x</p>",
    '<style>@font-face {{ font-family: x; src: url("{web}/f.woff"); }} p {{ font-family: x }}</style><p>x</p>',
    '<style>@font-face {{ font-family: x; src: url("file:///etc/hostname"); }}</style>',
    '<style>@font-face {{ font-family: y; src: url("caseapp-font:other"); }}</style>',
    '<object data="{web}/a.svg"></object>',
    '<embed src="{web}/a.svg">',
    '<embed src="caseapp-font:../../etc/hostname">',
    '<img src="data:image/svg+xml,%3Csvg/%3E">',
    '<img src="data:text/html,x">',
)
# WeasyPrint does not support these or ignores errors inside an SVG: the result is a page without them.
IGNORED = (
    '<svg><image href="{web}/a.png" width="5" height="5"/></svg>',
    '<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="file:///etc/hostname" width="5"/></svg>',
    '<svg><use href="{web}/a.svg#a"/></svg>',
    '<svg><style>@import "{web}/a.css";</style><rect width="1" height="1"/></svg>',
    '<img srcset="{web}/a.png 1x">',
    '<meta http-equiv="refresh" content="0;url={web}/a">',
    '<iframe src="{web}/a"></iframe>',
)


def filled(body, listener):
    at = f"127.0.0.1:{listener.getsockname()[1]}"
    return page(body.format(web=f"http://{at}", tls=f"https://{at}", ftp=f"ftp://{at}"))


@pytest.mark.pdf
@pytest.mark.parametrize("body", REFUSED)
def test_document_that_refers_outside_is_refused(session_app, listener, body):
    """Files, other machines, redirects (VULN-29)."""
    with pytest.raises(RenderFailed, match="loads content from elsewhere") as refused:
        pdf.render(filled(body, listener))
    assert refused.value.cause == "outside"


@pytest.mark.pdf
@pytest.mark.parametrize("body", IGNORED)
def test_ignored_reference_leaves_no_image_or_file(session_app, listener, body):
    made = pdf.render(filled(body, listener))
    assert b"/Image" not in made
    with pikepdf.open(io.BytesIO(made)) as document:
        assert dict(document.attachments) == {}
        for found in document.objects:
            if isinstance(found, pikepdf.Dictionary):
                assert found.get("/Type") not in {"/Filespec", "/EmbeddedFile"}


@pytest.mark.pdf
@pytest.mark.parametrize("body", [*REFUSED, *IGNORED])
def test_renderer_in_this_process_connects_nowhere(session_app, listener, body):
    """Here only the fetcher prevents it, since a worker may also lack a network."""
    with pytest.raises(JobRefused, match="outside") if body in REFUSED else nullcontext():
        shared_renderer().render_document(filled(body, listener), "handout.css")


@cache
def shared_renderer():
    """Return one renderer for these tests; it does not depend on later settings."""
    return pdf.Renderer(pdf.get_font_files())


# Which limit such a document reaches first depends on the speed of the machine.
ANY_LIMIT = {"time", "memory", "ended", "too_big"}
BOMBS = {
    "cell over 100,000 columns": ("<table><tr><td colspan=100000>x</td></tr></table>", ANY_LIMIT),
    "5,000 nested boxes": ("<div>" * 5000, {"RecursionError"} | ANY_LIMIT),
    "font size of ten million pixels": (
        '<p style="font-size:1e7px">x y</p>',
        {"ZeroDivisionError"},
    ),
    "ten thousand pages": ("<p>word</p>" * 500_000, {"too_big"}),
    "sixty pages": ("<p>word</p>" * 3000, {"too_big"} | ANY_LIMIT),
    "endless table": ("<table>" + ("<tr>" + "<td>x" * 50) * 3000, ANY_LIMIT),
    "memory": (
        f"<table><tr>{'<td rowspan=65000>x' * 60}" + "<tr><td>x" * 65_000,
        ANY_LIMIT,
    ),
}


@pytest.fixture(scope="module")
def impatient_workers(session_app):
    """Give workers with less processor time for a document, so that a bomb is over soon."""
    limits = replace(pdf._pool.limits, cpu_seconds=2)  # noqa: SLF001
    codes = frozenset({pdf.OUTSIDE})
    with closing(
        SandboxPool("caseapp.core.pdf", files=pdf.get_font_files, limits=limits, codes=codes)
    ) as made:
        yield made


@pytest.mark.pdf
@pytest.mark.parametrize("name", BOMBS)
def test_resource_bomb_fails_cleanly_while_others_are_rendered(
    impatient_workers, monkeypatch, name
):
    """Table cells without end, deep nesting, huge letters (VULN-35)."""
    monkeypatch.setattr(pdf, "_pool", impatient_workers)
    body, causes = BOMBS[name]
    small = page("<h1>Hello</h1>")
    wanted = pdf.render(small)
    found = []

    def render_bomb():
        with pytest.raises(RenderFailed) as failed:
            pdf.render(page(body))
        found.append(failed.value)

    bomb = threading.Thread(target=render_bomb)
    bomb.start()
    assert pdf.render(small) == wanted
    bomb.join()
    assert found[0].cause in causes
    assert "Nothing was changed" in found[0].message
    assert pdf.render(small) == wanted


@pytest.mark.parametrize("char", ["漢", "🙂", "ע", "&#x4e00;"])
def test_missing_glyph_is_refused_before_rendering(session_app, char):
    with pytest.raises(RuleBroken) as refused:
        pdf.render(page(f"<p>A {char} here</p>"))
    assert refused.value.reasons[0].code == "missing_glyphs"


@pytest.mark.pdf
@pytest.mark.parametrize(
    "text", ["Größe, ñandú, Łódź, Đặng", "\u201cquoted\u201d \u2013 and so on\u2026", "€ ☐ ✓"]
)
def test_printable_characters_are_accepted(session_app, text):
    assert pdf.render(page(f"<p>{text}</p>"))


def render_cached(document, key=None):
    return pdf_cache.get_or_render(document, lambda: pdf.render(document), key=key)


@pytest.mark.pdf
def test_document_is_rendered_once_and_then_read_from_the_cache(session_app, monkeypatch):
    document = page("<p>Cached once.</p>")
    first = render_cached(document)
    monkeypatch.setattr(pdf, "render", lambda *_args, **_more: pytest.fail("rendered again"))
    assert render_cached(document) == first
    folder = settings.active().data_dir / "pdf"
    assert [*folder.rglob("*.pdf")]
    whole = {pdf_cache.PLAIN_SUFFIX, pdf_cache.SEALED_SUFFIX}
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix not in whole]


@pytest.mark.process
@pytest.mark.parametrize("fault", ["OSError", "ImportError"])
def test_missing_pango_or_failed_start_is_reported(session_app, monkeypatch, fault):
    monkeypatch.setattr(pdf, "_pool", make_pool(fault))
    for attempt in (pdf.start_pool, lambda: pdf.render(page("<p>x</p>"))):
        with pytest.raises((RuleBroken, RenderFailed)) as refused:
            attempt()
        if fault == "OSError":
            assert isinstance(refused.value, RuleBroken)
            assert refused.value.reasons[0].code == "pdf_unavailable"
            assert "libpango" in refused.value.reasons[0].way_out
        else:
            assert isinstance(refused.value, RenderFailed)
            assert refused.value.cause == "not_ready"


KEY = vault.DataKey(UUID(int=1), b"k" * 32)
OTHER = vault.DataKey(UUID(int=2), b"o" * 32)


def files():
    return {path for path in (settings.active().data_dir / "pdf").rglob("*") if path.is_file()}


@pytest.mark.pdf
def test_cached_file_of_a_client_is_encrypted_and_named_by_the_key(session_app, monkeypatch):
    document, before = page("<p>For Quetzalcoatl.</p>"), files()
    made = render_cached(document, key=KEY)
    [file] = files() - before
    assert file.suffix == ".sealed"
    assert made not in file.read_bytes()
    plain = render_cached(document)
    assert plain == made == render_cached(document, key=OTHER)
    assert len(files() - before) == 3
    monkeypatch.setattr(pdf, "render", lambda *_args, **_more: pytest.fail("rendered again"))
    assert render_cached(document, key=KEY) == made


@pytest.mark.pdf
@pytest.mark.parametrize("damage", ["changed", "cut", "other client's"])
def test_damaged_encrypted_file_is_rendered_again(session_app, damage):
    document, before = page(f"<p>{damage}</p>"), files()
    made = render_cached(document, key=KEY)
    [file] = files() - before
    stored = file.read_bytes()
    render_cached(document, key=OTHER)
    [theirs] = files() - before - {file}
    wrong = {
        "changed": stored[:-1] + b"\0",
        "cut": stored[:20],
        "other client's": theirs.read_bytes(),
    }
    file.write_bytes(wrong[damage])
    assert render_cached(document, key=KEY) == made
    assert file.read_bytes() not in wrong.values()


@pytest.mark.pdf
def test_file_and_then_folder_are_flushed_to_disk(session_app, monkeypatch):
    """After a power cut the file must be complete or missing; POSIX requires both to be flushed."""
    flushed, real = [], os.fsync

    def record_fsync(number):
        flushed.append(stat.S_ISDIR(os.fstat(number).st_mode))
        real(number)

    monkeypatch.setattr(os, "fsync", record_fsync)
    render_cached(page("<p>Written through.</p>"))
    assert flushed == [False, True]


@pytest.mark.pdf
def test_sweep_deletes_old_and_abandoned_files_only(session_app):
    render_cached(page("<p>Fresh.</p>"))
    [fresh, *_] = files()
    old, ageing, draft, writing = (
        fresh.with_name(name) for name in ("a.pdf", "b.sealed", "c.12-34", "d.12-34")
    )
    now = time.time()
    for file, days in ((old, 91), (ageing, 89), (draft, 1), (writing, 0)):
        file.write_bytes(b"x")
        os.utime(file, (now - days * 86_400, now - days * 86_400))
    pdf_cache.delete_expired()
    left = files()
    assert {fresh, ageing, writing} <= left
    assert not {old, draft} & left
    ageing.unlink()
    writing.unlink()
    assert render_cached(page("<p>Fresh.</p>")).startswith(b"%PDF")


@pytest.mark.pdf
def test_document_over_the_page_limit_needs_a_higher_limit(session_app):
    long = page("<p style='break-after: page'>x</p>" * 45)
    with pytest.raises(RenderFailed) as refused:
        pdf.render(long)
    assert refused.value.cause == "too_big"
    assert pdf.render(long, max_pages=60).startswith(b"%PDF")
