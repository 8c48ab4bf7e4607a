"""Jobs for the sandbox tests: the first word of each job names what the worker tries."""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401 - for `connect`; the user nobody may be unable to import it later
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from caseapp.core.sandbox import supervisor


def work(job: bytes) -> bytes:
    """Run the action that the first word names."""
    word, _, rest = job.decode().partition(" ")
    return ACTIONS[word](rest)  # type: ignore[no-any-return]


def _spin(_rest):
    while True:
        pass


def _sleep(rest):
    time.sleep(float(rest))
    return b"slept"


def _memory(rest):
    return b"%d" % len(bytearray(int(rest)))


def _kill(rest):
    os.kill(os.getpid(), getattr(signal, rest))
    return b"still here"


def _crash(_rest):
    ctypes.string_at(0)


def _write(rest):
    file = Path("large")
    file.write_bytes(bytes(int(rest)))
    return b"%d" % file.stat().st_size


def _connect(rest):
    socket.create_connection(("127.0.0.1", int(rest)), 1)
    return b"connected"


def _refuse(rest):
    raise supervisor.JobRefused(rest)


ACTIONS = {
    "echo": str.encode,
    "spin": _spin,
    "sleep": _sleep,
    "memory": _memory,
    "kill": _kill,
    "crash": _crash,
    "write": _write,
    "connect": _connect,
    "refuse": _refuse,
    "pid": lambda _rest: b"%d" % os.getpid(),
    "who": lambda _rest: repr((os.getresuid(), os.getresgid(), os.getgroups())).encode(),
    "read": lambda rest: Path(rest).read_bytes(),
    "draft": lambda rest: tempfile.mkdtemp(prefix=rest).encode(),
    "folder": lambda _rest: repr((Path.cwd().name, os.listdir())).encode(),  # noqa: PTH208
    "environ": lambda _rest: " ".join(os.environ).encode(),
    "network": lambda _rest: os.readlink("/proc/self/ns/net").encode(),  # noqa: PTH115
    "answer": lambda rest: bytes(int(rest)),
    "exit": lambda _rest: sys.exit(3),
}


def prepare(arguments: list[str]):
    """Return the job function, or raise the exception that the first argument names."""
    for name in arguments:
        raise {"OSError": OSError, "ImportError": ImportError}[name]("raised by the test")
    return work


if __name__ == "__main__":
    supervisor.serve(prepare)
