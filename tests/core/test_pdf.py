"""The press: deterministic, tagged, deaf to every address, and honest about what it cannot print."""

import os
import socket
import subprocess
import sys

import pytest

from caseapp.core import pdf, settings
from caseapp.core.errors import RuleBroken

PAGE = '<!doctype html><html lang="en-GB"><head><title>{title}</title></head><body>{body}</body></html>'


def page(body, title="A page"):
    return PAGE.format(title=title, body=body)


def test_the_same_document_gives_the_same_bytes(the_app):
    document = page('<h1>Hello</h1><p>A word.</p><input type="text" name="a" title="A">')
    first = pdf.render(document)
    assert first.startswith(b"%PDF-1.7")
    assert pdf.render(document) == first


def test_another_process_gives_the_same_bytes(the_app, tmp_path):
    document = page('<h1>Hello</h1><textarea name="a" title="A"></textarea>')
    script = (
        "import os, sys;"
        "from caseapp.core import pdf, settings;"
        "settings.use(settings.from_environment(os.environ));"
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


@pytest.fixture
def listener():
    """Listen on loopback, so that a fetch would be heard."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


VECTORS = (
    '<img src="{web}/a.png">',
    '<img src="file:///etc/hostname">',
    '<img src="//127.0.0.1/a.png"><base href="{web}/">',
    '<link rel="stylesheet" href="{web}/a.css">',
    '<link rel="attachment" href="file:///etc/hostname">',
    '<a rel="attachment" href="file:///etc/hostname">x</a>',
    '<p style="background: url({web}/a.png)">x</p>',
    '<ul style="list-style-image: url({web}/a.png)"><li>x</li></ul>',
    '<style>@import url("{web}/a.css");</style>',
    "<style>@page {{ background: url({web}/a.png) }}</style>",
    "<style>p::before {{ content: url({web}/a.png) }}</style><p>x</p>",
    '<style>@font-face {{ font-family: x; src: url("file:///etc/hostname"); }}</style>',
    '<style>@font-face {{ font-family: y; src: url("caseapp-font:other"); }}</style>',
    '<object data="{web}/a.svg"></object>',
    '<embed src="caseapp-font:../../etc/hostname">',
    '<img src="data:image/svg+xml,%3Csvg/%3E">',
)


@pytest.mark.parametrize("body", VECTORS)
def test_nothing_outside_the_document_is_fetched(the_app, listener, body):
    web = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(RuntimeError, match="something outside itself"):
        pdf.render(page(body.format(web=web)))


def test_a_picture_inside_a_drawing_stays_blank(the_app, listener):
    """WeasyPrint swallows what goes wrong inside a drawing, so this one ends in a page without the picture."""
    web = f"http://127.0.0.1:{listener.getsockname()[1]}"
    made = pdf.render(page(f'<svg><image href="{web}/a.png" width="5" height="5"/></svg>'))
    assert b"/Image" not in made


@pytest.mark.parametrize("sign", ["漢", "🙂", "ע", "&#x4e00;"])
def test_a_character_without_a_glyph_is_noticed_before_rendering(the_app, sign):
    with pytest.raises(RuleBroken) as refused:
        pdf.render(page(f"<p>A {sign} here</p>"))
    assert refused.value.reasons[0].code == "missing_glyphs"


@pytest.mark.parametrize(
    "text", ["Größe, ñandú, Łódź, Đặng", "\u201cquoted\u201d \u2013 and so on\u2026", "€ ☐ ✓"]
)
def test_what_the_fonts_can_print_passes(the_app, text):
    assert pdf.render(page(f"<p>{text}</p>"))


def test_a_document_is_rendered_once_and_kept_whole(the_app, monkeypatch):
    document = page("<p>Kept once.</p>")
    first = pdf.kept(document)
    monkeypatch.setattr(pdf, "render", lambda *_args, **_more: pytest.fail("it was rendered again"))
    assert pdf.kept(document) == first
    folder = settings.active().data_dir / "pdf"
    assert [*folder.rglob("*.pdf")]
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".pdf"}


def test_a_machine_without_pango_says_so(the_app, monkeypatch):
    class Refusing:
        def find_spec(self, name, *_rest):
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0'")

    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    with pytest.raises(RuleBroken) as refused:
        pdf.render(page("<p>x</p>"))
    assert refused.value.reasons[0].code == "pdf_unavailable"
    assert "libpango" in refused.value.reasons[0].how


def test_warming_reads_the_fonts_and_leaves_the_press_to_each_process(the_app):
    pdf._presses.clear()  # noqa: SLF001 - what a fresh process begins with
    pdf.warm()
    assert pdf._presses == []  # noqa: SLF001
