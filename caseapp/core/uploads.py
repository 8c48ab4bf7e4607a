"""The pool of workers for files from outside: filled-in PDFs and images.

They are apart from the workers that make documents, so that neither can influence the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.sandbox.pool import SandboxPool
from caseapp.core.sandbox.protocol import MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FORM, IMAGE = b"F", b"I"
"""The first byte of a job: what to do with the file that follows."""
# The program itself takes about 300 MiB of address space; the largest file or image needs about 200 more.
LIMITS = Limits(seconds=6, cpu_seconds=5, memory_bytes=640 * MIB, job_bytes=5 * MIB + 1)
CODES = frozenset(
    {
        "DecompressionBombError",
        "cut_short",
        "locked",
        "more_inside",
        "moving",
        "no_form",
        "no_picture",
        "too_large",
        "too_much",
        "too_pale",
    }
)
"""What the functions of `core.pdf_forms` and `core.images` refuse a file with."""

_pool = SandboxPool("caseapp.core.uploads", limits=LIMITS, codes=CODES)


def start_pool() -> None:
    """Start the workers before this process forks.

    Raises PoolUnavailable.
    """
    _pool.start()


def run(kind: bytes, file: bytes) -> bytes:
    """Have a worker read a file of this kind and return its answer, which the caller must check.

    Raises JobFailed and PoolUnavailable.
    """
    return _pool.run(kind + file)


def prepare(_files: Mapping[str, Path]) -> Callable[[bytes], bytes]:
    """Load pikepdf and Pillow in a server and return the job function of its workers."""
    from caseapp.core import images, pdf_forms  # Both modules send their jobs through this one.

    pdf_forms.load()
    images.load()
    functions = {FORM: pdf_forms.read_in_worker, IMAGE: images.redraw_image}

    def work(job: bytes) -> bytes:
        return functions[job[:1]](job[1:])

    return work
