"""PDFs from HTML; the only module that uses WeasyPrint.

The result is PDF/UA-1: tagged, titled, with real form fields. Only our own fonts and the logo that comes with the
document are loaded, and the same input gives the same bytes. Sandbox workers lay out the documents, and WeasyPrint is
imported only there. Files from outside have workers of their own (`core.uploads`): WeasyPrint changes how Pillow reads
incomplete images, for the whole process.
"""

from __future__ import annotations

import hashlib
import html as markup
from functools import cache
from itertools import product, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from caseapp.core import pdf_archive, vault
from caseapp.core.errors import Reason, RenderFailed, RuleBroken
from caseapp.core.fonts import FACES, name_missing_glyphs, print_font
from caseapp.core.i18n import lazy_gettext
from caseapp.core.sandbox import protocol
from caseapp.core.sandbox.limit_hits import count_limit_hits
from caseapp.core.sandbox.pool import JobFailed, PoolUnavailable, SandboxPool
from caseapp.core.sandbox.protocol import JobRefused
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caseapp.core.pdf_archive import Archive

log = structlog.get_logger()

STYLES = ROOT / "caseapp" / "static"
STYLESHEETS = ("handout.css", "report.css")
FONT_SCHEME = "caseapp-font:"
LOGO_URL = "caseapp-picture:logo"
"""The URL that a document uses for its logo. No other image can be loaded."""
MAX_PAGES = 40
MAGIC = b"%PDF-"
OUTSIDE = "outside"
FAILURE_MESSAGES = {
    protocol.TOO_BIG: lazy_gettext("This document is too long to print."),
    protocol.TIME: lazy_gettext("This document took too much time, so we stopped."),
    protocol.MEMORY: lazy_gettext("This document took too much memory, so we stopped."),
    protocol.LATE: lazy_gettext("This document was not ready in time: PDFs are slow right now."),
    OUTSIDE: lazy_gettext(
        "This document loads content from elsewhere, such as an image or a font."
    ),
}
DEFAULT_MESSAGE = lazy_gettext("This document could not be created.")
# Rendered by a server at its start, so that every worker has all font faces loaded in every size.
SPECIMEN = """<!doctype html><html lang="en-GB"><head><title>Specimen</title></head><body class="{body_class}">
<div class="letterhead"><p class="contact">0</p><p class="name">Name</p><p>Words</p></div>
<div class="footer">Footer</div><div class="pages">Page <span class="here"></span> <span class="all"></span></div>
<p class="kicker">Kicker</p><h1>Every</h1><section class="opening"><p>Face <b>once</b>, and <em>more</em>.</p></section>
<h2>Heading</h2><ul><li>One</li></ul><div class="field"><p class="label">A <span class="hint">b</span></p>
<input class="text" type="text" name="a" title="A">
<div class="lines"><i></i><textarea name="c" title="C"></textarea></div>
<ul class="ticks"><li><input type="checkbox" name="b" title="B">
<input type="radio" name="d" value="D" title="D: D"></li></ul></div>
<table><tr><td>Said</td></tr></table>
<section class="stop"><h2>Stop</h2><ul class="help-lines"><li><b>1</b> Two</li></ul></section>
<svg viewBox="0 0 9 9" width="9" height="9"><title>T</title><text font-family="App Sans">x</text></svg>
<div class="closing"><p><em>End</em></p></div></body></html>"""
BODY_CLASSES = ("", "aside", "compact", "large", "snug")


def render(
    html: str,
    *,
    style: str = "handout.css",
    logo: bytes = b"",
    max_pages: int = MAX_PAGES,
    archive: Archive | None = None,
) -> bytes:
    """Render a complete HTML document as a PDF in a sandbox worker; `style` names a style sheet in `caseapp/static`.

    With `archive` the PDF is encrypted and has its files. Raises RuleBroken when none of our fonts has a character,
    which would print as a box, when this machine lacks the text layout library, or when the document has reached its
    limits too often; RenderFailed when it exceeds a limit or refers to anything outside itself.
    """
    check_glyphs(html)
    content = "\n".join((_hash_style(style), hashlib.sha256(logo).hexdigest(), html))
    with count_limit_hits(vault.hash_document(content)):
        return _run(encode_job(html, style=style, logo=logo, max_pages=max_pages, archive=archive))


def encode_job(
    html: str,
    *,
    style: str = "handout.css",
    logo: bytes = b"",
    max_pages: int = MAX_PAGES,
    archive: Archive | None = None,
) -> bytes:
    """Encode a document as a job for the function that `prepare` returns."""
    wanted = archive.encode() if archive else b""
    head = f"{style} {max_pages} {len(logo)} {len(wanted)}\n".encode()
    return head + logo + wanted + html.encode()


