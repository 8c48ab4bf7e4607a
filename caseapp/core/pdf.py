"""PDFs: HTML in, bytes out, and the only place that knows WeasyPrint.

What comes out is PDF/UA-1: tagged, titled, with real form fields. Nothing is fetched but our own fonts, and the same
HTML gives the same bytes. WeasyPrint is imported at the first rendering: the import costs more than three of them.
"""

from __future__ import annotations

import atexit
import hashlib
import html as markup
import os
import threading
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from fontTools.ttLib import TTFont

from caseapp.core import settings
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.fonts import FACES, print_font
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

STYLES = ROOT / "caseapp" / "static"
FONT_SCHEME = "caseapp-font:"
# Pango's shaping and WeasyPrint's caches are shared by the threads of a process.
_lock = threading.Lock()


@dataclass(frozen=True)
class _Press:
    """Hold what one process makes once: fonts, parsed style sheets, the fetcher."""

    process: int
    fonts: Any
    styles: dict[str, Any]
    fetcher: Any


_presses: list[_Press] = []
# The fonts clean up after themselves, which they can only do while Python still stands.
atexit.register(_presses.clear)


def render(html: str, *, style: str = "handout.css") -> bytes:
    """Turn a whole HTML document into a PDF, styled by a sheet of `caseapp/static`.

    Raises RuleBroken when a character is in none of our fonts, since it would print as a box, or when this machine
    lacks the library that lays out text.
    """
    check_glyphs(html)
    with _lock:
        weasyprint = _weasyprint()
        press = _press()
        document = weasyprint.HTML(string=html, url_fetcher=press.fetcher)
        try:
            made: bytes = document.write_pdf(
                stylesheets=[_style(press, style)],
                font_config=press.fonts,
                finisher=_tidy_choices,
                pdf_variant="pdf/ua-1",
                pdf_forms=True,
            )
        except weasyprint.urls.FatalURLFetchingError as error:
            # It is a BaseException, which no error page would catch.
            raise RuntimeError("A document asked for something outside itself.") from error
    return made


def kept(html: str, *, style: str = "handout.css") -> bytes:
    """Give the PDF of a document, rendered once and then kept under the hash of everything that goes in.

    Only for documents without anything about a person: the files lie in the data directory as they are.
    """
    file = _kept_file(html, style)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        made = render(html, style=style)
        _keep(file, made)
        return made


def warm() -> None:
    """Do in a parent process what costs most, before it forks: the import and the font files.

    The fonts themselves are loaded after the fork: WeasyPrint removes its font folder when a process ends.
    """
    _weasyprint()
    for face in FACES:
        print_font(face)


def check_glyphs(html: str) -> None:
    """Make sure that our fonts can print every character.

    Raises RuleBroken naming those they cannot.
    """
    strange = sorted(sign for sign in set(markup.unescape(html)) - _glyphs() if not sign.isspace())
    if strange:
        raise RuleBroken(
            Reason(
                "missing_glyphs",
                f"Our fonts cannot print these characters: {' '.join(strange[:20])}",
                "Write the text or the practice's letterhead without them.",
            )
        )


@cache
def _glyphs() -> frozenset[str]:
    tables = []
    for face in FACES:
        with TTFont(print_font(face), lazy=True) as font:
            tables.append(set(font.getBestCmap()))
    return frozenset(chr(code) for code in set.intersection(*tables))


def _weasyprint() -> Any:  # noqa: ANN401 - an untyped package
    try:
        import weasyprint  # The import takes half a second and needs Pango; see the module's text.
    except OSError as error:
        raise RuleBroken(
            Reason(
                "pdf_unavailable",
                "PDFs cannot be made on this machine: the text library Pango is missing.",
                "Ask the operator to install libpango-1.0-0, libpangoft2-1.0-0 and libharfbuzz-subset0.",
            )
        ) from error
    return weasyprint


def _press() -> _Press:
    """Give this process its press; a forked child makes its own."""
    if not _presses or _presses[0].process != os.getpid():
        from weasyprint.text.fonts import FontConfiguration

        _presses[:] = [_Press(os.getpid(), FontConfiguration(), {}, _fetcher())]
    return _presses[0]


def _fetcher() -> Any:  # noqa: ANN401
    from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

    class OnlyOurFonts(URLFetcher):  # type: ignore[misc]
        """Refuse every address; our fonts have names of their own."""

        def fetch(self, url: str, headers: object = None) -> Any:  # noqa: ANN401, ARG002
            """Give a font of ours by its key.

            Raises FatalURLFetchingError, which stops the rendering.
            """
            face = url.removeprefix(FONT_SCHEME)
            if not url.startswith(FONT_SCHEME) or face not in FACES:
                raise FatalURLFetchingError("A document asked for something outside itself.")
            body = print_font(face).read_bytes()
            return URLFetcherResponse(url, body, {"Content-Type": "font/ttf"})

    return OnlyOurFonts()


def _style(press: _Press, name: str) -> Any:  # noqa: ANN401
    """Parse a style sheet once in a process, our faces before it."""
    if name not in press.styles:
        import weasyprint

        press.styles[name] = weasyprint.CSS(
            string=_style_text(name), font_config=press.fonts, url_fetcher=press.fetcher
        )
    return press.styles[name]


def _style_text(name: str) -> str:
    faces = (
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; src: url("{FONT_SCHEME}{key}"); }}'
        for key, (_, _, family, weight) in FACES.items()
    )
    return "\n".join((*faces, (STYLES / name).read_text(encoding="utf-8")))


def _tidy_choices(_document: object, pdf: Any) -> None:  # noqa: ANN401 - pydyf's own tree
    """Make each group of radio buttons one field.

    WeasyPrint 70 lists the buttons beside their group and names them like it, so that a reader finds every answer
    several times; and it calls the group after its first button.
    """
    form = pdf.catalog.get("AcroForm")
    if form is None:
        return
    buttons: dict[bytes, list[Any]] = {}
    for found in pdf.objects:
        if isinstance(found, dict) and found.get("FT") == "/Btn" and "Parent" in found:
            buttons.setdefault(found["Parent"], []).append(found)
            del found["T"]
    apart = {button.reference for group in buttons.values() for button in group}
    form["Fields"][:] = [field for field in form["Fields"] if field not in apart]
    for group in pdf.objects:
        if isinstance(group, dict) and (own := buttons.get(getattr(group, "reference", b""))):
            names = [button["TU"].string for button in own]
            shared = "".join(
                signs[0]
                for signs in takewhile(lambda s: len(set(s)) == 1, zip(*names, strict=False))
            )
            group["TU"].string = shared.rpartition(": ")[0] or names[0]


@cache
def _engine() -> str:
    """Name everything but the document that decides about the bytes."""
    fonts = (hashlib.sha256(print_font(face).read_bytes()).hexdigest() for face in FACES)
    return " ".join((version("weasyprint"), version("pydyf"), *fonts))


@cache
def _style_hash(name: str) -> str:
    return hashlib.sha256(_style_text(name).encode()).hexdigest()


def _kept_file(html: str, style: str) -> Path:
    whole = "\n".join((_engine(), _style_hash(style), html))
    name = hashlib.sha256(whole.encode()).hexdigest()
    return settings.active().data_dir / "pdf" / name[:2] / f"{name}.pdf"


def _keep(file: Path, made: bytes) -> None:
    """Write beside, then rename: a reader finds a whole file or none, also after a crash."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    with draft.open("wb") as target:
        target.write(made)
        target.flush()
        os.fsync(target.fileno())
    draft.rename(file)
