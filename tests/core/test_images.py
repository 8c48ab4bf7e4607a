"""Pictures from outside: a plain small PNG comes out, or a sentence that says why not."""

import io
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from caseapp.core import images
from caseapp.core.errors import Invalid

pytestmark = pytest.mark.pdf

INK = (29, 91, 85)


def saved(kind, size=(900, 300), *, mode="RGB", colour=INK, **options):
    target = io.BytesIO()
    Image.new(mode, size, colour).save(target, kind, **options)
    return target.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, *chunks):
    """Put a PNG together by hand, whatever its head promises."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


def opened(content):
    found = Image.open(io.BytesIO(content))
    found.load()
    return found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_becomes_a_small_flat_png_and_the_same_one_each_time(kind):
    content = saved(kind)
    made = images.make_logo(content)
    found = opened(made)
    assert (found.format, found.mode, found.size) == ("PNG", "RGB", (600, 200))
    assert made == images.make_logo(content)
    assert images.get_png_size(made) == (600, 200)


@pytest.mark.parametrize("size", [(900, 300), (100, 900), (40, 20), (600, 240)])
def test_a_picture_fits_its_box_and_never_grows(size):
    width, height = images.get_png_size(images.make_logo(saved("PNG", size)))
    assert width <= min(600, size[0])
    assert height <= min(240, size[1])


@pytest.mark.parametrize(
    ("mode", "colour"),
    [("1", 0), ("L", 0), ("LA", (0, 255)), ("P", 0), ("I;16", 3000), ("RGBA", (*INK, 255))],
)
def test_every_kind_of_colour_is_understood(mode, colour):
    made = opened(images.make_logo(saved("PNG", (60, 30), mode=mode, colour=colour)))
    assert made.convert("L").getextrema()[0] < 100
    assert opened(images.make_logo(saved("JPEG", mode="CMYK", colour=(0, 0, 0, 255))))


def test_what_one_could_see_through_lies_on_white():
    mixed = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    mixed.putpixel((3, 3), (0, 0, 0, 255))
    target = io.BytesIO()
    mixed.save(target, "PNG")
    found = opened(images.make_logo(target.getvalue()))
    assert (found.getpixel((0, 0)), found.getpixel((3, 3))) == ((255, 255, 255), (0, 0, 0))


def test_a_photograph_stands_upright_and_forgets_where_it_was_taken():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera Quetzalcoatl"
    exif.get_ifd(0x8825)[1] = "N"
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", "Quetzalcoatl")
    for content in (
        saved("JPEG", (300, 100), exif=exif, comment=b"Quetzalcoatl"),
        saved("PNG", (300, 100), pnginfo=told, exif=exif, icc_profile=b"Quetzalcoatl" * 20),
        saved("WEBP", (300, 100), exif=exif, xmp=b"Quetzalcoatl"),
    ):
        assert b"Quetzalcoatl" in content or b"tEXt" in content
        made = images.make_logo(content)
        assert images.get_png_size(made) == (80, 240)
        assert b"Quetzalcoatl" not in made
        assert opened(made).info == {}
        assert {made[i + 4 : i + 8] for i in chunks_of(made)} == {b"IHDR", b"IDAT", b"IEND"}


def chunks_of(content):
    at = 8
    while at < len(content):
        yield at
        at += 12 + int.from_bytes(content[at : at + 4], "big")


def animated(kind):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("black", "red")]
    target = io.BytesIO()
    frames[0].save(target, kind, save_all=True, append_images=frames[1:])
    return target.getvalue()


REFUSED = {
    "nothing": (b"", "no_picture"),
    "a drawing": (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "no_picture"),
    "a drawing under another head": (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "no_picture"),
    "a GIF": (saved("GIF"), "no_picture"),
    "a TIFF": (saved("TIFF"), "no_picture"),
    "a PDF": (b"%PDF-1.7 %%EOF", "no_picture"),
    "a sound": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "no_picture"),
    "words": (b"hello", "no_picture"),
    "an archive behind it": (saved("PNG") + b"PK\x03\x04", "more_inside"),
    "a page behind it": (saved("JPEG") + b"<script>alert(1)</script>", "more_inside"),
    "a page behind a WebP": (saved("WEBP") + b"<script>alert(1)</script>", "more_inside"),
    "half a PNG": (saved("PNG")[:-30], None),
    "half a JPEG": (saved("JPEG")[:-30], None),
    "half a WebP": (saved("WEBP")[:-30], None),
    "a head alone": (png(10, 10), None),
    "rows that are missing": (png(100, 100, chunk(b"IDAT", zlib.compress(b"\0" * 50))), None),
    "a broken sum": (saved("PNG").replace(b"IHDR", b"IHDX", 1), None),
    "too wide": (saved("PNG", (4001, 10)), "too_large"),
    "too many pixels": (saved("PNG", (3900, 3900), mode="1", colour=0), "too_large"),
    "a billion pixels": (
        png(60_000, 60_000, chunk(b"IDAT", zlib.compress(b"\0" * 999))),
        "too_large",
    ),
    "a text that unfolds": (
        png(9, 9, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 90_000_000)), chunk(b"IDAT", b"")),
        None,
    ),
    "two pictures": (animated("WEBP"), "moving"),
    "two pictures in a PNG": (animated("PNG"), "moving"),
    "nothing but white": (saved("PNG", colour="white"), "too_pale"),
    "nothing but pale yellow": (saved("PNG", colour=(255, 240, 180)), "too_pale"),
    "nothing at all to see": (saved("PNG", mode="RGBA", colour=(0, 0, 0, 0)), "too_pale"),
    "too many bytes": (saved("PNG") + b"\0" * images.MAX_UPLOAD_BYTES, "too_big"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_honest_picture_is_refused_in_words(name):
    content, word = REFUSED[name]
    with pytest.raises(Invalid) as refused:
        images.make_logo(content)
    said = refused.value.fields["logo"]
    assert said == [images.FAILURE_MESSAGES[word] if word else images.DEFAULT_MESSAGE]


def test_hidden_bytes_do_not_come_through():
    hidden = png(
        8,
        8,
        chunk(b"prVt", b"<script>alert(1)</script>"),
        chunk(b"IDAT", zlib.compress((b"\0" + b"\0" * 24) * 8)),
    )
    made = images.make_logo(hidden)
    assert b"script" not in made


def test_no_supervisor_stays_behind():
    images.make_logo(saved("PNG"))
    assert images._pool._supervisor is None  # noqa: SLF001 - what runs is what this is about
