"""A minimal HTTP client on a raw keep-alive socket, so that the server's time dominates."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

Send = Callable[[], tuple[int, bytes]]


class HttpClient:
    """A keep-alive connection, opened again after the server has closed it."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        """Store the port on this machine and the headers of every request."""
        self.port = port
        self.headers = {"Host": f"127.0.0.1:{port}", **(headers or {})}
        self.socket: socket.socket | None = None

    def prepare(self, method: str, path: str, body: object = None, **headers: str) -> Send:
        """Encode a request; each call of the result sends it and returns status and body."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = {**self.headers, **{name.replace("_", "-"): text for name, text in headers.items()}}
        if body is not None:
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in lines.items())
        raw = head.encode() + b"\r\n" + content
        return lambda: self._send(raw)

    def _send(self, raw: bytes) -> tuple[int, bytes]:
        for last in (False, True):
            try:
                if self.socket is None:
                    self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=120)
                    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.sendall(raw)
                return self._read(self.socket)
            except (ConnectionError, EOFError):
                self.close()
                if last:
                    raise
        raise AssertionError

    def _read(self, source: socket.socket) -> tuple[int, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more(source)
        head, _, body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin1").split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(found["content-length"]):
            body += self._more(source)
        if found.get("connection", "").lower() == "close":
            self.close()
        return int(status.split()[1]), body

    @staticmethod
    def _more(source: socket.socket) -> bytes:
        part = source.recv(262_144)
        if not part:
            raise EOFError
        return part

    def close(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
