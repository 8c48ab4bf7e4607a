"""Pictures from outside: decoded by a worker of `core.sandbox.supervisor`, and given back as a new, plain and small PNG.

Nothing of the bytes that came in is kept, neither metadata nor anything hidden beside the picture. The worker runs under
the kernel's limits, so that a picture which unfolds to more than it should only ends that worker. This module, run by
itself, is what the supervisor loads; pictures come in rarely, so that no supervisor waits for them.
"""

from __future__ import annotations

import threading
from io import BytesIO
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid
from caseapp.core.sandbox import supervisor
from caseapp.core.sandbox.pool import PoolUnavailable, JobFailed, SandboxPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

MAX_UPLOAD_BYTES = 2_000_000
MAX_SIDE = 4000
MAX_PIXELS = 12_000_000
LOGO_BOX = (600, 240)
# The darkest grey of 255 that still has a contrast of 3:1 to white paper (WCAG 2.2, 1.4.11).
MAX_DARKEST_GREY = 148
SIGNATURES = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "WEBP": b"RIFF"}
TRAILERS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}

TOO_LARGE = "The picture is too large: at most 4,000 pixels on a side and 12 million in all."
FAILURE_MESSAGES = {
    "no_picture": "Choose a PNG, JPEG or WebP picture. Other files, drawings such as SVG too, are not taken.",
    "too_large": TOO_LARGE,
    "DecompressionBombError": TOO_LARGE,
    "more_inside": "There is something more in this file than a picture. Save the picture anew and try again.",
    "moving": "This picture moves. Choose one that stands still.",
    "too_pale": "This picture is so pale that it would hardly show in black and white. Choose a darker one.",
    "too_big": "The file is too big: at most 2 MB.",
    "late": "This picture could not be looked at just now. Nothing was changed; try again in a minute.",
}
DEFAULT_MESSAGE = "This picture cannot be read; it may be cut short. Save it anew and try again."


def make_logo(content: bytes) -> bytes:
    """Turn an uploaded picture into a PNG of at most 600 by 240 pixels, with no metadata and nothing see-through.

    Raises Invalid, naming the field `logo`.
    """
    if len(content) > MAX_UPLOAD_BYTES:
        raise Invalid({"logo": [FAILURE_MESSAGES["too_big"]]})
    with _lock:
        try:
            return _pool.run(content)
        except PoolUnavailable:
            raise Invalid({"logo": [FAILURE_MESSAGES["late"]]}) from None
        except JobFailed as fault:
            raise Invalid({"logo": [FAILURE_MESSAGES.get(str(fault), DEFAULT_MESSAGE)]}) from None
        finally:
            _pool.close()


_pool = SandboxPool("caseapp.core.images", workers=1)
_lock = threading.Lock()


def detect_format(content: bytes) -> str:
    """Tell a picture's kind by its first and last bytes, whatever its name says.

    Raises `supervisor.JobRefused` for anything else, and when the file goes on where the picture ends.
    """
    kind = next((k for k, begin in SIGNATURES.items() if content.startswith(begin)), "")
    if not kind or (kind == "WEBP" and content[8:12] != b"WEBP"):
        raise supervisor.JobRefused("no_picture")
    if kind == "WEBP":
        end = int.from_bytes(content[4:8], "little") + 8
    else:
        before, found, _ = content.rpartition(TRAILERS[kind])
        end = len(before + found) if found else len(content) + 1
    if end != len(content):
        raise supervisor.JobRefused("cut_short" if end > len(content) else "more_inside")
    return kind


def redraw_image(content: bytes) -> bytes:
    """Decode a picture and draw it anew; runs in a worker.

    Raises `supervisor.JobRefused` with a word of WORDS, or whatever Pillow raises at a broken picture.
    """
    from PIL import Image, ImageOps  # Only workers load it.

    with Image.open(BytesIO(content), formats=[detect_format(content)]) as found:
        width, height = found.size
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise supervisor.JobRefused("too_large")
        if getattr(found, "n_frames", 1) > 1:
            raise supervisor.JobRefused("moving")
        upright = ImageOps.exif_transpose(found)
    if upright.mode.startswith("I"):
        # 16 bits of grey; Pillow would cut them off at 255 instead of scaling them.
        upright = upright.convert("I").point(lambda value: value / 257).convert("L")
    upright = upright.convert("RGBA")
    upright.thumbnail(LOGO_BOX, Image.Resampling.LANCZOS)
    flat = Image.new("RGB", upright.size, "white")
    flat.paste(upright, mask=upright.getchannel("A"))
    return _encode_png(flat)


def _encode_png(flat: Image) -> bytes:
    darkest = flat.convert("L").getextrema()[0]
    if not isinstance(darkest, int | float) or darkest > MAX_DARKEST_GREY:
        raise supervisor.JobRefused("too_pale")
    made = BytesIO()
    flat.save(made, "PNG")
    return made.getvalue()


def get_png_size(png: bytes) -> tuple[int, int]:
    """Give the width and height of a PNG of ours, in pixels."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def prepare(_arguments: list[str]) -> Callable[[bytes], bytes]:
    """Load what workers need, so that each fork finds it there."""
    from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    return redraw_image


if __name__ == "__main__":
    supervisor.serve(prepare)