def _run(job: bytes) -> bytes:
    try:
        return _check_pdf(_pool.run(job))
    except PoolUnavailable as fault:
        raise _unavailable_error(fault) from None
    except JobFailed as fault:
        cause = str(fault)
        log.error("pdf.failed", cause=cause)  # noqa: TRY400 - a traceback may hold personal data
        raise RenderFailed(FAILURE_MESSAGES.get(cause, DEFAULT_MESSAGE), cause) from None


def _check_pdf(made: bytes) -> bytes:
    if not made.startswith(MAGIC):
        raise JobFailed(protocol.INVALID_ANSWER)
    return made


def start_pool() -> None:
    """Start the workers before the first document and before this process forks.

    Raises RuleBroken when the text layout library is missing, else RenderFailed.
    """
    try:
        _pool.start()
    except PoolUnavailable as fault:
        raise _unavailable_error(fault) from None


def _unavailable_error(fault: PoolUnavailable) -> RuleBroken | RenderFailed:
    if str(fault) != OSError.__name__:
        log.error("pdf.failed", cause="not_ready", fault=str(fault))
        return RenderFailed(
            lazy_gettext("The program that creates PDFs did not start."), "not_ready"
        )
    return RuleBroken(
        Reason(
            "pdf_unavailable",
            "PDFs cannot be created on this machine because the text library Pango is missing.",
            "Ask the operator to install libpango-1.0-0, libpangoft2-1.0-0 and libharfbuzz-subset0.",
        )
    )


def check_glyphs(html: str) -> None:
    """Check that our fonts can print every character.

    Raises RuleBroken that lists the missing ones.
    """
    if missing := name_missing_glyphs(markup.unescape(html)):
        raise RuleBroken(
            Reason(
                "missing_glyphs",
                f"We cannot print these characters: {missing}",
                "Remove them from the text or the practice’s letterhead.",
            )
        )


def get_font_files() -> dict[str, Path]:
    """Return the font files for documents by face; build them if needed."""
    return {face: print_font(face) for face in FACES}


class Renderer:
    """A WeasyPrint renderer in this process, with fonts and style sheets loaded once.

    One renderer lays out many documents for different people, and nothing of one may reach the next: boxes, images,
    counters, used glyphs and the PDF are created for each, and shared fonts and parsed style sheets are only read. A
    document that brings its own font face is refused. Tests compare a document's bytes with those of a new renderer,
    after other documents and after failures.
    """

    def __init__(self, fonts: Mapping[str, Path]) -> None:
        """Load the fonts, given by face, and the style sheets.

        Raises OSError when Pango is missing.
        """
        import weasyprint  # Takes half a second and needs Pango; see the module docstring.
        from weasyprint.text.fonts import FontConfiguration

        self.weasyprint: Any = weasyprint
        self.fonts: Any = FontConfiguration()
        self.fetcher = _make_fetcher(fonts)
        self.styles = {name: self._load_style(name) for name in STYLESHEETS}
        self.fonts.add_font_face = _refuse_font_face

    def _load_style(self, name: str) -> Any:  # noqa: ANN401 - an untyped package
        return self.weasyprint.CSS(
            string=style_text(name), font_config=self.fonts, url_fetcher=self.fetcher
        )

    def render_document(
        self, html: str, style: str, logo: bytes = b"", max_pages: int = MAX_PAGES
    ) -> bytes:
        """Render a PDF.

        Raises JobRefused when it has too many pages or loads content from elsewhere.
        """
        self.fetcher.logo = logo
        options = {
            "stylesheets": [self.styles[style]],
            "pdf_variant": "pdf/ua-1",
            "pdf_forms": True,
        }
        try:
            document = self.weasyprint.HTML(string=html, url_fetcher=self.fetcher).render(
                font_config=self.fonts, **options
            )
            if len(document.pages) > max_pages:
                raise JobRefused(protocol.TOO_BIG)
            made: bytes = document.write_pdf(finisher=_finish_form, **options)
        except self.weasyprint.urls.FatalURLFetchingError:
            raise JobRefused(OUTSIDE) from None
        return made


def _refuse_font_face(*_given: object) -> NoReturn:
    raise JobRefused(OUTSIDE)


def _make_fetcher(fonts: Mapping[str, Path]) -> Any:  # noqa: ANN401
    from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

    class AssetFetcher(URLFetcher):  # type: ignore[misc]
        """A fetcher that serves our fonts and the document's logo and refuses every other address."""

        logo = b""

        def fetch(self, url: str, headers: object = None) -> Any:  # noqa: ANN401, ARG002
            """Return a font or the document's logo.

            Raises FatalURLFetchingError, which stops the rendering.
            """
            if url == LOGO_URL and self.logo:
                return URLFetcherResponse(url, self.logo, {"Content-Type": "image/png"})
            face = url.removeprefix(FONT_SCHEME)
            if not url.startswith(FONT_SCHEME) or face not in fonts:
                raise FatalURLFetchingError("A document loads content from elsewhere.")
            return URLFetcherResponse(url, fonts[face].read_bytes(), {"Content-Type": "font/ttf"})

    return AssetFetcher()


