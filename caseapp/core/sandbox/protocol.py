"""What a pool's client and its server agree on: the limits, and the bytes that cross the socket.

A job is its length in eight bytes and its content. The answer to it is one byte for the kind, the length in eight bytes
and the content: the result, or the code of a failure. Nothing in it is executed or unpickled, since a worker may have
been taken over by the file that it reads.
"""

from __future__ import annotations

import builtins
import fcntl
import json
import os
import signal
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
JOB_HEADER = struct.Struct(">Q")
ANSWER_HEADER = struct.Struct(">BQ")
RESULT, FAILURE = 0, 1
TIME_LIMIT = signal.SIGPROF
"""The first byte of an answer when the CPU limit was reached; nothing that follows it counts."""
READY = b"ready\n"
"""The message of a worker that can take jobs."""
SOCKET, LOCK, WORK = "server/socket", "server/lock", "work"
"""What a pool's folder holds: the socket, the lock of a running server, and the files of workers."""


class JobRefused(Exception):
    """A job refused by its own function; the code in it is sent to the caller."""


@dataclass(frozen=True)
class Limits:
    """The limits of each job of a pool."""

    seconds: float = 12.0
    """Wall-clock seconds; the worker is killed."""
    cpu_seconds: float = 10.0
    memory_bytes: int = 1536 * MIB
    """Address space of a worker; about 300 MiB of it is in use before the first job."""
    job_bytes: int = 2 * MIB
    result_bytes: int = 16 * MIB
    file_bytes: int = 4 * MIB
    """Size of a file that a worker writes."""
    jobs_per_worker: int = 50
    """How many jobs a worker runs before it is replaced."""
    worker_seconds: float = 600.0
    """Seconds after which a worker is replaced: one that a file has taken over would never go by itself."""


@dataclass(frozen=True)
class Options:
    """What a server is started with, as JSON in its first argument."""

    module: str
    """A module whose `prepare`, given `files`, loads what jobs need and returns the job function."""
    folder: str
    """The pool's folder, which also is the lock of its users."""
    lock: int
    """The descriptor of the lock that only one server of a pool can hold."""
    ready: int
    """The descriptor of a pipe for one line: that a worker is ready, or which exception stopped it or the server."""
    workers: int
    limits: Limits
    files: dict[str, str] = field(default_factory=dict)
    """Files or folders by name, which workers may read."""
    writable: list[str] = field(default_factory=list)
    """Folders in which workers may write, besides their own."""

    def encode(self) -> str:
        """Return the options as JSON."""
        return json.dumps(vars(self) | {"limits": vars(self.limits)})

    @classmethod
    def decode(cls, text: str) -> Options:
        """Return the options from JSON."""
        values = json.loads(text)
        return cls(**values | {"limits": Limits(**values["limits"])})


TIME, MEMORY, TOO_BIG = "time", "memory", "too_big"
OWN_LIMITS = frozenset({TIME, MEMORY, TOO_BIG})
"""Failures by a limit that depends on nothing but the job itself."""
ENDED, LATE, INVALID_ANSWER, OTHER = "ended", "late", "invalid_answer", "other"
_BUILTIN = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)


def decode_answer(message: bytes, codes: frozenset[str], longest: int) -> tuple[str, bytes]:
    """Return the failure code and the result of a complete answer; the code of a success is empty.

    A failure has one of the given codes or one of ours, or is named by a built-in exception; any other is `other`, so
    that no worker can put words into the log.
    """
    if not message:
        return ENDED, b""
    if message[0] == TIME_LIMIT:
        return TIME, b""
    if len(message) < ANSWER_HEADER.size:
        return (ENDED if message[0] in {RESULT, FAILURE} else INVALID_ANSWER), b""
    kind, length = ANSWER_HEADER.unpack_from(message)
    content = message[ANSWER_HEADER.size :]
    if kind not in {RESULT, FAILURE} or length > longest or len(content) > length:
        return INVALID_ANSWER, b""
    if len(content) < length:
        # The worker died while it sent the answer.
        return ENDED, b""
    if kind == RESULT:
        return "", content
    code = content.decode("ascii", "replace")
    return (code if code in codes | OWN_LIMITS | _BUILTIN else OTHER), b""


def is_unused(folder: Path) -> bool:
    """Return whether no process uses the pool with this folder; its users share a lock of it."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(place)
    return True
