"""Work apart: one function, done by short-lived processes under limits that the kernel keeps.

A foreman loads what the work needs, leaves the network, and keeps a few hands ready, each forked from itself and not
root. A hand does some jobs, one after the other, each under limits of its own, and ends; the foreman forks the next.
A hand whose job failed, for whatever reason, ends at once: only a process in which everything went well goes on. A
fork for each job would part jobs that went well too, at a quarter more time for each, since a page that both share
is copied when either touches it. So the work must keep nothing of a job; `core.pdf` says why it does not.

Jobs come through one socket, and each brings a socket for its answer; `core.workshop` holds the other ends. When the
last holder of the first one has ended, in whatever way, the foreman and its hands end too.
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

    Work = Callable[[bytes], bytes]

MIB = 1024 * 1024
LONGEST = 12.0
"""Seconds that one job may take by the clock on the wall."""
LONGEST_CPU = 10.0
"""Seconds of a processor that one job may take."""
JOBS = 50
"""How many jobs a hand does before a fresh one takes its place."""
MEMORY = 1536 * MIB
"""Address space of a hand; 300 MiB of it are there before it begins."""
LARGEST_FILE = 4 * MIB
LARGEST_ANSWER = 16 * MIB

HEAD = struct.Struct(">?Q")
"""What an answer begins with: whether all went well, and how long the rest is."""
READY = b"ready"
NO_MORE_WORK = 3
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534


class Refused(Exception):
    """Be raised by the work itself; its one word reaches the asker."""


def serve(prepare: Callable[[list[str]], Work]) -> None:
    """Be the foreman: what a module does that a workshop names, when it is run."""
    number, hands, *told = sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="caseapp-work-"))
    try:
        with socket.socket(fileno=int(number)) as line:
            _foreman(line, int(hands), lambda: prepare(told), folder)
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


def _foreman(line: socket.socket, number: int, prepare: Callable[[], Work], folder: Path) -> None:
    for name in ("made", "empty"):
        (folder / name).mkdir()
    tempfile.tempdir = str(folder / "made")
    try:
        work = prepare()
    except Exception as fault:  # noqa: BLE001 - whatever it is, the asker hears its name
        line.send(type(fault).__name__.encode())
        return
    os.chdir(folder / "empty")
    leave_network()
    _give_away(folder)
    # Hands then share these objects' memory with us for longer.
    gc.collect()
    gc.freeze()
    line.send(READY)
    hands: set[int] = set()
    while True:
        while len(hands) < number:
            hands.add(_fork(line, work))
        hand, status = os.wait()
        hands.discard(hand)
        if os.waitstatus_to_exitcode(status) == NO_MORE_WORK:
            return


def leave_network() -> bool:
    """Move to a network of our own in which there is nothing; tell whether this machine lets us."""
    leave = ctypes.CDLL(None).unshare
    return bool(leave(CLONE_NEWNET) == 0 or leave(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        with suppress(PermissionError):
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)


def _leave_root() -> None:
    """Become nobody when we are root; what the foreman loaded stays loaded.

    A container may have a root who may not do this, and little else.
    """
    if os.geteuid() != 0:
        return
    with suppress(PermissionError):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _fork(line: socket.socket, work: Work) -> int:
    foreman = os.getpid()
    hand = os.fork()
    if not hand:
        _be_a_hand(line, work, foreman)
    return hand


def _be_a_hand(line: socket.socket, work: Work, foreman: int) -> NoReturn:
    end = NO_MORE_WORK
    try:
        _leave_root()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == foreman:
            _limit_ourselves()
            end = _do_jobs(line, work)
    finally:
        # Nothing of the foreman's may be tidied away by one of its hands.
        os._exit(end)


def _limit_ourselves() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, int(JOBS * LONGEST_CPU)),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    # Looking for cycles amid a job touches pages that we share; it is done between jobs.
    gc.disable()


def _do_jobs(line: socket.socket, work: Work) -> int:
    """Do jobs until one fails, or there were enough; give the status to end with."""
    for _ in range(JOBS):
        word, found, _, _ = socket.recv_fds(line, 1, 1)
        if not word:
            return NO_MORE_WORK
        _set_clocks(LONGEST, LONGEST_CPU)
        with socket.socket(fileno=found[0]) as asker:
            if not _do(asker, work):
                break
        _set_clocks(0, 0)
        gc.collect()
    return 0


def _set_clocks(wall: float, processor: float) -> None:
    """Ask the kernel to end us then; the signals' own answer is death, also in the middle of C."""
    signal.setitimer(signal.ITIMER_REAL, wall)
    signal.setitimer(signal.ITIMER_PROF, processor)


def _do(asker: socket.socket, work: Work) -> bool:
    """Do one job and answer, unless nobody waits for it any more; tell whether all went well."""
    good, body = False, b""
    try:
        job = bytearray()
        while piece := asker.recv(MIB):
            job += piece
        if _has_left(asker):
            return True
        good, body = True, work(bytes(job))
        if len(body) > LARGEST_ANSWER:
            good, body = False, b"too_big"
    except Refused as word:
        good, body = False, str(word).encode()
    except MemoryError:
        good, body = False, b"too_big"
    except BaseException as fault:  # noqa: BLE001 - the asker hears its name; its words may quote the job
        good, body = False, type(fault).__name__.encode()
    with suppress(OSError):
        asker.sendall(HEAD.pack(good, len(body)) + body)
        return good
    return False


def _has_left(asker: socket.socket) -> bool:
    """Tell an asker that has closed its end from one that has only said all it had to say."""
    asked = select.poll()
    asked.register(asker, 0)
    return bool(asked.poll(0))
