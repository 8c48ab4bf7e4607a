"""The cache of rendered PDFs: files in the data folder, encrypted where they say anything about a client."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from caseapp.core import settings, vault
from caseapp.core.fonts import FACES, print_font
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger()

PLAIN_SUFFIX, SEALED_SUFFIX = ".pdf", ".sealed"
PROGRAM_DIRS = (ROOT / "caseapp", ROOT / "templates", ROOT / "handouts")
PROGRAM_SUFFIXES = frozenset({".py", ".html", ".css", ".yaml"})
HOUR, DAY = 3600, 86_400
CACHE_DAYS = 90
"""Days after which a cached PDF is deleted; it is rendered again on demand."""


def get_or_render(
    source: str, make: Callable[[], bytes], *, key: vault.DataKey | None = None
) -> bytes:
    """Return a PDF from the cache, or render it with `make` and cache it under the hash of all its inputs.

    `source` must name every input except this program, which is hashed too. A document with personal data needs that
    client's `key`: its file is encrypted with it and named by a hash that only the key can make, so that erasing the
    key erases the file. Without a key the file is stored unencrypted. Raises what `make` raises.
    """
    content = f"{_hash_program()} {source}"
    name = vault.keyed_hash(content, key) if key else hashlib.sha256(content.encode()).hexdigest()
    file = _cache_dir() / name[:2] / f"{name}{SEALED_SUFFIX if key else PLAIN_SUFFIX}"
    try:
        found = _read(file)
        return vault.unseal_file(name, found, key) if key else found
    except FileNotFoundError:
        pass
    except vault.SealBroken:
        log.error("pdf.tampered", file=file.name)  # noqa: TRY400 - it is rendered again
    made = make()
    try:
        _write(file, vault.seal_file(name, made, key) if key else made)
    except OSError as fault:
        log.error("pdf.not_kept", fault=type(fault).__name__)  # noqa: TRY400 - it is rendered again next time
    return made


def delete_expired() -> None:
    """Delete cached files after 90 days, and temporary files that a crash left behind after an hour.

    Everything can be rendered again, so a file that is deleted while it is needed costs one rendering.
    """
    now = time.time()
    for file in _cache_dir().glob("*/*"):
        longest = CACHE_DAYS * DAY if file.suffix in {PLAIN_SUFFIX, SEALED_SUFFIX} else HOUR
        # Another process may rename or delete the file at the same moment.
        with suppress(FileNotFoundError):
            if now - file.stat().st_mtime > longest:
                file.unlink()


@cache
def _hash_program() -> str:
    """Hash this program's code, templates, texts and fonts; after any change cached PDFs are rendered again."""
    written = (
        file
        for folder in PROGRAM_DIRS
        for file in folder.rglob("*")
        if file.suffix in PROGRAM_SUFFIXES
    )
    digest = hashlib.sha256(f"{version('weasyprint')} {version('pydyf')}".encode())
    for file in sorted(written) + [print_font(face) for face in FACES]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _cache_dir() -> Path:
    return settings.active().data_dir / "pdf"


def _read(file: Path) -> bytes:
    """Read a cached file, but not through a symbolic link.

    Raises FileNotFoundError.
    """
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as fault:
        if fault.errno != errno.ELOOP:
            raise
        log.error("pdf.link", file=file.name)  # noqa: TRY400 - it is rendered again
        raise FileNotFoundError from None
    with os.fdopen(opened, "rb") as source:
        return source.read()


def _write(file: Path, made: bytes) -> None:
    """Write a temporary file and rename it, so that a crash or power cut leaves a complete file or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        with temporary.open("wb") as target:
            target.write(made)
            target.flush()
            os.fsync(target.fileno())
        temporary.rename(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
