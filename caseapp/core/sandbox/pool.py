"""The client side of a pool: sends a job to a worker process and waits for the answer.

One server per pool serves a program and all processes that it forks. The first job starts it, and the next job replaces
one that has died or is stopped. `core.sandbox.wait_budget` limits how long a page request may wait.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from caseapp.core.sandbox import confinement, protocol
from caseapp.core.sandbox.protocol import ANSWER_HEADER, JOB_HEADER, MIB, READY, Limits, Options
from caseapp.core.sandbox.wait_budget import WaitBudget
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = structlog.get_logger()

WORKER_COUNT = 2
"""How many jobs run at once for all callers; further jobs queue."""
MAX_WAIT_SECONDS = 14.0
"""Longest wait for a result in seconds, including the time in the queue."""
STARTUP_SECONDS = 25.0
"""Seconds that a server may take to start. It must be less than the web server's own worker timeout."""
STOP_SECONDS = 5
RETRY_SECONDS = 0.02
CREDENTIALS = struct.Struct("iII")
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


WRITABLE: tuple[str, ...] = ()
"""Folders in which workers may write, besides their own: only what measures the tests' coverage needs one."""


class JobFailed(Exception):
    """A job without a result; its text is one of the codes of `core.sandbox.protocol`, or one of the pool's own."""


class PoolUnavailable(Exception):
    """A server that could not start; the text is the name of the exception that stopped it."""


class SandboxPool:
    """A pool of worker processes, started on demand; safe for threads and for later forks."""

    def __init__(
        self,
        module: str,
        *,
        files: Callable[[], Mapping[str, Path]] = dict,
        limits: Limits | None = None,
        codes: frozenset[str] = frozenset(),
        workers: int = WORKER_COUNT,
    ) -> None:
        """Store what the server is started with and the codes that its jobs may fail with.

        The module's `prepare` is given the files by name and returns the job function; workers may read the files.
        """
        self.module = module
        self.files = files
        self.limits = limits or Limits()
        self.codes = codes
        self.workers = workers
        self._lock = threading.Lock()
        # An open descriptor of the pool's folder; it holds the lock that keeps the server running.
        self._folder: int | None = None
        self._path = Path()
        self._server: subprocess.Popen[bytes] | None = None
        self._owner_pid = 0
        atexit.register(self.close)

    def start(self) -> None:
        """Start the server if it is not running, before this process forks.

        Raises PoolUnavailable.
        """
        if missing := confinement.list_missing():
            log.warning("sandbox.unprotected", missing=missing)
        with WaitBudget(STARTUP_SECONDS) as budget:
            try:
                self._connect(budget).close()
            except TimeoutError:
                raise PoolUnavailable from None

    def close(self) -> None:
        """Stop using the pool; its server ends when no other process uses it."""
        with self._lock:
            if self._folder is None:
                return
            os.close(self._folder)
            self._folder = None
            if self._owner_pid != os.getpid() or not protocol.is_unused(self._path):
                return
            if self._server is not None:
                self._server.terminate()
                try:
                    self._server.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self._server.kill()
                    self._server.wait()
                self._server = None
            shutil.rmtree(self._path, ignore_errors=True)

    def run(self, job: bytes) -> bytes:
        """Run one job and return its result.

        Raises JobFailed when no complete result arrives in time, and PoolUnavailable.
        """
        if len(job) > self.limits.job_bytes:
            raise JobFailed(protocol.TOO_BIG)
        with WaitBudget(MAX_WAIT_SECONDS) as budget:
            try:
                with self._connect(budget) as connection:
                    message = _exchange(connection, job, self.limits.result_bytes, budget)
            except TimeoutError:
                raise JobFailed(protocol.LATE) from None
        code, result = protocol.decode_answer(message, self.codes, self.limits.result_bytes)
        if code:
            raise JobFailed(code)
        return result

    def _connect(self, budget: WaitBudget) -> socket.socket:
        """Connect to the server, and start or replace it if needed."""
        # A path by a descriptor is short; one to a Unix socket may have only 107 bytes.
        address = f"/proc/self/fd/{self._get_folder()}/{protocol.SOCKET}"
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.setblocking(False)  # noqa: FBT003 - the standard library's own
            try:
                connection.connect(address)
                server, _, _ = CREDENTIALS.unpack(
                    connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
                )
                if _is_running(server):
                    return connection
                connection.close()
                budget.wait(RETRY_SECONDS)
            except BlockingIOError:
                # The queue is full: hundreds of jobs are waiting.
                connection.close()
                raise JobFailed(protocol.LATE) from None
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                self._start_or_wait(budget)
            except BaseException:
                connection.close()
                raise

    def _get_folder(self) -> int:
        with self._lock:
            if self._folder is None:
                self._path = Path(tempfile.mkdtemp(prefix="caseapp-pool-"))
                # Workers may be another user and must reach their own folder in it.
                self._path.chmod(0o711)
                (self._path / protocol.LOCK).parent.mkdir(mode=0o700)
                self._owner_pid = os.getpid()
                self._folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(self._folder, fcntl.LOCK_SH)
            return self._folder

    def _start_or_wait(self, budget: WaitBudget) -> None:
        """Start a server, or wait a moment while another thread or process starts one."""
        lock = os.open(self._path / protocol.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            budget.wait(RETRY_SECONDS, STARTUP_SECONDS)
        else:
            self._start_server(lock, budget)
        finally:
            os.close(lock)

    def _start_server(self, lock: int, budget: WaitBudget) -> None:
        """Start a server that holds the lock as long as it runs, and wait until it is ready."""
        if self._server is not None:
            # It is dead, since the lock was free.
            self._server.wait()
        reading, writing = os.pipe()
        try:
            options = Options(
                module=self.module,
                folder=str(self._path),
                lock=lock,
                ready=writing,
                workers=self.workers,
                limits=self.limits,
                files={name: str(path) for name, path in self.files().items()},
                writable=[*WRITABLE],
            )
            self._server = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "caseapp.core.sandbox.server", options.encode()],
                cwd=ROOT,
                env={name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ},
                pass_fds=(lock, writing),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Library messages may quote the document.
                stderr=subprocess.DEVNULL,
                # Ctrl-C reaches the whole process group; the server must end only when nobody uses it.
                start_new_session=True,
            )
            os.close(writing)
            writing = -1
            try:
                _wait_for(reading, select.POLLIN, budget, STARTUP_SECONDS)
                reply = os.read(reading, 200)
            except TimeoutError:
                # It may be stopped and would then block every later start.
                reply = b""
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if not reply.startswith(READY):
            self._server.kill()
            self._server.wait()
            self._server = None
            raise PoolUnavailable(reply.decode().partition("\n")[0])


