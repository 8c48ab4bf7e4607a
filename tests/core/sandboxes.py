"""Workshops for the tests of work apart: what `tests.core.sandbox_jobs` does is asked of them."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from caseapp.core.sandbox.pool import Stopped, Workshop


def shop_of(*told, hands=2):
    return Workshop("tests.core.sandbox_jobs", lambda: [*told], hands=hands)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def foreman_of(shop):
    return shop._foreman.pid  # noqa: SLF001 - which process it is stands nowhere else


@contextmanager
def kept_busy(shop, askers=5):
    """Keep a workshop of one hand from everybody: askers who never come to an end stand before all others.

    Each holds the hand for as long as a job may take.
    """
    shop.start()
    line = shop._line  # noqa: SLF001 - as for which process it is
    with ExitStack() as held:
        for _ in range(askers):
            ours, theirs = socket.socketpair()
            held.enter_context(ours)
            with theirs:
                socket.send_fds(line, [b"."], [theirs.fileno()])
        yield


def stopped(shop, job):
    with pytest.raises(Stopped) as found:
        shop.do(job)
    return str(found.value)
