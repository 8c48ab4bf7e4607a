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


def _hurry(rest):
    """Let nearly all of the time that the job may take by one of its timers have passed, then run another job."""
    timer, job = rest.split(" ", 1)
    _let_time_pass(getattr(signal, timer))
    return work(job.encode())


def _let_time_pass(timer):
    left, _ = signal.getitimer(timer)
    if not left:
        raise RuntimeError("This timer does not run.")
    signal.setitimer(timer, min(left, 0.1))


def _after(rest):
    """Run another job once a gate is opened."""
    gate, job = rest.split(" ", 1)
    Path(gate).read_bytes()
    return work(job.encode())


def _sleep(rest):
    time.sleep(float(rest))
    return b"slept"


def _left(rest):
    """Use so many seconds of processor time; return how many of both kinds are left to the job."""
    end = time.process_time() + float(rest)
    while time.process_time() < end:
        pass
    timers = (signal.ITIMER_REAL, signal.ITIMER_PROF)
    return " ".join(str(signal.getitimer(timer)[0]) for timer in timers).encode()


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


def _find(name):
    """Return what the worker knows and the job function isn't given: itself, or the connection of the job."""
    frame = sys._getframe()  # noqa: SLF001
    while frame.f_code.co_name != "_run_job":
        frame = frame.f_back
    return frame.f_locals[name]


def _send(rest):
    """Answer with these bytes in place of the worker, any number of times, and exit or sleep until time is over."""
    text, times, then = rest.split()
    connection = _find("client")
    connection.setblocking(True)  # noqa: FBT003
    for _ in range(int(times)):
        connection.sendall(bytes.fromhex(text))
    if then == "sleep":
        _let_time_pass(signal.ITIMER_REAL)
        time.sleep(600)
    os._exit(0)


def _stop_timers():
    for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)


def _sleep_without_timers(_rest):
    """Give no sign of life; the time that a job may take has passed since the last one."""
    _stop_timers()
    # The master asks before it kills.
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    worker = _find("self")
    last = time.monotonic() - worker.app.options.limits.seconds
    os.utime(worker.tmp.fileno(), (last, last))
    time.sleep(600)


def _stay(_rest):
    """Go on for ever, and give signs of life to the master."""
    _stop_timers()
    while True:
        _find("self").notify()
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
    "hurry": _hurry,
    "after": _after,
    "left": _left,
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
