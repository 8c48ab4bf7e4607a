"""Work apart: one function, done by short-lived processes under limits that the kernel keeps.

A foreman loads what the work needs, leaves the network, and keeps a few hands ready, each forked from itself and not
root. A hand does some jobs, one after the other, each under limits of its own, and ends; the foreman forks the next.
A hand whose job failed, for whatever reason, ends at once: only a process in which everything went well goes on. A
fork for each job would part jobs that went well too, at a quarter more time for each, since a page that both share
is copied when either touches it. So the work must keep nothing of a job; `core.pdf` says why it does not.

Jobs come through one socket, which the program's own forks may share, and each brings a socket for its answer. When
the last holder of the first one has ended, in whatever way, the foreman and its hands end too. A foreman that was
killed is replaced by whoever asks next, and so is one that stands still, or whose hands do.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[bytes], bytes]

MIB = 1024 * 1024
AT_ONCE = 2
"""How many jobs are done at once, whoever asks; more wait for their turn."""
LONGEST = 12.0
"""Seconds that one job may take by the clock on the wall."""
LONGEST_CPU = 10.0
"""Seconds of a processor that one job may take."""
JOBS = 50
"""How many jobs a hand does before a fresh one takes its place."""
PATIENCE = 14.0
"""Seconds that an asker waits, its turn included."""
STARTING = 60.0
MEMORY = 1536 * MIB
"""Address space of a hand; 300 MiB of it are there before it begins."""
LARGEST_FILE = 4 * MIB
LARGEST_JOB = 2 * MIB
LARGEST_ANSWER = 16 * MIB

HEAD = struct.Struct(">?Q")
NO_MORE_WORK = 3
READY = b"ready"
# What a program's surroundings say about libraries, fonts and folders; nothing that could be secret.
SURROUNDINGS = (
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "TMPDIR",
)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1
NOBODY = 65534


class Refused(Exception):
    """Be raised by the work itself; its one word reaches the asker."""


class Stopped(Exception):
    """Tell the asker in one word why there is no answer.

    A word of the work's own, the name of an exception, or: ended, late, too_big.
    """


class NotReady(Exception):
    """The foreman could not load what the work needs; names the exception that stopped it."""


class Workshop:
    """Reach a foreman, and start one when there is none; safe for threads, and for forks that come after."""

    def __init__(
        self,
        module: str,
        arguments: Callable[[], list[str]] = list,
        *,
        hands: int = AT_ONCE,
        largest: int = LARGEST_JOB,
    ) -> None:
        """Take the module that calls `serve` when it is run, what it shall be told, and the most bytes of a job."""
        self.module = module
        self.largest = largest
        self.arguments = arguments
        self.hands = hands
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._foreman: subprocess.Popen[bytes] | None = None
        # A number may be given to another process once ours has ended; a handle never is.
        self._handle = -1
        self._owner = 0
        atexit.register(self.close)

    def start(self) -> socket.socket:
        """Start a foreman unless there is one, and give the line to it.

        Raises NotReady.
        """
        with self._lock:
            if self._line is None:
                self._line = self._hire()
            return self._line

    def close(self) -> None:
        """Let go of the foreman; it ends when nobody holds the line any more."""
        with self._lock:
            if self._line is not None:
                self._let_go()

    def do(self, job: bytes) -> bytes:
        """Have one job done.

        Raises Stopped when there is no whole answer in time, and NotReady.
        """
        if len(job) > self.largest:
            raise Stopped("too_big")
        until = time.monotonic() + PATIENCE
        self._end_what_stands_still()
        with self._handed_over() as answer:
            try:
                answer.settimeout(_left(until))
                answer.sendall(job)
                answer.shutdown(socket.SHUT_WR)
                return _read_answer(answer, until)
            except TimeoutError:
                raise Stopped("late") from None
            except OSError:
                raise Stopped("ended") from None

    def _handed_over(self) -> socket.socket:
        """Send a socket for the answer to whichever hand is free; a foreman that is gone is replaced once."""
        for _ in range(2):
            line = self.start()
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    socket.send_fds(line, [b"."], [theirs.fileno()])
                except TimeoutError:
                    ours.close()
                    raise Stopped("late") from None
                except OSError:
                    ours.close()
                    with self._lock:
                        if self._line is line:
                            self._let_go()
                else:
                    return ours
        raise Stopped("ended")

    def _end_what_stands_still(self) -> None:
        """End a foreman that somebody stopped (SIGSTOP), or one of whose hands: their clocks stand still too."""
        with self._lock:
            foreman = self._foreman
            if foreman and any(map(_stands_still, (foreman.pid, *_children(foreman.pid)))):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)
                self._let_go()

    def _hire(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            told = [str(theirs.fileno()), str(self.hands), *self.arguments()]
            self._foreman = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", self.module, *told],
                cwd=ROOT,
                env={name: os.environ[name] for name in SURROUNDINGS if name in os.environ},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # What libraries say about a document may quote it.
                stderr=subprocess.DEVNULL,
                # Ctrl-C goes to the whole group; the foreman ends with the line.
                start_new_session=True,
            )
        self._owner = os.getpid()
        self._handle = os.pidfd_open(self._foreman.pid)
        ours.settimeout(STARTING)
        try:
            word = ours.recv(200)
        except OSError:
            word = b""
        if word != READY:
            self._line = ours
            self._let_go()
            raise NotReady(word.decode())
        ours.settimeout(PATIENCE)
        return ours

    def _let_go(self) -> None:
        if self._line is not None:
            self._line.close()
            os.close(self._handle)
        self._line, foreman = None, self._foreman
        self._foreman = None
        if foreman is not None and self._owner == os.getpid():
            try:
                foreman.wait(2)
            except subprocess.TimeoutExpired:
                foreman.kill()
                foreman.wait()


def _children(process: int) -> list[int]:
    try:
        return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    except OSError:
        return []


def _stands_still(process: int) -> bool:
    try:
        said = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return False
    return said.rpartition(")")[2].split()[0] == "T"


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _read_answer(answer: socket.socket, until: float) -> bytes:
    """Read one answer to its end; what is cut short counts as none."""
    pieces, size = [], 0
    while size <= LARGEST_ANSWER + HEAD.size:
        answer.settimeout(_left(until))
        piece = answer.recv(MIB)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    whole = b"".join(pieces)
    if size < HEAD.size:
        raise Stopped("ended")
    good, length = HEAD.unpack_from(whole)
    body = whole[HEAD.size :]
    if len(body) != length:
        raise Stopped("ended")
    if not good:
        raise Stopped(body.decode())
    return body


def serve(prepare: Callable[[list[str]], Work]) -> None:
    """Be the foreman: what a module does that a `Workshop` names, when it is run."""
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
    """Do one job and answer; tell whether all went well."""
    good, body = False, b""
    try:
        job = bytearray()
        while piece := asker.recv(MIB):
            job += piece
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
