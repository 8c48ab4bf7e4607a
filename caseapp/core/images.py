"""Uploaded images, decoded by a sandbox worker and redrawn as a small plain PNG.

None of the uploaded bytes are kept, neither metadata nor hidden data. A decompression bomb ends only its worker, which
runs under kernel limits (`core.uploads`).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from caseapp.core import uploads
from caseapp.core.errors import Invalid
from caseapp.core.sandbox import protocol
from caseapp.core.sandbox.pool import JobFailed, PoolUnavailable
from caseapp.core.sandbox.protocol import JobRefused

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_UPLOAD_BYTES = 2_000_000
MAX_SIDE = 4000
MAX_PIXELS = 12_000_000
LOGO_BOX = (600, 240)
# The lightest grey out of 255 that has a contrast of 3:1 with white paper (WCAG 2.2, 1.4.11).
MAX_DARKEST_GREY = 148
SIGNATURES = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "WEBP": b"RIFF"}
TRAILERS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}

TOO_LARGE = "The image is too large. Use at most 4,000 pixels on each side and 12 million in total."
FAILURE_MESSAGES = {
    "no_picture": "Choose a PNG, JPEG or WebP image. Other files, including SVG, are not accepted.",
    "too_large": TOO_LARGE,
    "DecompressionBombError": TOO_LARGE,
    "more_inside": "This file contains more than an image. Save the image again and retry.",
    "moving": "This image is animated. Choose a still image.",
    "too_pale": "This image is too pale to show in black and white. Choose a darker one.",
    "too_big": "The file is too big. The limit is 2 MB.",
    "late": "This image could not be checked right now. Nothing was changed. Try again in a minute.",
}
DEFAULT_MESSAGE = "This image can’t be read and may be incomplete. Save it again and retry."


def make_logo(content: bytes) -> bytes:
    """Convert an uploaded image to an opaque PNG of at most 600 by 240 pixels without metadata.

    Raises Invalid for the field `logo`.
    """
    if len(content) > MAX_UPLOAD_BYTES:
        raise Invalid({"logo": [FAILURE_MESSAGES["too_big"]]})
    try:
        return _check_logo(uploads.run(uploads.IMAGE, content))
    except PoolUnavailable:
        raise Invalid({"logo": [FAILURE_MESSAGES["late"]]}) from None
    except JobFailed as fault:
        raise Invalid({"logo": [FAILURE_MESSAGES.get(str(fault), DEFAULT_MESSAGE)]}) from None


def _check_logo(made: bytes) -> bytes:
    """Check that a worker's answer is a PNG that fits the box, since the file may have taken the worker over.

    Raises JobFailed.
    """
    width, height = get_png_size(made)
    is_png = made.startswith(SIGNATURES["PNG"]) and made.endswith(TRAILERS["PNG"])
    if not is_png or not 0 < width <= LOGO_BOX[0] or not 0 < height <= LOGO_BOX[1]:
        raise JobFailed(protocol.INVALID_ANSWER)
    return made


def detect_format(content: bytes) -> str:
    """Return an image's format, found from its first and last bytes.

    Raises JobRefused for any other file, and for data after the end of the image.
    """
    kind = next((k for k, begin in SIGNATURES.items() if content.startswith(begin)), "")
    if not kind or (kind == "WEBP" and content[8:12] != b"WEBP"):
        raise JobRefused("no_picture")
    if kind == "WEBP":
        end = int.from_bytes(content[4:8], "little") + 8
    else:
        before, found, _ = content.rpartition(TRAILERS[kind])
        end = len(before + found) if found else len(content) + 1
    if end != len(content):
        raise JobRefused("cut_short" if end > len(content) else "more_inside")
    return kind


def load() -> None:
    """Load Pillow and the formats that are accepted, before a worker may not be able to."""
    from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def redraw_image(content: bytes) -> bytes:
    """Decode and redraw an image; runs in a worker.

    Raises JobRefused with a key of FAILURE_MESSAGES, or what Pillow raises for a broken image.
    """
    from PIL import Image, ImageOps  # Only workers need it.

    with Image.open(BytesIO(content), formats=[detect_format(content)]) as found:
        width, height = found.size
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise JobRefused("too_large")
        if getattr(found, "n_frames", 1) > 1:
            raise JobRefused("moving")
        upright = ImageOps.exif_transpose(found)
    if upright.mode.startswith("I"):
        # 16-bit grey; Pillow would clip it at 255 instead of scaling it.
        upright = upright.convert("I").point(lambda value: value / 257).convert("L")
    upright = upright.convert("RGBA")
    upright.thumbnail(LOGO_BOX, Image.Resampling.LANCZOS)
    flat = Image.new("RGB", upright.size, "white")
    flat.paste(upright, mask=upright.getchannel("A"))
    return _encode_png(flat)


def _encode_png(flat: Image) -> bytes:
    darkest = flat.convert("L").getextrema()[0]
    if not isinstance(darkest, int | float) or darkest > MAX_DARKEST_GREY:
        raise JobRefused("too_pale")
    made = BytesIO()
    flat.save(made, "PNG")
    return made.getvalue()


def get_png_size(png: bytes) -> tuple[int, int]:
    """Return the width and height in pixels of a PNG that `make_logo` has made."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
