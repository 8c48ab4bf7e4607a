"""A gunicorn worker in which a request waits for nobody: only whole ones are run, and their answers sent afterwards.

One loop reads from and writes to all connections as far as each of them goes; the request itself runs in a thread that
sees memory instead of a socket. So somebody who sends or reads slowly, or nothing at all, costs memory and no thread.
Leaving the portal and its help lines have threads of their own: they don't wait for other people's requests either.
It uses parts of gunicorn that it doesn't document; `pyproject.toml` names the one release that was tried.
"""

from __future__ import annotations

import errno
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
    from collections.abc import Callable, Collection
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
"""What a process keeps of requests and answers; for more, those that wait longest for their clients give way."""
MAX_QUEUED_BYTES = MAX_HELD_BYTES // 2
"""How much of it whole requests may be, so that others can still become whole; an answer counts at most as much."""
MAX_QUEUED = 100
"""As many whole requests wait for a thread; more are refused for `RETRY_SECONDS`."""
RETRY_SECONDS = 10
CHUNK_BYTES = 64 * 1024
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Why the system may refuse another connection until one is closed."""
BUSY_LOOK_SECONDS = 0.1
"""While its threads are busy, a process looks this often for connections that no other process has taken."""
PROMPT_THREADS = 2
PROMPT = re.compile(rb"[A-Z]+ /(?:exit|portal/safety|livez)[ ?]")
"""Requests that wait for no others: leaving the portal, its help lines, and whether the process answers."""

END_OF_HEAD = b"\r\n\r\n"
BODY_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
MAX_LENGTH_DIGITS = 15
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
    held: int = 0
    """How many bytes of its request or answer count towards `MAX_HELD_BYTES`."""
    received: bytearray = field(default_factory=bytearray)
    expected: int | None = None
    """The length of the whole request in bytes, known with its head."""
    is_prompt: bool = False
    answer: memoryview = field(default_factory=lambda: memoryview(b""))
    running_since: float | None = None
    """When a thread started its request."""

    def keep(self, seconds: float) -> None:
        """Keep it open for so long from now."""
        self.idle_until = time.monotonic() + seconds


def is_overdue(running: Collection[Connection], now: float, longest: float) -> bool:
    """Tell whether a request runs for longer than it may; those that wait for a thread don't run."""
    return any(
        found.running_since is not None and now - found.running_since >= longest
        for found in running
    )


