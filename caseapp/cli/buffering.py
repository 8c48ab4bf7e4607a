"""A gunicorn worker in which a request waits for nobody: only whole ones are run, and their answers sent afterwards.

One loop reads from and writes to all connections as far as each of them goes; the request itself runs in a thread that
sees memory instead of a socket. So somebody who sends or reads slowly, or nothing at all, costs memory and no thread.
Leaving the portal and its help lines have threads of their own: they don't wait for other people's requests either.
It uses parts of gunicorn that it doesn't document; `pyproject.toml` names the one release that was tried.
"""

from __future__ import annotations

import io
import re
import resource
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn, ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import BinaryIO

IDLE_SECONDS = 30
"""A connection on which nothing has moved for this long is closed."""
LINGER_SECONDS = 2
"""After its answer a client has this long to close; closing first could cut the answer off (RFC 9112, section 9.6)."""
MAX_CONNECTIONS = 4000
"""As many connections a process holds where its limit of open files allows it."""
OTHER_FILES = 200
"""How many files a process may have open beside its connections."""
MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 8 * 1024 * 1024
"""More than any view accepts; a request that announces more is refused by its head."""
MAX_HELD_BYTES = 128 * 1024 * 1024
"""What a process keeps of requests that aren't whole; for more, those that wait longest give way."""
CHUNK_BYTES = 64 * 1024
BUSY_LOOK_SECONDS = 0.1
"""While its threads are busy, a process looks this often for connections that no other process has taken."""
PROMPT_THREADS = 2
PROMPT = re.compile(rb"[A-Z]+ /(?:exit|portal/safety|livez)[ ?]")
"""Requests that wait for no others: leaving the portal, its help lines, and whether the process answers."""

