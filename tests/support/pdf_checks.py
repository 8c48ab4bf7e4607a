"""Checks of a PDF's structure: its tags, its form fields, and what it must not contain."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pikepdf
import zxingcpp
from pdfua import validate
from PIL import Image

from caseapp.core import settings

# The structure types of PDF 1.7 that our templates use; any other one is an error.
TYPES = {
    "/Document", "/Art", "/Sect", "/Div", "/P", "/H1", "/H2", "/H3", "/L", "/LI", "/Lbl", "/LBody", "/BlockQuote",
    "/Figure", "/Form", "/NonStruct", "/Span", "/Table", "/THead", "/TBody", "/TR", "/TH", "/TD",
}  # fmt: skip
INSIDE = {
    "/L": {"/LI"},
    "/LI": {"/Lbl", "/LBody"},
    "/Table": {"/THead", "/TBody", "/TR"},
    "/TR": {"/TH", "/TD"},
}
# Rules on which the validator itself fails for any image; this module checks the same.
NOT_RUN = {"UA-14-001"}
ACTIONS = {
    "/JavaScript",
    "/Launch",
    "/URI",
    "/SubmitForm",
    "/GoToR",
    "/GoToE",
    "/ImportData",
    "/Named",
    "/Rendition",
}


@dataclass
class TreeScan:
    """What was found in a structure tree."""

    problems: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    widgets: set[tuple[int, int]] = field(default_factory=set)
    alternatives: list[str] = field(default_factory=list)


@contextmanager
def as_file(content):
    """Yield the path of a temporary file with a PDF, for tools that need a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "document.pdf"
        file.write_bytes(content)
        yield str(file)


def forget_pdfs():
    """Delete every PDF that another test has had made, so that the next one is rendered."""
    shutil.rmtree(settings.active().data_dir / "pdf", ignore_errors=True)