def can_queue(found: Connection, running: Collection[Connection], most: int) -> bool:
    """Tell whether a whole request may wait for a thread, beside those that run or wait already.

    A prompt one waits for no others, so their number doesn't count.
    """
    held = found.held + sum(other.held for other in running)
    if found.is_prompt:
        return held <= MAX_HELD_BYTES
    waiting = sum(not other.is_prompt and other.running_since is None for other in running)
    return waiting < most and held <= MAX_QUEUED_BYTES


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
        self.last_look = 0.0

    def init_process(self) -> None:
        """Allow as many open files as the system lets this process have."""
        present, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_CONNECTIONS + OTHER_FILES
        limit = max(present, wanted if most == resource.RLIM_INFINITY else min(wanted, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        self.max_connections = max(2, min(MAX_CONNECTIONS, limit - OTHER_FILES))
        self.max_queued = min(MAX_QUEUED, self.max_connections // 2)
        super().init_process()

    def notify(self) -> None:
        """Tell the main process that this one is well, unless a request has run for longer than it may."""
        if not is_overdue(self.running.values(), time.monotonic(), self.cfg.timeout):
            super().notify()

    def accept(self, listener: socket.socket) -> bool:
        """Begin to read from a new connection, if there is one; tell whether there was.

        With too many connections the one that waits longest for its client gives way, or, if none does, the new one.
        """
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as failed:
            if failed.errno not in NO_ROOM:
                raise
            if not self._give_way():
                # Only requests that run hold files: until one has ended, looking again is no use.
                time.sleep(BUSY_LOOK_SECONDS)
            return False
        sock.setblocking(False)  # noqa: FBT003 - a socket's own
        if len(self.connections) + len(self.running) >= self.max_connections and not (
            self._give_way()
        ):
            sock.close()
            return True
        made = Connection(sock, client, listener.getsockname())
        self.connections[made] = None
        self._wait(made, selectors.EVENT_READ, self._read)
        return True

    def _give_way(self) -> bool:
        """Close the connection that waits longest for its client; tell whether there was one."""
        longest = next(iter(self.connections), None)
        if longest is not None:
            self._close(longest)
        return longest is not None

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
        self._hold(found, len(found.received))
        if found.expected is None:
            self._read_head(found, len(data))
        if found.expected is not None and len(found.received) >= found.expected:
            self._run(found)

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
        lengths = BODY_LENGTH.findall(head)
        if any(len(digits) > MAX_LENGTH_DIGITS for digits in lengths):
            self._answer(found, REFUSAL % b"400 Bad Request")
            return
        length = max(map(int, lengths), default=0)
        found.expected = end + len(END_OF_HEAD)
        if length <= MAX_BODY_BYTES:
            found.expected += length
            if len(found.received) < found.expected and WAITS_FOR_CONSENT.search(head):
                found.sock.send(CONTINUE)

    def _run(self, found: Connection) -> None:
        """Hand a whole request to a thread, or refuse it; a thread's isn't counted as waiting for its client."""
        if not can_queue(found, self.running.values(), self.max_queued):
            self._answer(
                found, REFUSAL % b"503 Service Unavailable\r\nRetry-After: %d" % RETRY_SECONDS
            )
            return
        self.poller.unregister(found.sock)
        del self.connections[found]
        request = bytes(found.received[: found.expected])
        found.received.clear()
        self._hold(found, len(request))
        conn = TConn(self.cfg, Memory(request), found.client, found.server)
        conn.data_ready = True
        self.running[conn] = found
        pool = self.prompt_pool if found.is_prompt else self.tpool
        running = pool.submit(self.handle, conn)
        running.add_done_callback(
            lambda ended: self.method_queue.defer(self.finish_request, conn, ended)
        )

    def handle(self, conn: TConn) -> bool:
        """Run a request in a thread, and note when it started."""
        self.running[conn].running_since = time.monotonic()
        return super().handle(conn)  # type: ignore[no-any-return]

    def _hold(self, found: Connection, size: int) -> None:
        """Count so many bytes for the connection; if all are too many, others give way, longest waiting first."""
        self.held += size - found.held
        found.held = size
        while self.held > MAX_HELD_BYTES:
            others = (other for other in self.connections if other.held and other is not found)
            longest = next(others, None)
            if longest is None:
                return
            self._close(longest)

    def finish_request(self, conn: TConn, _ended: Future[bool]) -> None:
        """Send the answer of a request that a thread has run."""
        found = self.running.pop(conn)
        self.connections[found] = None
        self._answer(found, conn.sock.answer)

    def _answer(self, found: Connection, answer: bytes | bytearray) -> None:
        found.received.clear()
        found.answer = memoryview(answer)
        self._hold(found, min(len(answer), MAX_QUEUED_BYTES))
        self._wait(found, selectors.EVENT_WRITE, self._write)

    def _write(self, found: Connection) -> None:
        if found.answer:
            found.answer = found.answer[found.sock.send(found.answer[:CHUNK_BYTES]) :]
            found.keep(IDLE_SECONDS)
        if not found.answer:
            # Even an empty part of it would keep the whole answer in memory.
            found.answer = memoryview(b"")
            self._hold(found, 0)
            found.sock.shutdown(socket.SHUT_WR)
            self._wait(found, selectors.EVENT_READ, self._linger)
            found.keep(LINGER_SECONDS)

    def _linger(self, found: Connection) -> None:
        """Drop what a client still sends."""
        if not found.sock.recv(CHUNK_BYTES):
            self._close(found)

    def _close(self, found: Connection) -> None:
        del self.connections[found]
        self.held -= found.held
        found.held = 0
        self.poller.unregister(found.sock)
        found.sock.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for what happens next; gunicorn calls it again and again.

        New connections come last: a request that is whole by then makes the process busy, and leaves them to others.
        """
        is_busy = self.alive and not self._accepting
        events = self.poller.select(BUSY_LOOK_SECONDS if is_busy else timeout)
        new = [key for key, _ in events if key.fileobj in self.sockets]
        for key, _ in events:
            if key not in new:
                key.data(key.fileobj)
        now = time.monotonic()
        if not is_busy:
            self.last_look = now
            if self._count_running() < self.worker_connections:
                for key in new:
                    key.data(key.fileobj)
        elif now - self.last_look >= BUSY_LOOK_SECONDS:
            self.last_look = now
            self._accept_some()

    def _accept_some(self) -> None:
        """Accept what no other process has taken; not without end, so that the other connections go on."""
        for listener in self.sockets:
            for _ in range(self.max_connections):
                if not self.accept(listener):
                    break

    def _count_running(self) -> int:
        """Count the requests that keep a process busy, whether they run or wait for a thread."""
        return sum(not found.is_prompt for found in self.running.values())

    def murder_pending(self) -> None:
        """Close connections on which nothing moves, and at the end all those without a whole request.

        gunicorn calls it after each wait, accepts while `nr_conns` is low, and at the end waits until it is 0.
        """
        now = time.monotonic()
        for found in list(self.connections):
            if found.idle_until <= now or not (self.alive or found.answer):
                self._close(found)
        if self.alive:
            self.nr_conns = self._count_running()
        else:
            self.nr_conns = len(self.running) + len(self.connections)
