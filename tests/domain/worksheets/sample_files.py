"""Worksheets filled in as with any PDF program, and broken or malicious PDFs."""

from __future__ import annotations

import io
import re
import zlib
from uuid import UUID

import pikepdf
from pikepdf import Array, Dictionary, Name, String

from caseapp.core.vault import DataKey
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.packets import PacketItem, render_packet_pdf
from caseapp.domain.handouts.printing import NOT_PERSONALIZED, render_handout_pdf
from caseapp.domain.practice.queries import get_practice_info

# Together these have every kind of field.
PAUSE, REASONS, LIMITS = "first-days-pause", "my-reasons", "my-limits"
ABROAD = "Больно, но дышу — 今日は三歩 · شكراً 🙂"


def handout(slug, language="en"):
    return library()[slug, language]


def blank(slug, language="en", *, large=False):
    """Render the PDF that the portal offers."""
    return render_handout_pdf(
        handout(slug, language),
        get_practice_info().letterhead,
        get_practice_info().help_lines,
        faith=False,
        large=large,
    )


def packed(positions, *, large=False):
    """Render the packet of several handouts, by their positions on the client's list."""
    return render_packet_pdf(
        [PacketItem(handout(slug), position) for position, slug in positions.items()],
        get_practice_info().letterhead,
        get_practice_info().help_lines,
        DataKey(UUID(int=1), b"k" * 32),
        faith=False,
        large=large,
        personalization=NOT_PERSONALIZED,
    )


def filled(data, values, change=None):
    """Fill in fields by name, without the handout's: text, True for a tick, the option of radio buttons.

    In a packet the names begin with the handout's position; `change` may modify the file further.
    """
    with pikepdf.open(io.BytesIO(data)) as pdf:
        fields = dict(walk(pdf.Root.AcroForm.Fields))
        for name, value in values.items():
            field = fields[name]
            if value is True:
                field.V = field.AS = Name("/on")
            elif "/Kids" in field:
                number = [str(option) for option in field.Opt].index(value)
                field.V = Name(f"/{number}")
                field.Kids[number].AS = Name(f"/{number}")
            else:
                field.V = String(value)
        if change:
            change(pdf)
        made = io.BytesIO()
        pdf.save(made)
        return made.getvalue()


def walk(nodes, path=()):
    """Yield the fields of a form with their names, without the handout's."""
    for node in nodes:
        here = (*path, str(node.T))
        kids = [kid for kid in node.get("/Kids", []) if "/T" in kid]
        if kids:
            yield from walk(kids, here)
        else:
            position = re.match(r"\d+_", here[0])
            rest = ".".join(here[1:] or here)
            yield f"{position[0] if position and here[1:] else ''}{rest}", node


def saved(pdf, **how):
    made = io.BytesIO()
    pdf.save(made, **how)
    return made.getvalue()


def scan():
    """Return a PDF without fields, like a scan."""
    pdf = pikepdf.new()
    pdf.add_blank_page()
    return saved(pdf)


def locked(data, user="secret"):
    with pikepdf.open(io.BytesIO(data)) as pdf:
        return saved(pdf, encryption=pikepdf.Encryption(owner="owner", user=user))


def with_scripts(pdf):
    """Add scripts, a launch action and an attachment."""
    pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String("app.alert('hello')"))
    pdf.Root.AA = Dictionary(WC=Dictionary(S=Name.Launch, F=String("/bin/sh")))
    pdf.attachments["run.exe"] = b"MZ"
    pdf.Root.AcroForm.Fields[0].AA = Dictionary(K=Dictionary(S=Name.JavaScript, JS=String("x")))


def _with_form(fields):
    pdf = pikepdf.new()
    pdf.add_blank_page()
    pdf.Root.AcroForm = Dictionary(Fields=fields(pdf))
    return pdf


def with_fields(values):
    """Return a form as files had it before names were in a tree: `/on` is a ticked box, any other value a text."""

    def build(pdf):
        return Array(
            pdf.make_indirect(
                Dictionary(T=String(name), FT=Name.Btn, V=Name("/on"))
                if value == "/on"
                else Dictionary(T=String(name), FT=Name.Tx, V=String(value))
            )
            for name, value in values.items()
        )

    return saved(_with_form(build))


def endless():
    """Return a form whose field tree contains itself."""

    def loop(pdf):
        top = pdf.make_indirect(Dictionary(T=String("a"), FT=Name.Tx))
        top.Kids = Array([top])
        return Array([top])

    return saved(_with_form(loop))


def crowded(number=200_000):
    """Return a form with very many fields."""
    return saved(
        _with_form(lambda _: Array([Dictionary(T=String(str(i))) for i in range(number)])),
        object_stream_mode=pikepdf.ObjectStreamMode.generate,
    )


def nested(depth=300_000):
    """Return a PDF with deeply nested arrays."""
    return (
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /AcroForm "
        + b"[" * depth
        + b"]" * depth
        + b" >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF"
    )


def bomb(mebibytes=4000):
    """Return a decompression bomb: an object stream of a few megabytes that unpacks to `mebibytes`."""
    packer = zlib.compressobj(9)
    first = packer.compress(b"2 0 " + b" " * 1020) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + piece * mebibytes + packer.flush()
    head = (
        b"%%PDF-1.7\n1 0 obj\n<< /Type /ObjStm /N 1 /First 1024 /Filter /FlateDecode /Length %d >>\nstream\n"
        % len(packed)
    )
    xref = bytes((0, 0, 0, 0, 255, 1, 0, 0, 9, 0, 2, 0, 0, 1, 0, 1, 0, 0, 0, 0))
    body = head + packed + b"\nendstream\nendobj\n"
    table = b"3 0 obj\n<< /Type /XRef /Size 4 /W [1 3 1] /Root 2 0 R /Length %d >>\nstream\n" % len(
        xref
    )
    return body + table + xref + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF" % len(body)
