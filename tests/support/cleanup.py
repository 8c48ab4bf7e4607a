"""A helper process that cleans up after a test process, however that one ends.

Run as a program, it reads lines from standard input: `folder PATH` or `server PATH`. When the input ends, because the
test process ended or was killed, it stops each PostgreSQL server by its data folder and removes every folder.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 10


class Cleanup:
    """The helper process of this test process, started with the first folder it is told of."""

    def __init__(self) -> None:
        """Start the helper."""
        self._helper = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            text=True,
            # Ctrl-C goes to the whole group; the helper has to outlive it.
            start_new_session=True,
        )
        atexit.register(self.close)

    def folder(self, path: str) -> None:
        """Remove a folder at the end."""
        self._tell("folder", path)

    def server(self, path: str) -> None:
        """Stop the PostgreSQL server with this data folder at the end, and remove the folder."""
        self._tell("server", path)

    def close(self) -> None:
        """Have everything cleaned up now."""
        if self._helper.stdin is not None:
            self._helper.stdin.close()
        self._helper.wait(3 * STOP_SECONDS)

    def _tell(self, kind: str, path: str) -> None:
        if self._helper.stdin is not None:
            self._helper.stdin.write(f"{kind} {path}\n")
            self._helper.stdin.flush()


def _stop_server(path: str) -> None:
    """Ask a PostgreSQL server to stop at once, then kill it; does nothing where none runs."""
    try:
        process = int((Path(path) / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGQUIT)
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end:
            time.sleep(0.05)
            os.kill(process, 0)
        os.kill(process, signal.SIGKILL)


def main() -> None:
    """Read what to clean up until the input ends, then do it, the newest first."""
    told = [line.rstrip("\n").split(" ", 1) for line in sys.stdin]
    for kind, path in reversed(told):
        if kind == "server":
            _stop_server(path)
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