END_OF_HEAD = b"\r\n\r\n"
BODY_LENGTH = re.compile(
    rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
OF_UNKNOWN_LENGTH = re.compile(rb"^transfer-encoding[ \t]*:", re.IGNORECASE | re.MULTILINE)
WAITS_FOR_CONSENT = re.compile(
    rb"^expect:[ \t]*100-continue[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
PROGRAM = b"Server: gunicorn\r\n"
"""What gunicorn tells about itself, and nobody needs to know."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSAL = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Memory:
    """What a thread has instead of a socket: a whole request to read, and an answer to fill.

    gunicorn calls it as it would call a socket. An answer isn't limited: the largest are exports and PDFs.
    """

    def __init__(self, received: bytes) -> None:
        """Hold a request."""
        self.received = io.BytesIO(received)
        self.answer = bytearray()

    def recv(self, size: int) -> bytes:
        """Return the next bytes of the request; none after its end."""
        return self.received.read(size)

    def send(self, _interim: bytes) -> None:
        """Drop gunicorn's consent to a body, which has come already."""

    def sendall(self, data: bytes) -> None:
        """Add to the answer; the first part is its head."""
        self.answer += data if self.answer else data.replace(PROGRAM, b"", 1)

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> None:
        """Add a part of a file to the answer."""
        file.seek(offset)
        self.answer += file.read() if count is None else file.read(count)

    def gettimeout(self) -> None:
        """Return that nothing here takes time."""

    def setblocking(self, _blocks: bool) -> None:  # noqa: FBT001 - a socket's own
        """Do nothing."""

    settimeout = setblocking

    def shutdown(self, _how: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing; the loop closes the connection."""


@dataclass(eq=False)
class Connection:
    """A client's connection: what has come of its request, then what has been sent of the answer."""

    sock: socket.socket
    client: Any
    server: Any
    idle_until: float = 0.0
    """When it is closed if nothing moves on it; a monotonic time in seconds, like `running_since`."""
    received: bytearray = field(default_factory=bytearray)
    expected: int | None = None
    """The length of the whole request in bytes, known with its head."""
    is_prompt: bool = False
    answer: memoryview = field(default_factory=lambda: memoryview(b""))
    running_since: float = 0.0

    def keep(self, seconds: float) -> None:
        """Keep it open for so long from now."""
        self.idle_until = time.monotonic() + seconds


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """A worker that runs whole requests in its threads, and waits for clients in one loop for all of them."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Start without connections."""
        super().__init__(*arguments)
        # gunicorn accepts connections while it has fewer than this; we count only the requests that run, so that a
        # process whose threads are busy leaves new ones to the others for a while.
        self.worker_connections = self.cfg.threads
        self.prompt_pool = ThreadPoolExecutor(PROMPT_THREADS)
        self.connections: dict[Connection, None] = {}
        self.running: dict[TConn, Connection] = {}
        self.held = 0

    def init_process(self) -> None:
        """Allow as many open files as the system lets this process have."""
        present, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_CONNECTIONS + OTHER_FILES
        limit = max(present, wanted if most == resource.RLIM_INFINITY else min(wanted, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        self.max_connections = max(1, min(MAX_CONNECTIONS, limit - OTHER_FILES))
        super().init_process()

    def notify(self) -> None:
        """Tell the main process that this one is well, unless a request has run for longer than it may."""
        begun = [found.running_since for found in self.running.values()]
        if not begun or time.monotonic() - min(begun) < self.cfg.timeout:
            super().notify()

    def accept(self, listener: socket.socket) -> bool:
        """Begin to read from a new connection, if there is one; tell whether there was.

        With too many connections the one that waits longest gives way.
        """
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        sock.setblocking(False)  # noqa: FBT003 - a socket's own
        if len(self.connections) >= self.max_connections:
            self._close(next(iter(self.connections)))
        made = Connection(sock, client, listener.getsockname())
        self.connections[made] = None
        self._wait(made, selectors.EVENT_READ, self._read)
        return True

    def _wait(self, found: Connection, event: int, call: Callable[[Connection], None]) -> None:
        """Call a function whenever the connection can be read from or written to, until told otherwise."""
        found.keep(IDLE_SECONDS)

        def go_on(_sock: object) -> None:
            # The same round may have closed it to make room.
            if found not in self.connections:
                return
            try:
                call(found)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._close(found)

        if found.sock in self.poller.get_map():
            self.poller.modify(found.sock, event, go_on)
        else:
            self.poller.register(found.sock, event, go_on)

    def _read(self, found: Connection) -> None:
        data = found.sock.recv(CHUNK_BYTES)
        if not data:
            self._close(found)
            return
        found.keep(IDLE_SECONDS)
        found.received += data
        self.held += len(data)
        if found.expected is None:
            self._read_head(found, len(data))
        if found.expected is not None and len(found.received) >= found.expected:
            self._run(found)
        while self.held > MAX_HELD_BYTES:
            self._close(next(waiting for waiting in self.connections if waiting.received))

    def _read_head(self, found: Connection, added: int) -> None:
        """Learn from a whole head how long the request is; refuse what has no length."""
        start = max(0, len(found.received) - added - len(END_OF_HEAD))
        end = found.received.find(END_OF_HEAD, start)
        if end < 0:
            if len(found.received) > MAX_HEAD_BYTES:
                self._answer(found, REFUSAL % b"431 Request Header Fields Too Large")
            return
        head = bytes(found.received[: end + 2])
        found.is_prompt = PROMPT.match(head) is not None
        if OF_UNKNOWN_LENGTH.search(head):
            self._answer(found, REFUSAL % b"411 Length Required")
            return
        length = max(map(int, BODY_LENGTH.findall(head)), default=0)
        found.expected = end + len(END_OF_HEAD)
        if length <= MAX_BODY_BYTES:
            found.expected += length
            if len(found.received) < found.expected and WAITS_FOR_CONSENT.search(head):
                found.sock.send(CONTINUE)

    def _run(self, found: Connection) -> None:
        """Hand a whole request to a thread; from here on it isn't counted as waiting for its client."""
        self.poller.unregister(found.sock)
        del self.connections[found]
        conn = TConn(self.cfg, Memory(self._take(found)), found.client, found.server)
        conn.data_ready = True
        found.running_since = time.monotonic()
        self.running[conn] = found
        pool = self.prompt_pool if found.is_prompt else self.tpool
        running = pool.submit(self.handle, conn)
        running.add_done_callback(
            lambda ended: self.method_queue.defer(self.finish_request, conn, ended)
        )

    def _take(self, found: Connection) -> bytes:
        """Give up what has been received, and return it."""
        taken = bytes(found.received)
        self.held -= len(taken)
        found.received.clear()
        return taken

    def finish_request(self, conn: TConn, _ended: Future[bool]) -> None:
        """Send the answer of a request that a thread has run."""
        found = self.running.pop(conn)
        self.connections[found] = None
        self._answer(found, conn.sock.answer)

    def _answer(self, found: Connection, answer: bytes | bytearray) -> None:
        self._take(found)
        found.answer = memoryview(answer)
        self._wait(found, selectors.EVENT_WRITE, self._write)

    def _write(self, found: Connection) -> None:
        if found.answer:
            found.answer = found.answer[found.sock.send(found.answer[:CHUNK_BYTES]) :]
            found.keep(IDLE_SECONDS)
        if not found.answer:
            found.sock.shutdown(socket.SHUT_WR)
            self._wait(found, selectors.EVENT_READ, self._linger)
            found.keep(LINGER_SECONDS)

    def _linger(self, found: Connection) -> None:
        """Drop what a client still sends."""
        if not found.sock.recv(CHUNK_BYTES):
            self._close(found)

    def _close(self, found: Connection) -> None:
        self._take(found)
        del self.connections[found]
        self.poller.unregister(found.sock)
        found.sock.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for what happens next; gunicorn calls it again and again."""
        is_busy = self.alive and not self._accepting
        super().wait_for_and_dispatch_events(BUSY_LOOK_SECONDS if is_busy else timeout)
        if is_busy:
            for listener in self.sockets:
                while self.accept(listener):
                    pass

    def murder_pending(self) -> None:
        """Close connections on which nothing moves, and at the end all those without a whole request.

        gunicorn calls it after each wait, accepts while `nr_conns` is low, and at the end waits until it is 0.
        """
        now = time.monotonic()
        for found in list(self.connections):
            if found.idle_until <= now or not (self.alive or found.answer):
                self._close(found)
        if self.alive:
            self.nr_conns = sum(not found.is_prompt for found in self.running.values())
        else:
            self.nr_conns = len(self.running) + len(self.connections)
