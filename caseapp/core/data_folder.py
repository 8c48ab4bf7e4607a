"""The data folder: only its owner reads it and what lies in it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOR_OTHERS = 0o077


def restrict_new_files() -> None:
    """Let every file that this process creates be its owner's alone; call it once, when a program starts."""
    os.umask(FOR_OTHERS)


def secure(folder: Path) -> None:
    """Create the data folder, and take away what others may do with it and with the files of earlier releases in it.

    Raises PermissionError when it belongs to another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & FOR_OTHERS:
        folder.chmod(0o700)
    for path in folder.iterdir():
        # Another process may just have removed it, as SQLite does with its log.
        with suppress(FileNotFoundError):
            _close_to_others(path)


def _close_to_others(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISREG(status.st_mode) and status.st_mode & FOR_OTHERS:
        path.chmod(stat.S_IMODE(status.st_mode) & ~FOR_OTHERS)
