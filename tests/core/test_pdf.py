"""The press: deterministic, tagged, deaf to every address, and honest about what it cannot print."""

import io
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from functools import cache
from uuid import UUID

import pikepdf
import pytest

from caseapp.core import pdf, settings, vault
from caseapp.core.errors import RenderFailed, RuleBroken
from caseapp.core.fonts import FACES
from caseapp.core.sandbox import supervisor
from caseapp.core.sandbox.pool import SandboxPool

PAGE = '<!doctype html><html lang="en-GB"><head><title>{title}</title></head><body>{body}</body></html>'


def page(body, title="A page"):
    return PAGE.format(title=title, body=body)


@pytest.mark.pdf
def test_the_same_document_gives_the_same_bytes(the_app):
    document = page('<h1>Hello</h1><p>A word.</p><input type="text" name="a" title="A">')
    first = pdf.render(document)
    assert first.startswith(b"%PDF-1.7")
    assert pdf.render(document) == first


@pytest.mark.process
def test_another_process_gives_the_same_bytes(the_app, tmp_path):
    document = page('<h1>Hello</h1><textarea name="a" title="A"></textarea>')
    script = (
        "import os, sys;"
        "from caseapp.core import pdf, settings;"
        "settings.use(settings.load_settings(os.environ));"
        "pdf.start_pool();"
        "sys.stdout.buffer.write(pdf.render(sys.argv[1]))"
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


@pytest.mark.pdf
def test_a_hand_gives_the_same_bytes_as_a_press_of_ours(the_app):
    """Whether the fonts were loaded before the fork or, where Pango keeps a thread of its own, after it."""
    document = page('<h1>Hello</h1><textarea name="a" title="A"></textarea><p><b>x</b></p>')
    made = pdf.render(document)
    assert pdf.Renderer(pdf.get_font_files()).render_document(document, "handout.css") == made
    assert pdf.Renderer(pdf.get_font_files()).render_document(document, "handout.css") == made


@pytest.mark.slow
def test_nothing_of_a_document_reaches_the_next(the_app, listener):
    """The hands lay out many: the bytes are those of a fresh press, after other documents and after failures."""
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
        with suppress(supervisor.JobRefused, ZeroDivisionError):
            used.render_document(other, "handout.css")
        assert used.render_document(document, "handout.css") == fresh


@pytest.mark.pdf
@pytest.mark.parametrize(
    "source",
    ["url(caseapp-font:serif-600)", 'local("App Serif")', "url(data:font/ttf;base64,AA==)"],
)
def test_a_document_brings_no_face_of_its_own(the_app, source):
    """It would be there for every later document of the same hand."""
    face = f"<style>@font-face {{ font-family: 'App Sans'; src: {source} }}</style>"
    with pytest.raises(RenderFailed) as refused:
        pdf.render(page(f"{face}<p>x</p>"))
    assert refused.value.cause == "outside"


@pytest.fixture
def listener():
    """Listen on loopback, so that a fetch would be heard."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


# What each would fetch if it could: the vectors of SEC-31 and a few of our own.
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
# WeasyPrint knows these not at all, or swallows what goes wrong inside a drawing: they end in a page without them.
BLANK = (
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
def test_nothing_outside_the_document_is_fetched(the_app, listener, body):
    with pytest.raises(RenderFailed, match="something outside itself") as refused:
        pdf.render(filled(body, listener))
    assert refused.value.cause == "outside"


@pytest.mark.pdf
@pytest.mark.parametrize("body", BLANK)
def test_what_is_passed_over_leaves_nothing_behind(the_app, listener, body):
    made = pdf.render(filled(body, listener))
    assert b"/Image" not in made
    with pikepdf.open(io.BytesIO(made)) as document:
        assert dict(document.attachments) == {}
        for found in document.objects:
            if isinstance(found, pikepdf.Dictionary):
                assert found.get("/Type") not in {"/Filespec", "/EmbeddedFile"}


@pytest.mark.pdf
@pytest.mark.parametrize("body", [*REFUSED, *BLANK])
def test_the_press_itself_asks_nobody(the_app, listener, body):
    """Whether or not the machine lets a hand leave the network: here nothing but the fetcher is in the way."""
    with pytest.raises(supervisor.JobRefused, match="outside") if body in REFUSED else nullcontext():
        press().render_document(filled(body, listener), "handout.css")


@cache
def press():
    """Load one press for these tests; it outlives the settings that it was made with."""
    return pdf.Renderer(pdf.get_font_files())


# Which limit such a document meets first depends on how quick the machine is.
WHICHEVER = {"ended", "late", "too_big"}
BOMBS = {
    "a cell over 100,000 columns": ("<table><tr><td colspan=100000>x</td></tr></table>", WHICHEVER),
    "5,000 boxes in one another": ("<div>" * 5000, {"RecursionError"} | WHICHEVER),
    "letters of ten million pixels": (
        '<p style="font-size:1e7px">x y</p>',
        {"ZeroDivisionError"},
    ),
    "ten thousand pages": ("<p>word</p>" * 500_000, {"too_big"}),
    "sixty pages": ("<p>word</p>" * 3000, {"too_big"} | WHICHEVER),
    "a table without end": ("<table>" + ("<tr>" + "<td>x" * 50) * 3000, WHICHEVER),
    "memory": (
        f"<table><tr>{'<td rowspan=65000>x' * 60}" + "<tr><td>x" * 65_000,
        WHICHEVER | {"MemoryError"},
    ),
}


@pytest.mark.pdf
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_a_clean_failure_while_others_are_served(the_app, name):
    body, causes = BOMBS[name]
    small = page("<h1>Hello</h1>")
    wanted = pdf.render(small)
    found = []

    def light():
        with pytest.raises(RenderFailed) as failed:
            pdf.render(page(body))
        found.append(failed.value)

    bomb = threading.Thread(target=light)
    bomb.start()
    assert pdf.render(small) == wanted
    bomb.join()
    assert found[0].cause in causes
    assert "Nothing was changed" in found[0].message
    assert pdf.render(small) == wanted


@pytest.mark.parametrize("sign", ["漢", "🙂", "ע", "&#x4e00;"])
def test_a_character_without_a_glyph_is_noticed_before_rendering(the_app, sign):
    with pytest.raises(RuleBroken) as refused:
        pdf.render(page(f"<p>A {sign} here</p>"))
    assert refused.value.reasons[0].code == "missing_glyphs"


@pytest.mark.pdf
@pytest.mark.parametrize(
    "text", ["Größe, ñandú, Łódź, Đặng", "\u201cquoted\u201d \u2013 and so on\u2026", "€ ☐ ✓"]
)
def test_what_the_fonts_can_print_passes(the_app, text):
    assert pdf.render(page(f"<p>{text}</p>"))


def kept(document, key=None):
    return pdf.get_or_render(document, lambda: pdf.render(document), key=key)


@pytest.mark.pdf
def test_a_document_is_rendered_once_and_kept_whole(the_app, monkeypatch):
    document = page("<p>Kept once.</p>")
    first = kept(document)
    monkeypatch.setattr(pdf, "render", lambda *_args, **_more: pytest.fail("it was rendered again"))
    assert kept(document) == first
    folder = settings.active().data_dir / "pdf"
    assert [*folder.rglob("*.pdf")]
    whole = {pdf.PLAIN_SUFFIX, pdf.SEALED_SUFFIX}
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix not in whole]


@pytest.mark.process
@pytest.mark.parametrize("fault", ["OSError", "ImportError"])
def test_a_machine_that_cannot_make_pdfs_says_so(the_app, monkeypatch, fault):
    broken = SandboxPool("tests.core.sandbox_jobs", lambda: [fault])
    monkeypatch.setattr(pdf, "_pool", broken)
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


@pytest.mark.process
def test_the_program_itself_never_loads_the_engine(the_app, tmp_path):
    script = (
        "import os, sys;"
        "from caseapp.core import pdf, settings;"
        "settings.use(settings.load_settings(os.environ));"
        "pdf.start_pool(); pdf.render(sys.argv[1]);"
        "print('weasyprint' in sys.modules)"
    )
    asked = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script, page("<p>x</p>")],
        env={
            "PATH": os.environ["PATH"],
            "CASEAPP_ENV": "test",
            "CASEAPP_DATA_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == "False"
    made = [path.name.partition(".")[0] for path in (tmp_path / "fonts").iterdir()]
    assert sorted(made) == sorted(FACES)


KEY = vault.DataKey(UUID(int=1), b"k" * 32)
OTHER = vault.DataKey(UUID(int=2), b"o" * 32)


def files():
    return {path for path in (settings.active().data_dir / "pdf").rglob("*") if path.is_file()}


@pytest.mark.pdf
def test_what_is_about_somebody_is_kept_sealed_and_named_by_their_key(the_app, monkeypatch):
    document, before = page("<p>For Quetzalcoatl.</p>"), files()
    made = kept(document, key=KEY)
    [file] = files() - before
    assert file.suffix == ".sealed"
    assert made not in file.read_bytes()
    plain = kept(document)
    assert plain == made == kept(document, key=OTHER)
    assert len(files() - before) == 3
    monkeypatch.setattr(pdf, "render", lambda *_args, **_more: pytest.fail("it was rendered again"))
    assert kept(document, key=KEY) == made


@pytest.mark.pdf
@pytest.mark.parametrize("damage", ["changed", "cut", "another's"])
def test_a_sealed_file_that_is_not_what_was_kept_is_made_anew(the_app, damage):
    document, before = page(f"<p>{damage}</p>"), files()
    made = kept(document, key=KEY)
    [file] = files() - before
    stored = file.read_bytes()
    kept(document, key=OTHER)
    [theirs] = files() - before - {file}
    wrong = {"changed": stored[:-1] + b"\0", "cut": stored[:20], "another's": theirs.read_bytes()}
    file.write_bytes(wrong[damage])
    assert kept(document, key=KEY) == made
    assert file.read_bytes() not in wrong.values()


@pytest.mark.pdf
def test_the_folder_is_written_through_after_the_file(the_app, monkeypatch):
    """What a power cut leaves is either the whole file under its name or none: POSIX wants both flushed."""
    flushed, real = [], os.fsync

    def note(number):
        flushed.append(stat.S_ISDIR(os.fstat(number).st_mode))
        real(number)

    monkeypatch.setattr(os, "fsync", note)
    kept(page("<p>Written through.</p>"))
    assert flushed == [False, True]


@pytest.mark.pdf
def test_what_a_crash_leaves_behind_is_swept_and_so_is_what_is_old(the_app):
    kept(page("<p>Fresh.</p>"))
    [fresh, *_] = files()
    old, ageing, draft, writing = (
        fresh.with_name(name) for name in ("a.pdf", "b.sealed", "c.12-34", "d.12-34")
    )
    now = time.time()
    for file, days in ((old, 91), (ageing, 89), (draft, 1), (writing, 0)):
        file.write_bytes(b"x")
        os.utime(file, (now - days * 86_400, now - days * 86_400))
    pdf.sweep()
    left = files()
    assert {fresh, ageing, writing} <= left
    assert not {old, draft} & left
    ageing.unlink()
    writing.unlink()
    assert kept(page("<p>Fresh.</p>")).startswith(b"%PDF")


@pytest.mark.pdf
def test_a_longer_document_needs_to_be_asked_for(the_app):
    long = page("<p style='break-after: page'>x</p>" * 45)
    with pytest.raises(RenderFailed) as refused:
        pdf.render(long)
    assert refused.value.cause == "too_big"
    assert pdf.render(long, max_pages=60).startswith(b"%PDF")