def run_poppler(tool, content, *options):
    """Run one of the poppler tools on a PDF; return its output."""
    with as_file(content) as file:
        ending = ["-"] if tool == "pdftotext" else []
        done = subprocess.run(  # noqa: S603 - a system tool on our own file
            [f"/usr/bin/{tool}", *options, file, *ending],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stderr == ""
    return done.stdout


def extract_text(content, *options):
    """Return a PDF's text in reading order with single spaces."""
    return " ".join(run_poppler("pdftotext", content, *options).split())


def read_qr_codes(content, *, page=1):
    """Read the QR codes of a page rendered in grey."""
    number = str(page)
    with as_file(content) as file:
        drawn = subprocess.run(  # noqa: S603 - a system tool on our own file
            ["/usr/bin/pdftoppm", "-gray", "-png", "-r", "150", "-f", number, "-l", number, file],
            capture_output=True,
            check=True,
        )
    with Image.open(io.BytesIO(drawn.stdout)) as picture:
        return [found.text for found in zxingcpp.read_barcodes(picture)]


def _children(element):
    kids = element.get("/K")
    if kids is None:
        return []
    return [*kids] if isinstance(kids, pikepdf.Array) else [kids]


def _walk(element, scan):
    kind = str(element.S)
    kids = [kid for kid in _children(element) if isinstance(kid, pikepdf.Dictionary)]
    fields = [kid.Obj.objgen for kid in kids if kid.get("/Type") == "/OBJR"]
    elements = [kid for kid in kids if "/S" in kid]
    scan.widgets |= set(fields)
    if re.fullmatch(r"/H\d", kind):
        scan.headings.append(int(kind[2:]))
    if kind == "/Figure":
        scan.alternatives.append(str(element.get("/Alt", "")))
    scan.problems += _check_element(element, kind, {str(kid.S) for kid in elements})
    if fields and kind != "/Form":
        scan.problems.append(f"a field inside {kind}")
    for kid in elements:
        _walk(kid, scan)


def _check_element(element, kind, inner):
    found = [] if kind in TYPES else [f"the type {kind}"]
    if kind in INSIDE and (not inner or inner - INSIDE[kind]):
        found.append(f"{inner} inside {kind}")
    if kind == "/TH" and "/ID" not in element and "/Scope" not in element.get("/A", {}):
        found.append("a header cell without scope or id")
    return found


def list_handout_problems(content, *, language, title):
    """List accessibility problems of a PDF and everything that our PDFs must not contain."""
    with pikepdf.open(io.BytesIO(content)) as document:
        root, scan = document.Root, TreeScan()
        found = scan.problems
        _walk(root.StructTreeRoot.K[0], scan)
        if scan.headings[:1] != [1] or any(
            below > above + 1
            for above, below in zip(scan.headings, scan.headings[1:], strict=False)
        ):
            found.append(f"headings out of order: {scan.headings}")
        if not all(scan.alternatives):
            found.append("an image without alternative text")
        found += _check_metadata(document, language, title)
        found += _check_fields(document, scan.widgets)
        found += _check_objects(document)
    with as_file(content) as file:
        report = validate(file)
    found += [f"{finding.rule_id}: {finding.message}" for finding in report.findings]
    found += [f"{o.rule_id} did not run" for o in report.skipped if o.rule_id not in NOT_RUN]
    return found


def _check_metadata(document, language, title):
    root = document.Root
    metadata = root.Metadata.read_bytes()
    checks = {
        "the language": str(root.get("/Lang")) == language,
        "the title": str(document.docinfo.get("/Title")) == title,
        "the mark as a tagged file": root.MarkInfo.Marked is True,
        "the title in the window bar": root.ViewerPreferences.DisplayDocTitle is True,
        "the PDF/UA-1 identifier": b"pdfuaid:part" in metadata,
        "empty author, subject and keywords": not {"/Author", "/Subject", "/Keywords"}
        & set(document.docinfo.keys()),
    }
    return [f"lacks {what}" for what, good in checks.items() if not good]


def _check_fields(document, tagged):
    found, widgets = [], set()
    for page in document.pages:
        notes = [*page.get("/Annots", [])]
        if notes and page.get("/Tabs") != "/S":
            found.append("tab order does not follow the structure")
        for note in notes:
            if note.Subtype != "/Widget":
                found.append(f"an annotation of the type {note.Subtype}")
            widgets.add(note.objgen)
            if not str(note.get("/TU", "")):
                found.append("a field without a tooltip")
    if widgets != tagged:
        found.append(
            f"{len(widgets ^ tagged)} fields are missing in the structure tree or on a page"
        )
    names = Counter(str(one.T) for one in document.Root.get("/AcroForm", {}).get("/Fields", []))
    return found + [f"the name {name} occurs twice" for name, count in names.items() if count > 1]


def _check_objects(document):
    root, found = document.Root, []
    found += [name for name in ("/OpenAction", "/AA", "/URI", "/Collection") if name in root]
    found += [name for name in root.get("/Names", {}) if name != "/Dests"]
    for one in document.objects:
        if not isinstance(one, pikepdf.Dictionary | pikepdf.Stream):
            continue
        found += [
            name for name in ("/JS", "/AA", "/EF", "/XFA", "/RichMediaContent") if name in one
        ]
        if one.get("/Type") == "/Font" and "/FontDescriptor" in one:
            inside = {"/FontFile2", "/FontFile3"} & set(one.FontDescriptor.keys())
            found += [] if inside else ["a font that is not embedded"]
        if one.get("/Type") == "/Action" or one.get("/S") in ACTIONS:
            found.append(f"an action {one.get('/S')}")
    return found


def read_outline(content):
    """Return a PDF's bookmarks as (title, children) pairs."""

    def under(items):
        return [(item.title, under(item.children)) for item in items]

    with pikepdf.open(io.BytesIO(content)) as document, document.open_outline() as outline:
        return under(outline.root)
