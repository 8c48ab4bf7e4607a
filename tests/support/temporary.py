"""Where tests keep their temporary files: in memory where there is room, and gone at the end.

Importing this module chooses the place for this process and for those it starts.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.support.cleanup import Cleanup

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in memory itself
LEAST_BYTES = 2 * 1024**3


def _has_room() -> bool:
    """Return whether the folder in memory is large enough and may hold programs."""
    if not os.access(MEMORY, os.W_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= LEAST_BYTES and not found.f_flag & os.ST_NOEXEC


def folder(prefix: str) -> Path:
    """Make a folder that is removed when this process ends, however it ends."""
    made = tempfile.mkdtemp(prefix=prefix)
    CLEANUP.folder(made)
    return Path(made)


def server_folder(prefix: str) -> Path:
    """Make a folder for a PostgreSQL server, which is stopped and removed when this process ends.

    A socket's path has to be short, whatever TMPDIR says.
    """
    place = MEMORY if tempfile.gettempdir() == str(MEMORY) else Path("/tmp")  # noqa: S108
    made = tempfile.mkdtemp(prefix=prefix, dir=place)
    CLEANUP.server(made)
    return Path(made)


if _has_room():
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
CLEANUP = Cleanup()
os.environ["XDG_RUNTIME_DIR"] = str(folder("run-"))
