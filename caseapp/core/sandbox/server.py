"""The server side of a pool: a small gunicorn on a Unix socket, whose workers run jobs under limits of the kernel.

The master loads what the job function needs, leaves the network and keeps a few workers, forked from itself and
confined. A worker runs some jobs in turn, each under limits of its own, and exits; the master forks the next one. A
worker whose job failed for any reason exits at once, so that only undamaged processes go on. A fork for each job would
also separate successful jobs, but costs a quarter more time, since shared pages are copied when they are touched. The
job function must therefore keep nothing of a job; `core.pdf` explains how its function meets that.

Waiting jobs queue in the socket. `core.sandbox.pool` starts the server and sends the jobs; the server ends when no
process uses the pool's folder any more.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.sync import SyncWorker

from caseapp.core.sandbox import confinement, protocol
from caseapp.core.sandbox.protocol import ANSWER_HEADER, FAILURE, JOB_HEADER, MIB, RESULT, Options

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    JobFunction = Callable[[bytes], bytes]

NOBODY = 65534
# gunicorn's own limit; it ends only workers that don't even notice their timers, such as stopped ones.
SPARE_SECONDS = 3
QUEUE_LENGTH = 512
# What gunicorn's workers handle when they are told to stop.
HELD_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGWINCH)


class PoolServer(BaseApplication):  # type: ignore[misc]
    """A gunicorn application whose callable is a job function, not a WSGI application."""

    def __init__(self, options: Options) -> None:
        """Store the options."""
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn; the workers become nobody where this process is root."""
        values: dict[str, Any] = {
            "bind": f"unix:{protocol.SOCKET}",
            "workers": self.options.workers,
            "worker_class": JobWorker,
            "preload_app": True,
            "max_requests": self.options.limits.jobs_per_worker,
            "timeout": int(self.options.limits.seconds) + SPARE_SECONDS,
            "backlog": QUEUE_LENGTH,
            "loglevel": "critical",
            "control_socket_disable": True,
            "when_ready": self._prepare_workers,
        }
        if confinement.may_change_user():
            os.setgroups([])
            values |= {"user": NOBODY, "group": NOBODY}
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> JobFunction:
        """Load what the jobs need and return the job function."""
        files = {name: Path(path) for name, path in self.options.files.items()}
        function: JobFunction = importlib.import_module(self.options.module).prepare(files)
        return function

    def _prepare_workers(self, _server: object) -> None:
        for path in (work := Path(self.options.folder, protocol.WORK), *work.rglob("*")):
            os.chown(path, self.cfg.uid, self.cfg.gid)
        # Keeps the memory of these objects shared with the workers for longer.
        gc.collect()
        gc.freeze()


