"""The server's own worker: clients that are slow in any way keep nobody from an answer."""

from __future__ import annotations

import errno
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from unittest.mock import Mock
from urllib.request import urlopen

import pytest
from gunicorn.config import Config
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker

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


class Listener:
    """A listener with connections to accept, or the fault that the system gives instead of one."""

    def __init__(self, *found):
        """Wait with what `accept` returns or raises, in this order."""
        self.found = list(found)

    def accept(self):
        first = self.found.pop(0) if self.found else BlockingIOError()
        if isinstance(first, OSError):
            raise first
        return first, ("127.0.0.1", 1)

    def getsockname(self):
        return ("127.0.0.1", 2)


@pytest.fixture
def clients():
    """Connect clients; yield a function that returns a client's socket and the server's."""
    with ExitStack() as opened:

        def connect(data=b""):
            ours, theirs = socket.socketpair()
            opened.callback(ours.close)
            opened.callback(theirs.close)
            ours.settimeout(PATIENCE)
            ours.sendall(data)
            return ours, theirs

        yield connect


@pytest.fixture
def idle_worker():
    """Return a worker with one thread that never starts a request, and room for four connections."""
    cfg = Config()
    cfg.set("threads", 1)
    cfg.set("keepalive", 0)
    worker = buffering.BufferingWorker(0, 0, [], None, 30, cfg, None)
    worker.tpool = worker.prompt_pool = Mock()
    worker.max_connections, worker.max_queued = 4, 2
    with selectors.DefaultSelector() as worker.poller:
        yield worker
    worker.tmp.close()


def go_on(worker):
    """Read and write what can be at the moment."""
    for key, _ in worker.poller.select(0):
        key.data(key.fileobj)


def send_to(worker, clients, data):
    """Connect to the worker, send a request and let it be read; return the client's socket."""
    ours, theirs = clients(data)
    assert worker.accept(Listener(theirs))
    go_on(worker)
    return ours


WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PROMPT = b"GET /exit HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_request_that_hangs_is_told_to_the_main_process_and_one_that_waits_is_not(
    idle_worker, clients, monkeypatch
):
    told = []
    monkeypatch.setattr(Worker, "notify", lambda _worker: told.append(1))
    monkeypatch.setattr(ThreadWorker, "handle", lambda _worker, _conn: False)
    send_to(idle_worker, clients, WHOLE)
    send_to(idle_worker, clients, WHOLE)
    conn, waiting = idle_worker.running
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1000)
    idle_worker.notify()
    assert told == [1]
    idle_worker.handle(conn)
    idle_worker.notify()
    assert told == [1, 1]
    monkeypatch.setattr(time, "monotonic", lambda: now + 1030)
    idle_worker.notify()
    assert told == [1, 1]
    idle_worker.finish_request(conn, None)
    idle_worker.handle(waiting)
    idle_worker.notify()
    assert told == [1, 1, 1]


def test_whole_requests_that_wait_are_limited_in_number_but_for_prompt_ones(idle_worker, clients):
    for _ in range(2):
        send_to(idle_worker, clients, WHOLE)
    refused = send_to(idle_worker, clients, WHOLE)
    go_on(idle_worker)
    assert refused.recv(1000).startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n")
    send_to(idle_worker, clients, PROMPT)
    assert [found.is_prompt for found in idle_worker.running.values()] == [False, False, True]
    # Those that wait for a thread hold files too: the one that waits for its client gives way.
    assert len(idle_worker.connections) == 1
    send_to(idle_worker, clients, PROMPT)
    assert refused.recv(1000) == b""
    assert (len(idle_worker.connections), len(idle_worker.running)) == (0, 4)
    ours, theirs = clients()
    assert idle_worker.accept(Listener(theirs))
    assert ours.recv(1) == b""


def test_whole_requests_and_answers_are_limited_in_bytes(idle_worker, clients, monkeypatch):
    monkeypatch.setattr(buffering, "MAX_HELD_BYTES", 400)
    monkeypatch.setattr(buffering, "MAX_QUEUED_BYTES", 200)
    whole = b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
    send_to(idle_worker, clients, whole)
    assert idle_worker.held == len(whole)
    refused = send_to(idle_worker, clients, whole)
    go_on(idle_worker)
    assert refused.recv(1000)[9:12] == b"503"
    assert idle_worker.held == len(whole)
    send_to(idle_worker, clients, PROMPT)
    [conn, prompt] = idle_worker.running
    # However large an answer is, it is sent while the others need no more than the rest.
    conn.sock.answer += b"x" * 1_000_000
    idle_worker.finish_request(conn, None)
    assert idle_worker.held == len(PROMPT) + 200
    half = send_to(idle_worker, clients, b"GET / HTTP/1.1\r\nX: " + b"x" * 200)
    half_size = len(b"GET / HTTP/1.1\r\nX: ") + 200
    assert len(idle_worker.connections) == 2
    assert idle_worker.held == len(PROMPT) + half_size
    prompt.sock.answer += b"x" * 100
    idle_worker.finish_request(prompt, None)
    go_on(idle_worker)
    assert idle_worker.held == half_size
    half.sendall(b"\r\n\r\n")
    go_on(idle_worker)
    go_on(idle_worker)
    assert half.recv(1000)[9:12] == b"503"
    assert idle_worker.held == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_files_the_connection_that_waits_longest_gives_way(idle_worker, clients, number):
    first, second = (send_to(idle_worker, clients, b"GET") for _ in range(2))
    assert not idle_worker.accept(Listener(OSError(number, "")))
    assert first.recv(1) == b""
    assert len(idle_worker.connections) == 1
    second.sendall(b" / HTTP/1.1\r\n\r\n")
    go_on(idle_worker)
    assert len(idle_worker.running) == 1
    assert not idle_worker.accept(Listener(OSError(number, "")))


def test_a_busy_process_leaves_new_connections_to_others(idle_worker, clients):
    (_, first), (_, second) = clients(WHOLE), clients()
    assert idle_worker.accept(Listener(first))
    _, knocking = clients(b"x")
    idle_worker.sockets = [knocking]
    idle_worker.poller.register(
        knocking, selectors.EVENT_READ, lambda _: idle_worker.accept(Listener(second))
    )
    idle_worker._accepting = True  # noqa: SLF001 - gunicorn's own
    idle_worker.wait_for_and_dispatch_events(0)
    assert (len(idle_worker.connections), len(idle_worker.running)) == (0, 1)


def test_what_follows_a_request_is_no_part_of_it(idle_worker, clients):
    request = b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"
    send_to(idle_worker, clients, request + b"more")
    [conn] = idle_worker.running
    assert conn.sock.recv(1000) == request
    refused = send_to(
        idle_worker, clients, b"POST / HTTP/1.1\r\nContent-Length: 1000000000000000\r\n\r\n"
    )
    go_on(idle_worker)
    assert refused.recv(1000)[9:12] == b"400"


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