def _is_running(server: int) -> bool:
    """Return whether a server takes jobs; kill it, or a worker of it, when it is stopped (SIGSTOP).

    gunicorn replaces a killed worker at once, while it would wait for a stopped one until its timeout.
    """
    for worker in _list_children(server):
        _kill_if_stopped(worker)
    return _kill_if_stopped(server) in {"R", "S", "D"}


def _kill_if_stopped(process: int) -> str:
    """Return the state of a process as /proc has it; an empty string when it is gone."""
    try:
        # A process id may be reused after the process has ended; a pidfd never refers to another process.
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return ""
    try:
        state = _get_state(process)
        if state == "T":
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)
    return state


def _list_children(process: int) -> list[int]:
    try:
        return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    except OSError:
        return []


def _get_state(process: int) -> str:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _wait_for(
    channel: socket.socket | int, event: int, budget: WaitBudget, startup_allowance: float = 0
) -> None:
    poll = select.poll()
    poll.register(channel, event)
    while not poll.poll(1000 * budget.remaining(startup_allowance)):
        pass


def _exchange(connection: socket.socket, job: bytes, longest: int, budget: WaitBudget) -> bytes:
    """Send the job and return all that comes back until the worker closes the connection.

    No more is read than a complete answer can have, and nothing after the sign that the time limit was reached.
    """
    rest = memoryview(JOB_HEADER.pack(len(job)) + job)
    with suppress(ConnectionError):
        while rest:
            _wait_for(connection, select.POLLOUT, budget)
            rest = rest[connection.send(rest) :]
    received = bytearray()
    with suppress(ConnectionError):
        while len(received) <= longest + ANSWER_HEADER.size:
            _wait_for(connection, select.POLLIN, budget)
            chunk = connection.recv(MIB)
            if not chunk:
                break
            received += chunk
            if received[0] == protocol.TIME_LIMIT:
                break
    return bytes(received)
