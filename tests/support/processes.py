"""Other processes, as Linux tells of them: their children, stopping them, and waiting for their end."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.patience import PATIENCE


def children(pid):
    """List the children of a process, whichever of its threads has started them."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (thread / "children").read_text().split())
    return found


def stop(pid):
    """Stop a process with SIGSTOP and wait until it is stopped."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


@contextmanager
def watched(*pids):
    """Yield a function that waits for the end of processes, whichever their parents are."""
    handles = [os.pidfd_open(pid) for pid in pids]

    def have_ended(within=PATIENCE):
        return all(select.select([handle], [], [], within)[0] for handle in handles)

    yield have_ended
    for handle in handles:
        os.close(handle)
