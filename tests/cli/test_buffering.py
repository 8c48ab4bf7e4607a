"""The server's own worker: clients that are slow in any way keep nobody from an answer."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from types import SimpleNamespace
from urllib.request import urlopen

import pytest
from gunicorn.workers.base import Worker

from caseapp.cli import buffering
from caseapp.core.settings import ROOT
from caseapp.http.uploads import OTHER_FIELDS_BYTES
from tests.support.depth import ROUNDS
from tests.support.loopback import own_port
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.process

HALF_OPEN = 900 if ROUNDS > 1 else 64
OTHERS = 20
BIG = 6_000_000

SERVER = """
import sys, time
from pathlib import Path
from gunicorn.app.base import BaseApplication
from caseapp.cli import buffering

port, folder, connections, big = sys.argv[1:]
# However slow the machine is, no connection is closed but to make room.
buffering.IDLE_SECONDS = buffering.LINGER_SECONDS = 1e6
buffering.MAX_CONNECTIONS = int(connections)

def respond(environ, start):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ["PATH_INFO"] == "/slow":
        Path(folder, "begun").touch()
        while not Path(folder, "go").exists():
            time.sleep(0.01)
    answer = b"x" * int(big) if environ["PATH_INFO"] == "/big" else b"%d bytes" % len(body)
    start("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]

class Server(BaseApplication):
    def load_config(self):
        for name, value in {
            "bind": f"127.0.0.1:{port}", "worker_class": buffering.BufferingWorker, "keepalive": 0,
            "control_socket_disable": True, "graceful_timeout": 10**6, "timeout": 10**6,
            "when_ready": lambda _server: print("ready", flush=True),
        }.items():
            self.cfg.set(name, value)
    def load(self):
        return respond

Server().run()
"""


@contextmanager
def serving(folder):
    """Serve with one process and one thread within the block; yield the process and its port."""
    with own_port() as port:
        command = [sys.executable, "-c", SERVER, str(port), str(folder)]
        command += [str(HALF_OPEN + OTHERS), str(BIG)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            try:
                assert process.stdout.readline() == "ready\n"
                yield process, port
            finally:
                process.kill()


@pytest.fixture
def many_files():
    """Let this process open a socket for each connection."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(4096, before[1])), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def send(port, data=b""):
    """Connect and send what there is; return the socket."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.sendall(data)
    return sock


def read(sock):
    """Read until the server closes; return the status and the body."""
    with closing(sock):
        head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).partition(b"\r\n\r\n")
    return head[9:12], body


def get(port, path):
    return read(send(port, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode()))


HALVES = [
    (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"0 bytes"),
    (b"GET / HTTP/1.1\r\nHo", b"st: x\r\n\r\n", b"0 bytes"),
    (b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length:9\r\n\r\n12", b"3456789", b"9 bytes"),
]
UNREAD = (b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n", b"", b"x" * BIG)


@pytest.mark.soak
def test_half_open_connections_stop_nobody(tmp_path, many_files):
    with serving(tmp_path) as (process, port):
        kinds = [*HALVES * ((HALF_OPEN - 4) // len(HALVES)), *[UNREAD] * 4]
        held = [(half, send(port, half[0])) for half in kinds]
        assert get(port, "/") == (b"200", b"0 bytes")
        # Each of them is whole as soon as its client goes on.
        for (_, rest, answer), sock in held:
            sock.sendall(rest)
            assert read(sock) == (b"200", answer)
        # Beyond the limit those that wait longest give way.
        with ExitStack() as closed:
            waiting = [send(port) for _ in range(HALF_OPEN + 2 * OTHERS)]
            for sock in waiting:
                closed.callback(sock.close)
            assert get(port, "/") == (b"200", b"0 bytes")
            assert waiting[0].recv(1) == b""
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0


def test_exit_waits_for_nobody_and_strange_requests_are_answered(tmp_path):
    with serving(tmp_path) as (_, port):
        slow = send(port, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        for path in ("/exit", "/portal/safety", "/livez"):
            assert get(port, path)[0] == b"200"
        (tmp_path / "go").touch()
        assert read(slow)[0] == b"200"
        with urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
            assert answer.headers["Server"] is None
        for request, status in (
            (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000, b"431"),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"200"),
            (b"nonsense\r\n\r\n", b"400"),
            (
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
                b"400",
            ),
        ):
            assert read(send(port, request))[0] == status, request[:70]
        careful = send(
            port, b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert careful.recv(len(buffering.CONTINUE)) == buffering.CONTINUE
        careful.sendall(b"12")
        assert read(careful) == (b"200", b"2 bytes")
        with urlopen(f"http://127.0.0.1:{port}/big", timeout=PATIENCE) as answer:
            assert len(answer.read()) == BIG


def test_a_request_that_hangs_is_told_to_the_main_process(monkeypatch):
    told = []
    monkeypatch.setattr(Worker, "notify", lambda _worker: told.append(1))
    worker = object.__new__(buffering.BufferingWorker)
    worker.cfg = SimpleNamespace(timeout=30)
    for seconds in ((), (29,), (29, 31)):
        running = {n: SimpleNamespace(running_since=time.monotonic() - n) for n in seconds}
        monkeypatch.setattr(worker, "running", running, raising=False)
        worker.notify()
    assert told == [1, 1]


def test_worker_fits_the_application(session_app):
    largest = max(getattr(view, "largest_file", 0) for view in session_app.view_functions.values())
    assert max(largest + OTHER_FIELDS_BYTES, session_app.config["MAX_CONTENT_LENGTH"]) <= (
        buffering.MAX_BODY_BYTES
    )
    prompt = {
        rule.rule
        for rule in session_app.url_map.iter_rules()
        if buffering.PROMPT.match(f"GET {rule.rule} HTTP/1.1".encode())
    }
    assert prompt == {"/exit", "/portal/safety", "/livez"}