class PoolMaster(Arbiter):  # type: ignore[misc]
    """A gunicorn master that ends when no process uses its pool any more."""

    app: PoolServer

    def murder_workers(self) -> None:
        """End when the pool has no users, else kill workers that are old or seem dead; called every second."""
        if protocol.is_unused(Path(self.app.options.folder)):
            raise StopIteration
        for process, worker in [*self.WORKERS.items()]:
            excess = time.monotonic() - worker.started - self.app.options.limits.worker_seconds
            if excess > 0:
                # A sound worker finishes its job first.
                self.kill_worker(
                    process, signal.SIGKILL if excess > self.timeout else signal.SIGTERM
                )
        super().murder_workers()

    def stop(self, graceful: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - gunicorn's own
        """Kill the workers, since their jobs are of no use any more, and delete what they wrote."""
        for worker in [*self.WORKERS]:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
        self.WORKERS.clear()
        os.chdir("/")
        folder = Path(self.app.options.folder)
        (folder / protocol.SOCKET).unlink(missing_ok=True)
        shutil.rmtree(folder / protocol.WORK, ignore_errors=True)
        if protocol.is_unused(folder):
            shutil.rmtree(folder, ignore_errors=True)


class JobWorker(SyncWorker):  # type: ignore[misc]
    """A worker that runs the jobs of one connection after another, each under timers of its own."""

    app: PoolServer
    alive: bool

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Remember when the worker was started; called by the master."""
        super().__init__(*arguments)
        self.started = time.monotonic()

    def run(self) -> NoReturn:
        """Give up everything that jobs don't need, run jobs, and exit without the master's clean-up handlers."""
        status = Arbiter.WORKER_BOOT_ERROR
        try:
            self._confine()
            status = 0
            if os.getppid() == self.ppid:
                super().run()
        except Exception as fault:  # noqa: BLE001 - its name is sent to whoever starts the server
            _report(self.app.options.ready, _get_name(fault))
        finally:
            os._exit(status)

    def _confine(self) -> None:
        options = self.app.options
        os.close(options.lock)
        work = Path(options.folder, protocol.WORK)
        os.chdir(work / "empty")
        tempfile.tempdir = str(work / "made")
        confinement.confine(
            options.limits,
            readable=[*confinement.list_libraries(), work, *map(Path, options.files.values())],
            writable=[work / "made", *map(Path, options.writable)],
        )
        signal.signal(signal.SIGPROF, _exit_for_time)
        # Garbage collection touches shared pages, so it runs between jobs instead.
        gc.disable()
        _report(options.ready, protocol.READY)

    def handle(self, _listener: object, client: socket.socket, _address: object) -> None:
        """Run the job of one connection; a failed one is the worker's last."""
        self.nr += 1
        with client:
            succeeded = self._answer(client)
        self.alive = self.alive and succeeded and self.nr < self.max_requests
        gc.collect()

    def _answer(self, client: socket.socket) -> bool:
        """Run a job and send its answer, unless the caller has gone; return whether it succeeded."""
        limits = self.app.options.limits
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        try:
            job = _receive(client, limits.job_bytes)
            if job is None or _has_left(client):
                return True
            kind, content = self._run_job(client, job)
            client.sendall(ANSWER_HEADER.pack(kind, len(content)) + content)
        except OSError:
            # The caller left while it was being answered.
            return False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return kind == RESULT

    def _run_job(self, client: socket.socket, job: bytes) -> tuple[int, bytes]:
        """Return the kind and the content of the answer.

        The wall-clock timer kills this process. The CPU timer's signal number is first written to the caller by the
        interpreter's own handler, which also runs in the middle of C code, so that the caller knows whose fault it was.
        """
        limits = self.app.options.limits
        client.setblocking(False)  # noqa: FBT003 - required by set_wakeup_fd
        # These would write their number too; they wait until the job is done.
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
        before = signal.set_wakeup_fd(client.fileno())
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
        try:
            result = self.wsgi(job)
        except protocol.JobRefused as refusal:
            answer = FAILURE, str(refusal).encode()
        except MemoryError:
            answer = FAILURE, protocol.MEMORY.encode()
        except BaseException as fault:  # noqa: BLE001 - only its name is sent, since its text may quote the job
            answer = FAILURE, _get_name(fault)
        else:
            too_big = len(result) > limits.result_bytes
            answer = (FAILURE, protocol.TOO_BIG.encode()) if too_big else (RESULT, result)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.set_wakeup_fd(before)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
            client.setblocking(True)  # noqa: FBT003
        return answer


def _receive(client: socket.socket, longest: int) -> bytes | None:
    """Return a complete job, or None when the caller left before it was sent or would send too much."""
    header = _receive_exactly(client, JOB_HEADER.size)
    length = JOB_HEADER.unpack(header)[0] if header else longest + 1
    return _receive_exactly(client, length) if length <= longest else None


def _receive_exactly(client: socket.socket, length: int) -> bytes | None:
    received = bytearray()
    while len(received) < length:
        chunk = client.recv(min(MIB, length - len(received)))
        if not chunk:
            return None
        received += chunk
    return bytes(received)


def _has_left(client: socket.socket) -> bool:
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(0))


def _get_name(fault: BaseException) -> bytes:
    return type(fault).__name__.encode()


def _exit_for_time(_number: int, _frame: object) -> None:
    os._exit(1)


def _report(pipe: int, line: bytes) -> None:
    """Tell whoever starts the server; later workers find nobody there any more."""
    with suppress(OSError):
        os.write(pipe, line)
    with suppress(OSError):
        os.close(pipe)


def main() -> None:
    """Serve until the pool has no users."""
    options = Options.decode(sys.argv[1])
    # Messages of libraries may quote the document.
    logging.disable()
    confinement.leave_network()
    os.chdir(options.folder)
    work = Path(options.folder, protocol.WORK)
    shutil.rmtree(work, ignore_errors=True)
    # What the master loads, what a job makes, and where a worker is.
    for name in ("loaded", "made", "empty"):
        (work / name).mkdir(parents=True)
    tempfile.tempdir = str(work / "loaded")
    try:
        master = PoolMaster(PoolServer(options))
    except Exception as fault:  # noqa: BLE001 - its name is sent to the caller
        _report(options.ready, _get_name(fault))
        return
    master.run()


if __name__ == "__main__":
    main()
