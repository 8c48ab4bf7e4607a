"""Ask for work apart: a job is given to the hands of `core.limited`, and its answer waited for.

Jobs go through one socket, which the program's own forks may share. A foreman that was killed is replaced by whoever
asks next, and so is one that stands still, or whose hands do. `core.waiting` says how long a page that asks may wait.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from caseapp.core.sandbox.supervisor import HEAD, LARGEST_ANSWER, MIB, READY
from caseapp.core.sandbox.wait_budget import Waiting
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT_ONCE = 2
"""How many jobs are done at once, whoever asks; more wait for their turn."""
PATIENCE = 14.0
"""Seconds that an asker waits at most, its turn included."""
STARTING = 25.0
"""Seconds that a foreman may take to load what its hands need: less than a server waits for its worker."""
LARGEST_JOB = 2 * MIB
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

    def start(self) -> None:
        """Start a foreman unless there is one.

        Raises NotReady.
        """
        with Waiting(STARTING) as waiting:
            self._the_line(waiting)

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
        with Waiting(PATIENCE) as waiting:
            try:
                with self._handed_over(waiting) as answer:
                    return _asked(answer, job, waiting)
            except TimeoutError:
                raise Stopped("late") from None

    @contextmanager
    def _locked(self, waiting: Waiting) -> Iterator[None]:
        """Wait for other threads, of which one may be waiting for a foreman."""
        while not self._lock.acquire(timeout=waiting.left(STARTING)):
            pass
        try:
            yield
        finally:
            self._lock.release()

    def _the_line(self, waiting: Waiting) -> socket.socket:
        with self._locked(waiting):
            if self._line is None:
                self._line = self._hire(waiting)
            return self._line

    def _handed_over(self, waiting: Waiting) -> socket.socket:
        """Send a socket for the answer to whichever hand is free; a foreman that is gone is replaced once."""
        self._end_what_stands_still(waiting)
        for _ in range(2):
            line = self._the_line(waiting)
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    socket.send_fds(line, [b"."], [theirs.fileno()])
                except BlockingIOError:
                    # Hundreds wait already.
                    ours.close()
                    raise Stopped("late") from None
                except OSError:
                    ours.close()
                    with self._locked(waiting):
                        if self._line is line:
                            self._let_go()
                else:
                    return ours
        raise Stopped("ended")

    def _end_what_stands_still(self, waiting: Waiting) -> None:
        """End a foreman that somebody stopped (SIGSTOP), or one of whose hands: their clocks stand still too."""
        with self._locked(waiting):
            foreman = self._foreman
            if foreman and any(map(_stands_still, (foreman.pid, *_children(foreman.pid)))):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)
                self._let_go()

    def _hire(self, waiting: Waiting) -> socket.socket:
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
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own
        try:
            _wait_for(ours, select.POLLIN, waiting, STARTING)
            word = ours.recv(200)
        except OSError:
            # Whoever says nothing does not hear that it is let go either.
            self._foreman.kill()
            word = b""
        if word != READY:
            self._line = ours
            self._let_go()
            raise NotReady(word.decode())
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


def _wait_for(channel: socket.socket, event: int, waiting: Waiting, at_least: float = 0) -> None:
    asked = select.poll()
    asked.register(channel, event)
    while not asked.poll(1000 * waiting.left(at_least)):
        pass


def _asked(answer: socket.socket, job: bytes, waiting: Waiting) -> bytes:
    """Give the job and read its answer to the end; what is cut short counts as none."""
    answer.setblocking(False)  # noqa: FBT003
    try:
        rest = memoryview(job)
        while rest:
            _wait_for(answer, select.POLLOUT, waiting)
            rest = rest[answer.send(rest) :]
        answer.shutdown(socket.SHUT_WR)
        whole = _read(answer, waiting)
    except TimeoutError:
        raise
    except OSError:
        raise Stopped("ended") from None
    if len(whole) < HEAD.size:
        raise Stopped("ended")
    good, length = HEAD.unpack_from(whole)
    body = whole[HEAD.size :]
    if len(body) != length:
        raise Stopped("ended")
    if not good:
        raise Stopped(body.decode())
    return body


def _read(answer: socket.socket, waiting: Waiting) -> bytes:
    pieces, size = [], 0
    while size <= LARGEST_ANSWER + HEAD.size:
        _wait_for(answer, select.POLLIN, waiting)
        piece = answer.recv(MIB)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
