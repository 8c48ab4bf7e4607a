"""Places on this machine's loopback that nobody else can take: a port for a server, and a mail server on one."""

from __future__ import annotations

import socket
from contextlib import contextmanager

from aiosmtpd.controller import Controller

LONGEST = 60
"""Seconds after which even a busy machine should have answered."""


@contextmanager
def own_port():
    """Give a port that nobody else is given for as long as the block lasts.

    It stays bound without being listened to: the kernel hands it to nobody who asks for any port, while a server that
    asks for this one, with SO_REUSEADDR as all of them do, gets it.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class MailServer(Controller):
    """Be a mail server on a port that it holds from the first, and give a busy machine time to start it."""

    def __init__(self, handler):
        """Take who handles what comes in."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        super().__init__(handler, hostname="127.0.0.1", port=port, ready_timeout=LONGEST)

    @property
    def url(self):
        """Give the address as a setting says it."""
        return f"smtp://127.0.0.1:{self.port}"

    def _create_server(self):
        return self.loop.create_server(self._factory_invoker, sock=self.listener)

    def _trigger_server(self):
        with socket.create_connection((self.hostname, self.port), LONGEST) as first:
            first.recv(1024)