def style_text(name: str) -> str:
    """Return a style sheet preceded by the rules for our font faces."""
    faces = (
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; src: url("{FONT_SCHEME}{key}"); }}'
        for key, (_, _, family, weight) in FACES.items()
    )
    return "\n".join((*faces, (STYLES / name).read_text(encoding="utf-8")))


def _finish_form(_document: object, pdf: Any) -> None:  # noqa: ANN401 - pydyf's own tree
    """Finish a document: headers of tables say of what, and its form has one field for each answer, in a tree.

    Every viewer draws its ticks.
    """
    _say_what_headers_are_of(pdf)
    form = pdf.catalog.get("AcroForm")
    if form is None:
        return
    # Otherwise viewers that are built on Poppler draw no tick at all.
    form["NeedAppearances"] = "false"
    _merge_radio_groups(form, pdf)
    _build_tree(form, pdf)


def _say_what_headers_are_of(pdf: Any) -> None:  # noqa: ANN401
    """Mark each header of a table as that of its column, or, outside the head, of its row (ISO 14289-1, 7.5)."""
    by_reference = {getattr(found, "reference", b""): found for found in pdf.objects}
    for found in by_reference.values():
        if isinstance(found, dict) and found.get("S") == "/TH":
            row = by_reference[found["P"]]
            in_head = by_reference[row["P"]].get("S") == "/THead"
            found["A"]["Scope"] = "/Column" if in_head else "/Row"


def _merge_radio_groups(form: Any, pdf: Any) -> None:  # noqa: ANN401
    """Turn each group of radio buttons into one field.

    WeasyPrint 70 lists the buttons beside their group under the same name, so that software that reads the form finds
    each answer several times. It also names the group after its first button.
    """
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
                chars[0]
                for chars in takewhile(lambda s: len(set(s)) == 1, zip(*names, strict=False))
            )
            group["TU"].string = shared.rpartition(": ")[0] or names[0]


def _build_tree(form: Any, pdf: Any) -> None:  # noqa: ANN401
    """Put fields whose names have full stops into a tree, since a name in it has none (ISO 32000-2, 12.7.4.2)."""
    from weasyprint.pdf import pydyf  # Workers only; see the module docstring.

    by_reference = {getattr(found, "reference", b""): found for found in pdf.objects}
    nodes: dict[str, Any] = {}
    top = []
    for reference in form["Fields"]:
        field = by_reference[reference]
        path, _, own = field["T"].string.rpartition(".")
        field["T"].string = own
        child = field
        while path:
            known = path in nodes
            name = path.rpartition(".")[2]
            node = nodes.setdefault(
                path, pydyf.Dictionary({"T": pydyf.String(name), "Kids": pydyf.Array()})
            )
            if not known:
                pdf.add_object(node)
            node["Kids"].append(child.reference)
            child["Parent"] = node.reference
            if known:
                break
            child, path = node, path.rpartition(".")[0]
        else:
            top.append(child.reference)
    form["Fields"][:] = top


@cache
def _hash_style(name: str) -> str:
    return hashlib.sha256(style_text(name).encode()).hexdigest()


_pool = SandboxPool("caseapp.core.pdf", files=get_font_files, codes=frozenset({OUTSIDE}))


def prepare(fonts: Mapping[str, Path]) -> Callable[[bytes], bytes]:
    """Load the renderer in a server and return the job function of its workers; `fonts` are font files by face.

    A fork keeps only one thread. Where a Pango version starts one of its own, each worker must load the fonts itself.
    """
    from PIL import Image

    # Workers run as nobody and may not be able to import anything, so what they need is loaded here.
    Image.preinit()
    pdf_archive.load()
    renderer = Renderer(fonts)
    for style, body_class in product(STYLESHEETS, BODY_CLASSES):
        renderer.render_document(SPECIMEN.format(body_class=body_class), style)
    single_threaded = len([*Path("/proc/self/task").iterdir()]) == 1
    ready = [renderer] if single_threaded else []

    def work(job: bytes) -> bytes:
        if not ready:
            ready.append(Renderer(fonts))
        head, _, rest = job.partition(b"\n")
        style, *numbers = head.decode().split(" ")
        max_pages, of_logo, of_archive = map(int, numbers)
        logo, rest = rest[:of_logo], rest[of_logo:]
        archive, html = rest[:of_archive], rest[of_archive:].decode()
        made = ready[0].render_document(html, style, logo, max_pages)
        return pdf_archive.encrypt_in_worker(made, archive) if archive else made

    return work
