"""Work apart: one function, done by short-lived processes under limits that the kernel keeps.

A supervisor loads what the work needs, leaves the network, and keeps a few workers ready, each forked from itself and not
root. A worker does some jobs, one after the other, each under limits of its own, and ends; the supervisor forks the next.
A worker whose job failed, for whatever reason, ends at once: only a process in which everything went well goes on. A
fork for each job would part jobs that went well too, at a quarter more time for each, since a page that both share
is copied when either touches it. So the work must keep nothing of a job; `core.pdf` says why it does not.

Jobs come through one socket, and each brings a socket for its answer; `core.sandbox.pool` holds the other ends. When the
last holder of the first one has ended, in whatever way, the supervisor and its workers end too.
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
"""Seconds that one job may take by the clock on the wall."""
JOB_CPU_SECONDS = 10.0
"""Seconds of a processor that one job may take."""
JOBS_PER_WORKER = 50
"""How many jobs a worker does before a fresh one takes its place."""
MAX_MEMORY_BYTES = 1536 * MIB
"""Address space of a worker; 300 MiB of it are there before it begins."""
MAX_FILE_BYTES = 4 * MIB
MAX_RESULT_BYTES = 16 * MIB

RESULT_HEADER = struct.Struct(">?Q")
"""What an answer begins with: whether all went well, and how long the rest is."""
READY = b"ready"
NO_MORE_JOBS = 3
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534


class JobRefused(Exception):
    """A job refused by its own function; the one word in it is sent to the caller."""


def serve(prepare: Callable[[list[str]], JobFunction]) -> None:
    """Be the supervisor: what a module does that a pool names, when it is run."""
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
    except Exception as fault:  # noqa: BLE001 - whatever it is, the asker hears its name
        channel.send(type(fault).__name__.encode())
        return
    os.chdir(folder / "empty")
    leave_network()
    _chown_to_nobody(folder)
    # Workers then share these objects' memory with us for longer.
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
    """Move to a network of our own in which there is nothing; tell whether this machine lets us."""
    unshare = ctypes.CDLL(None).unshare
    return bool(unshare(CLONE_NEWNET) == 0 or unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def _chown_to_nobody(folder: Path) -> None:
    if os.geteuid() == 0:
        with suppress(PermissionError):
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)


def _drop_root() -> None:
    """Become nobody when we are root; what the supervisor loaded stays loaded.

    A container may have a root who may not do this, and little else.
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
        # Nothing of the supervisor's may be tidied away by one of its workers.
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
    # Looking for cycles amid a job touches pages that we share; it is done between jobs.
    gc.disable()


def _run_jobs(channel: socket.socket, function: JobFunction) -> int:
    """Do jobs until one fails, or there were enough; give the status to end with."""
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
    """Ask the kernel to end us then; the signals' own answer is death, also in the middle of C."""
    signal.setitimer(signal.ITIMER_REAL, wall)
    signal.setitimer(signal.ITIMER_PROF, processor)


def _run_job(client_socket: socket.socket, function: JobFunction) -> bool:
    """Do one job and answer, unless nobody waits for it any more; tell whether all went well."""
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
    except BaseException as fault:  # noqa: BLE001 - the asker hears its name; its words may quote the job
        succeeded, body = False, type(fault).__name__.encode()
    with suppress(OSError):
        client_socket.sendall(RESULT_HEADER.pack(succeeded, len(body)) + body)
        return succeeded
    return False


def _has_disconnected(client_socket: socket.socket) -> bool:
    """Tell an asker that has closed its end from one that has only said all it had to say."""
    poll = select.poll()
    poll.register(client_socket, 0)
    return bool(poll.poll(0))
