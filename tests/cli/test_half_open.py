"""Half-open connections at the real server: whoever sends whole requests hardly notices them."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice

import pytest

from caseapp.core.database import db
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.http.interfaces import Interface
from caseapp.http.sessions import COOKIES
from tests.cli.test_buffering import HALVES, read, send
from tests.support import builders
from tests.support.depth import ROUNDS
from tests.support.served import serving

pytestmark = [
    pytest.mark.process,
    # Connections are held by the server alone.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

FEW, MANY = 64, 900
TURNS, PAGES = (7, 60) if ROUNDS > 1 else (1, 3)
MOST_TIMES_SLOWER = 1.5
MOST_SECONDS = 1.0
OTHER_PATHS = ("/today", "/portal/sign-in", "/portal/safety", "/livez")


class Visitor:
    """Somebody whose browser opens a new connection for each page, and who is signed in."""

    def __init__(self, port, actor):
        """Sign in."""
        self.port = port
        with transaction():
            token = begin_session("staff", actor.id, method="password")
        self.cookie = f"{COOKIES[Interface.STAFF]}={token}"
        db.session.remove()

    def time(self, path):
        """Read a page; return how many seconds it took."""
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nCookie: {self.cookie}\r\n\r\n"
        )
        began = time.perf_counter()
        status, _ = read(send(self.port, head.encode()))
        taken = time.perf_counter() - began
        assert status == b"200", f"{path}: {status}"
        return taken


@contextmanager
def held(port, number):
    """Hold so many connections of all kinds on which no request ever becomes whole."""
    with ExitStack() as closed:
        for half, _, _ in islice(cycle(HALVES), number):
            closed.callback(send(port, half).close)
        yield


def measure(visitor, path):
    """Measure a page alone and beside a few held connections in turns, and all pages beside many.

    Return how many times slower the 95th percentile is, the median of the turns, and the longest time of all in
    seconds.
    """
    ratios, slowest = [], 0.0
    for _ in range(TURNS):
        alone = [visitor.time(path) for _ in range(PAGES)]
        with held(visitor.port, FEW):
            beside = [visitor.time(path) for _ in range(PAGES)]
        ratios.append(percentile(beside) / percentile(alone))
    for _ in range(TURNS if ROUNDS > 1 else 0):
        # A connection on which nothing moves is closed after half a minute, so each turn has new ones.
        with held(visitor.port, MANY):
            times = [visitor.time(each) for each in (*[path] * PAGES, *OTHER_PATHS)]
        slowest = max(slowest, *times)
    return statistics.median(ratios), slowest


def percentile(times):
    """Return the 95th percentile."""
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


@pytest.mark.soak
def test_half_open_connections_slow_nobody_down(
    app, team, database_url, settings, tmp_path, many_files
):
    """`make soak` measures it; the suite, whose machine is busy, sees that every page is answered."""
    made = builders.case(team["coach"], "Ines Okafor")
    with serving(database_url, settings, tmp_path) as served:
        visitor = Visitor(served.port, team["coach"])
        times_slower, slowest = measure(visitor, f"/case/{made.number}")
    if ROUNDS > 1:
        assert times_slower <= MOST_TIMES_SLOWER
        assert slowest < MOST_SECONDS
