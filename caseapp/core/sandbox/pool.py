"""The client side of the sandbox: sends a job to a worker process and waits for the result.

Jobs go through one socket, which forked server processes share. The next request restarts a supervisor that has died,
or that is stalled or has a stalled worker. `core.sandbox.wait_budget` limits how long a page request may wait.
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

from caseapp.core.sandbox.supervisor import MAX_RESULT_BYTES, MIB, READY, RESULT_HEADER
from caseapp.core.sandbox.wait_budget import WaitBudget
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKER_COUNT = 2
"""How many jobs run at once for all callers; further jobs queue."""
MAX_WAIT_SECONDS = 14.0
"""Longest wait for a result in seconds, including the time in the queue."""
STARTUP_SECONDS = 25.0
"""Seconds that a supervisor may take to start. It must be less than the web server's own worker timeout."""
MAX_JOB_BYTES = 2 * MIB
# Variables about libraries, fonts and folders; none of them can hold a secret.
PASSED_ENVIRONMENT = (
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "TMPDIR",
)


class JobFailed(Exception):
    """A job without a result; its text is one word.

    The word comes from the job itself, is the name of an exception, or is one of: ended, late, too_big.
    """


class PoolUnavailable(Exception):
    """A supervisor that could not start; the text is the name of the exception that stopped it."""


class SandboxPool:
    """A connection to a supervisor process, started on demand; safe for threads and for later forks."""

    def __init__(
        self,
        module: str,
        arguments: Callable[[], list[str]] = list,
        *,
        workers: int = WORKER_COUNT,
        max_job_bytes: int = MAX_JOB_BYTES,
    ) -> None:
        """Store the module to run, which must call `serve`, its command-line arguments and the limits.

        `max_job_bytes` is the size limit of one job; a larger one fails as `too_big`.
        """
        self.module = module
        self.max_job_bytes = max_job_bytes
        self.arguments = arguments
        self.workers = workers
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        # A process id may be reused after the process has ended; a pidfd never refers to another process.
        self._pidfd = -1
        self._owner_pid = 0
        atexit.register(self.close)

    def start(self) -> None:
        """Start the supervisor if it is not running.

        Raises PoolUnavailable.
        """
        with WaitBudget(STARTUP_SECONDS) as budget:
            self._get_channel(budget)

    def close(self) -> None:
        """Close the connection; the supervisor exits when the last connection is closed."""
        with self._lock:
            if self._channel is not None:
                self._release()

    def run(self, job: bytes) -> bytes:
        """Run one job and return its result.

        Raises JobFailed when no complete result arrives in time, and PoolUnavailable.
        """
        if len(job) > self.max_job_bytes:
            raise JobFailed("too_big")
        with WaitBudget(MAX_WAIT_SECONDS) as budget:
            try:
                with self._submit(budget) as connection:
                    return _exchange(connection, job, budget)
            except TimeoutError:
                raise JobFailed("late") from None

    @contextmanager
    def _lock_within(self, budget: WaitBudget) -> Iterator[None]:
        """Take the lock within the budget; another thread may hold it while it starts a supervisor."""
        while not self._lock.acquire(timeout=budget.remaining(STARTUP_SECONDS)):
            pass
        try:
            yield
        finally:
            self._lock.release()

    def _get_channel(self, budget: WaitBudget) -> socket.socket:
        with self._lock_within(budget):
            if self._channel is None:
                self._channel = self._start_supervisor(budget)
            return self._channel

    def _submit(self, budget: WaitBudget) -> socket.socket:
        """Send one end of a socket pair to the next free worker, return the other; restart a dead supervisor once."""
        self._kill_if_stalled(budget)
        for _ in range(2):
            channel = self._get_channel(budget)
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    socket.send_fds(channel, [b"."], [theirs.fileno()])
                except BlockingIOError:
                    # The queue is full: hundreds of jobs are waiting.
                    ours.close()
                    raise JobFailed("late") from None
                except OSError:
                    ours.close()
                    with self._lock_within(budget):
                        if self._channel is channel:
                            self._release()
                else:
                    return ours
        raise JobFailed("ended")

    def _kill_if_stalled(self, budget: WaitBudget) -> None:
        """Kill a supervisor that is stopped (SIGSTOP) or has a stopped worker; their own timers do not fire."""
        with self._lock_within(budget):
            process = self._supervisor
            if process and any(map(_is_stalled, (process.pid, *_child_pids(process.pid)))):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                self._release()

    def _start_supervisor(self, budget: WaitBudget) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            arguments = [str(theirs.fileno()), str(self.workers), *self.arguments()]
            self._supervisor = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", self.module, *arguments],
                cwd=ROOT,
                env={name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Library messages may quote the document.
                stderr=subprocess.DEVNULL,
                # Ctrl-C reaches the whole process group; the supervisor must exit only when the connection closes.
                start_new_session=True,
            )
        self._owner_pid = os.getpid()
        self._pidfd = os.pidfd_open(self._supervisor.pid)
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own
        try:
            _wait_for(ours, select.POLLIN, budget, STARTUP_SECONDS)
            reply = ours.recv(200)
        except OSError:
            # A supervisor that does not answer would not notice a closed connection either.
            self._supervisor.kill()
            reply = b""
        if reply != READY:
            self._channel = ours
            self._release()
            raise PoolUnavailable(reply.decode())
        return ours

    def _release(self) -> None:
        if self._channel is not None:
            self._channel.close()
            os.close(self._pidfd)
        self._channel, process = None, self._supervisor
        self._supervisor = None
        if process is not None and self._owner_pid == os.getpid():
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _child_pids(process: int) -> list[int]:
    try:
        return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    except OSError:
        return []


def _is_stalled(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


def _wait_for(
    channel: socket.socket, event: int, budget: WaitBudget, startup_allowance: float = 0
) -> None:
    poll = select.poll()
    poll.register(channel, event)
    while not poll.poll(1000 * budget.remaining(startup_allowance)):
        pass


def _exchange(connection: socket.socket, job: bytes, budget: WaitBudget) -> bytes:
    """Send the job and read the complete result; a truncated one counts as a failure."""
    connection.setblocking(False)  # noqa: FBT003
    try:
        rest = memoryview(job)
        while rest:
            _wait_for(connection, select.POLLOUT, budget)
            rest = rest[connection.send(rest) :]
        connection.shutdown(socket.SHUT_WR)
        message = _read(connection, budget)
    except TimeoutError:
        raise
    except OSError:
        raise JobFailed("ended") from None
    if len(message) < RESULT_HEADER.size:
        raise JobFailed("ended")
    succeeded, length = RESULT_HEADER.unpack_from(message)
    body = message[RESULT_HEADER.size :]
    if len(body) != length:
        raise JobFailed("ended")
    if not succeeded:
        raise JobFailed(body.decode())
    return body


def _read(connection: socket.socket, budget: WaitBudget) -> bytes:
    chunks, size = [], 0
    while size <= MAX_RESULT_BYTES + RESULT_HEADER.size:
        _wait_for(connection, select.POLLIN, budget)
        chunk = connection.recv(MIB)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
