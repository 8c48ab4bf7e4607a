"""Uploaded images become a small plain PNG or are refused with a reason."""

import io
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image, PngImagePlugin

from caseapp.core import images, uploads
from caseapp.core.errors import Invalid
from caseapp.core.settings import ROOT

pytestmark = pytest.mark.pdf

INK = (29, 91, 85)


def saved(kind, size=(900, 300), *, mode="RGB", colour=INK, **options):
    target = io.BytesIO()
    Image.new(mode, size, colour).save(target, kind, **options)
    return target.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, *chunks):
    """Build a PNG from chunks, whether or not they match its header."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


def opened(content):
    found = Image.open(io.BytesIO(content))
    found.load()
    return found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_make_logo_returns_the_same_small_opaque_png_each_time(kind):
    content = saved(kind)
    made = images.make_logo(content)
    found = opened(made)
    assert (found.format, found.mode, found.size) == ("PNG", "RGB", (600, 200))
    assert made == images.make_logo(content)
    assert images.get_png_size(made) == (600, 200)


@pytest.mark.parametrize("size", [(900, 300), (100, 900), (40, 20), (600, 240)])
def test_make_logo_fits_the_box_and_never_enlarges(size):
    width, height = images.get_png_size(images.make_logo(saved("PNG", size)))
    assert width <= min(600, size[0])
    assert height <= min(240, size[1])


@pytest.mark.parametrize(
    ("mode", "colour"),
    [("1", 0), ("L", 0), ("LA", (0, 255)), ("P", 0), ("I;16", 3000), ("RGBA", (*INK, 255))],
)
def test_every_colour_mode_is_accepted(mode, colour):
    made = opened(images.make_logo(saved("PNG", (60, 30), mode=mode, colour=colour)))
    assert made.convert("L").getextrema()[0] < 100
    assert opened(images.make_logo(saved("JPEG", mode="CMYK", colour=(0, 0, 0, 255))))


def test_transparent_pixels_become_white():
    mixed = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    mixed.putpixel((3, 3), (0, 0, 0, 255))
    target = io.BytesIO()
    mixed.save(target, "PNG")
    found = opened(images.make_logo(target.getvalue()))
    assert (found.getpixel((0, 0)), found.getpixel((3, 3))) == ((255, 255, 255), (0, 0, 0))


def test_photo_is_rotated_upright_and_loses_its_metadata():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera Quetzalcoatl"
    exif.get_ifd(0x8825)[1] = "N"
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Quetzalcoatl")
    for content in (
        saved("JPEG", (300, 100), exif=exif, comment=b"Quetzalcoatl"),
        saved("PNG", (300, 100), pnginfo=info, exif=exif, icc_profile=b"Quetzalcoatl" * 20),
        saved("WEBP", (300, 100), exif=exif, xmp=b"Quetzalcoatl"),
    ):
        assert b"Quetzalcoatl" in content or b"tEXt" in content
        made = images.make_logo(content)
        assert images.get_png_size(made) == (80, 240)
        assert b"Quetzalcoatl" not in made
        assert opened(made).info == {}
        assert {made[i + 4 : i + 8] for i in chunk_offsets(made)} == {b"IHDR", b"IDAT", b"IEND"}


def chunk_offsets(content):
    offset = 8
    while offset < len(content):
        yield offset
        offset += 12 + int.from_bytes(content[offset : offset + 4], "big")


def animated(kind):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("black", "red")]
    target = io.BytesIO()
    frames[0].save(target, kind, save_all=True, append_images=frames[1:])
    return target.getvalue()


REFUSED = {
    "empty file": (b"", "no_picture"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "no_picture"),
    "SVG with an XML declaration": (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "no_picture"),
    "GIF": (saved("GIF"), "no_picture"),
    "TIFF": (saved("TIFF"), "no_picture"),
    "PDF": (b"%PDF-1.7 %%EOF", "no_picture"),
    "sound file": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "no_picture"),
    "text": (b"hello", "no_picture"),
    "PNG followed by an archive": (saved("PNG") + b"PK\x03\x04", "more_inside"),
    "JPEG followed by a page": (saved("JPEG") + b"<script>alert(1)</script>", "more_inside"),
    "WebP followed by a page": (saved("WEBP") + b"<script>alert(1)</script>", "more_inside"),
    "truncated PNG": (saved("PNG")[:-30], None),
    "truncated JPEG": (saved("JPEG")[:-30], None),
    "truncated WebP": (saved("WEBP")[:-30], None),
    "PNG header only": (png(10, 10), None),
    "missing rows": (png(100, 100, chunk(b"IDAT", zlib.compress(b"\0" * 50))), None),
    "wrong checksum": (saved("PNG").replace(b"IHDR", b"IHDX", 1), None),
    "too wide": (saved("PNG", (4001, 10)), "too_large"),
    "too many pixels": (saved("PNG", (3900, 3900), mode="1", colour=0), "too_large"),
    "billions of pixels": (
        png(60_000, 60_000, chunk(b"IDAT", zlib.compress(b"\0" * 999))),
        "too_large",
    ),
    "compressed text bomb": (
        png(9, 9, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 90_000_000)), chunk(b"IDAT", b"")),
        None,
    ),
    "animated WebP": (animated("WEBP"), "moving"),
    "animated PNG": (animated("PNG"), "moving"),
    "all white": (saved("PNG", colour="white"), "too_pale"),
    "all pale yellow": (saved("PNG", colour=(255, 240, 180)), "too_pale"),
    "all transparent": (saved("PNG", mode="RGBA", colour=(0, 0, 0, 0)), "too_pale"),
    "too many bytes": (saved("PNG") + b"\0" * images.MAX_UPLOAD_BYTES, "too_big"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_image_is_refused_with_a_reason(name):
    content, word = REFUSED[name]
    with pytest.raises(Invalid) as refused:
        images.make_logo(content)
    assert refused.value.fields["logo"] == [
        images.FAILURE_MESSAGES[word] if word else images.DEFAULT_MESSAGE
    ]


def test_hidden_bytes_are_dropped():
    hidden = png(
        8,
        8,
        chunk(b"prVt", b"<script>alert(1)</script>"),
        chunk(b"IDAT", zlib.compress((b"\0" + b"\0" * 24) * 8)),
    )
    made = images.make_logo(hidden)
    assert b"script" not in made


@pytest.mark.process
def test_workers_for_uploads_never_load_what_renders_documents():
    """WeasyPrint makes Pillow accept incomplete images in the whole process."""
    script = (
        "import sys; from caseapp.core import uploads; uploads.prepare({}); print(*sys.modules)"
    )
    loaded = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"PIL.Image", "pikepdf"} <= {*loaded}
    assert not {"weasyprint", "caseapp.core.pdf"} & {*loaded}


class AnsweringPool:
    """A pool whose workers have been taken over: they answer with the file itself."""

    def run(self, job):
        return job.removeprefix(uploads.IMAGE)


@pytest.mark.parametrize(
    "answer",
    [b"", b"words", b"<svg/>", saved("JPEG"), saved("PNG", (601, 240)), saved("PNG") + b"more"],
)
def test_worker_that_answers_anything_but_a_small_png_is_refused(monkeypatch, answer):
    monkeypatch.setattr(uploads, "_pool", AnsweringPool())
    with pytest.raises(Invalid):
        images.make_logo(answer)
    assert images.make_logo(saved("PNG", (600, 240)))
