"""Servers on the loopback interface: reserved ports, threads that serve, and a mail server."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

from aiosmtpd.controller import Controller

TIMEOUT = 60
"""Seconds in which even a busy machine should answer."""


@contextmanager
def own_port():
    """Yield a port that is reserved within the block.

    It is bound but not listened on: the kernel gives it to nobody who asks for any free port, while a server that asks
    for this one with SO_REUSEADDR, as all of them do, gets it.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def served(server):
    """Let a server of the standard library, or of Werkzeug, answer in a thread within the block."""
    # It looks so often, in seconds, whether it should end; the usual half second adds up in many tests.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class MailServer(Controller):
    """A mail server on a port that it reserves at once, with enough time to start on a busy machine."""

    def __init__(self, handler):
        """Store the handler of incoming mail."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        super().__init__(handler, hostname="127.0.0.1", port=port, ready_timeout=TIMEOUT)

    @property
    def url(self):
        """Return the address for the setting SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    def _create_server(self):
        return self.loop.create_server(self._factory_invoker, sock=self.listener)

    def _trigger_server(self):
        with socket.create_connection((self.hostname, self.port), TIMEOUT) as first:
            first.recv(1024)
