"""The server side of the sandbox: a supervisor and its short-lived workers, under limits enforced by the kernel.

The supervisor loads what the job function needs, leaves the network and keeps a few workers forked from itself, none
of them root. A worker runs some jobs in turn, each under limits of its own, and exits; the supervisor forks the next
one. A worker whose job failed for any reason exits at once, so that only undamaged processes go on. A fork for each
job would also separate successful jobs, but costs a quarter more time, since shared pages are copied when they are
touched. The job function must therefore keep nothing of a job; `core.pdf` explains how its function meets that.

Jobs arrive through one socket, and each brings a socket for its result; `core.sandbox.pool` holds the other ends. When
the last holder of the first socket has exited, the supervisor and its workers exit too.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    JobFunction = Callable[[bytes], bytes]

MIB = 1024 * 1024
JOB_SECONDS = 12.0
"""Wall-clock seconds that one job may take."""
JOB_CPU_SECONDS = 10.0
"""CPU seconds that one job may take."""
JOBS_PER_WORKER = 50
"""How many jobs a worker runs before it is replaced."""
MAX_MEMORY_BYTES = 1536 * MIB
"""Address space of a worker; about 300 MiB of it is in use before the first job."""
MAX_FILE_BYTES = 4 * MIB
MAX_RESULT_BYTES = 16 * MIB

RESULT_HEADER = struct.Struct(">?Q")
"""The start of every result: whether the job succeeded, and the length of the rest."""
READY = b"ready"
NO_MORE_JOBS = 3
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534


class JobRefused(Exception):
    """A job refused by its own function; the one word in it is sent to the caller."""


def serve(prepare: Callable[[list[str]], JobFunction]) -> None:
    """Run as the supervisor; the module that a pool names calls this when it is executed."""
    count, workers, *arguments = sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="caseapp-work-"))
    try:
        with socket.socket(fileno=int(count)) as channel:
            _supervise(channel, int(workers), lambda: prepare(arguments), folder)
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


def _supervise(
    channel: socket.socket, count: int, prepare: Callable[[], JobFunction], folder: Path
) -> None:
    for name in ("made", "empty"):
        (folder / name).mkdir()
    tempfile.tempdir = str(folder / "made")
    try:
        function = prepare()
    except Exception as fault:  # noqa: BLE001 - its name is sent to the caller
        channel.send(type(fault).__name__.encode())
        return
    os.chdir(folder / "empty")
    leave_network()
    _chown_to_nobody(folder)
    # Keeps the memory of these objects shared with the workers for longer.
    gc.collect()
    gc.freeze()
    channel.send(READY)
    workers: set[int] = set()
    while True:
        while len(workers) < count:
            workers.add(_fork(channel, function))
        worker, status = os.wait()
        workers.discard(worker)
        if os.waitstatus_to_exitcode(status) == NO_MORE_JOBS:
            return


def leave_network() -> bool:
    """Move to an empty network namespace; return whether this machine allows it."""
    unshare = ctypes.CDLL(None).unshare
    return bool(unshare(CLONE_NEWNET) == 0 or unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def _chown_to_nobody(folder: Path) -> None:
    if os.geteuid() == 0:
        with suppress(PermissionError):
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)


def _drop_root() -> None:
    """Switch from root to nobody; everything that is loaded stays loaded.

    In a container root may lack the capability for this, and then it lacks most others too.
    """
    if os.geteuid() != 0:
        return
    with suppress(PermissionError):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _fork(channel: socket.socket, function: JobFunction) -> int:
    supervisor_process = os.getpid()
    worker = os.fork()
    if not worker:
        _run_worker(channel, function, supervisor_process)
    return worker


def _run_worker(channel: socket.socket, function: JobFunction, supervisor_process: int) -> NoReturn:
    end = NO_MORE_JOBS
    try:
        _drop_root()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == supervisor_process:
            _set_limits()
            end = _run_jobs(channel, function)
    finally:
        # Skips the clean-up handlers, which belong to the supervisor.
        os._exit(end)


def _set_limits() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, int(JOBS_PER_WORKER * JOB_CPU_SECONDS)),
        (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    # Garbage collection touches shared pages, so it runs between jobs instead.
    gc.disable()


def _run_jobs(channel: socket.socket, function: JobFunction) -> int:
    """Run jobs until one fails or the limit is reached; return the exit status."""
    for _ in range(JOBS_PER_WORKER):
        reply, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not reply:
            return NO_MORE_JOBS
        _set_timers(JOB_SECONDS, JOB_CPU_SECONDS)
        with socket.socket(fileno=descriptors[0]) as client_socket:
            if not _run_job(client_socket, function):
                break
        _set_timers(0, 0)
        gc.collect()
    return 0


def _set_timers(wall: float, processor: float) -> None:
    """Set the timers whose signals end this process, also in the middle of C code."""
    signal.setitimer(signal.ITIMER_REAL, wall)
    signal.setitimer(signal.ITIMER_PROF, processor)


def _run_job(client_socket: socket.socket, function: JobFunction) -> bool:
    """Run one job and send its result, unless the caller has gone; return whether it succeeded."""
    succeeded, body = False, b""
    try:
        job = bytearray()
        while chunk := client_socket.recv(MIB):
            job += chunk
        if _has_disconnected(client_socket):
            return True
        succeeded, body = True, function(bytes(job))
        if len(body) > MAX_RESULT_BYTES:
            succeeded, body = False, b"too_big"
    except JobRefused as reply:
        succeeded, body = False, str(reply).encode()
    except MemoryError:
        succeeded, body = False, b"too_big"
    except BaseException as fault:  # noqa: BLE001 - only its name is sent, since its text may quote the job
        succeeded, body = False, type(fault).__name__.encode()
    with suppress(OSError):
        client_socket.sendall(RESULT_HEADER.pack(succeeded, len(body)) + body)
        return succeeded
    return False


def _has_disconnected(client_socket: socket.socket) -> bool:
    """Return whether the caller has closed its end, rather than only finished sending."""
    poll = select.poll()
    poll.register(client_socket, 0)
    return bool(poll.poll(0))
