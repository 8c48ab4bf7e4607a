"""Jobs for the sandbox tests: the first word of each job names what the worker tries."""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401 - for `connect`; the user nobody may be unable to import it later
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from caseapp.core.sandbox.protocol import JobRefused


def work(job: bytes) -> bytes:
    """Run the action that the first word names."""
    word, _, rest = job.decode().partition(" ")
    return ACTIONS[word](rest)  # type: ignore[no-any-return, operator]


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
    file = Path(tempfile.gettempdir(), "large")
    file.write_bytes(bytes(int(rest)))
    return b"%d" % file.stat().st_size


def _connect(rest):
    socket.create_connection(("127.0.0.1", int(rest)), 1)
    return b"connected"


def _refuse(rest):
    raise JobRefused(rest)


def _caller():
    """Return the connection that the job came from, which the job function isn't given."""
    frame = sys._getframe()  # noqa: SLF001
    while frame.f_code.co_name != "_run_job":
        frame = frame.f_back
    return frame.f_locals["client"]


def _send(rest):
    """Answer with these bytes in place of the worker, any number of times, and exit or sleep."""
    text, times, then = rest.split()
    connection = _caller()
    connection.setblocking(True)  # noqa: FBT003
    for _ in range(int(times)):
        connection.sendall(bytes.fromhex(text))
    if then == "sleep":
        time.sleep(60)
    os._exit(0)


def _sleep_without_timers(_rest):
    for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    time.sleep(60)


def _stay(_rest):
    """Go on for ever, and give signs of life to the master."""
    frame = sys._getframe()  # noqa: SLF001
    while frame.f_code.co_name != "_run_job":
        frame = frame.f_back
    for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    while True:
        frame.f_locals["self"].notify()
        time.sleep(0.1)


def _fork(_rest):
    if not os.fork():
        os._exit(0)
    return b"forked"


def _survive(_rest):
    """Stay when the master ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(1, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _limit(rest):
    resource.prlimit(int(rest), resource.RLIMIT_NOFILE, (0, 0))


def _connect_unix(rest):
    # The descriptor of the listening socket is still there; only a new one could connect.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(rest)


def _thread(_rest):
    found = []
    thread = threading.Thread(target=lambda: found.append(b"ran"))
    thread.start()
    thread.join()
    return found[0]


ACTIONS = {
    "send": _send,
    "sleep-without-timers": _sleep_without_timers,
    "stay": _stay,
    "fork": _fork,
    "exec": lambda rest: os.execv(rest, [rest]),  # noqa: S606
    "spawn": lambda rest: subprocess.run([rest], check=True),  # noqa: S603
    "survive": _survive,
    "limit": _limit,
    "signal": lambda rest: os.kill(int(rest), signal.SIGCONT),
    "connect-unix": _connect_unix,
    "datagram": lambda _rest: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "thread": _thread,
    "mode": lambda rest: Path(rest).chmod(0o644),
    "owner": lambda rest: os.chown(rest, os.getuid(), os.getgid()),
    "time": os.utime,
    "cut": lambda rest: os.truncate(rest, 0),
    "delete": lambda rest: Path(rest).unlink(),
    "put": lambda rest: Path(rest).write_bytes(b"words"),
    "link": lambda rest: os.link(rest, Path(tempfile.gettempdir(), "link")),
    "list": os.listdir,
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


FAULTS = {"OSError": OSError, "ImportError": ImportError}


def prepare(files):
    """Return the job function, or raise the exception that the name of a file is."""
    for name in FAULTS.keys() & files:
        raise FAULTS[name]("raised by the test")
    return work
