"""Pools for the tests of work apart: what `tests.core.sandbox_jobs` does is asked of them."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from caseapp.core.sandbox.pool import JobFailed, SandboxPool


def make_pool(*told, workers=2):
    return SandboxPool("tests.core.sandbox_jobs", lambda: [*told], workers=workers)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def supervisor_pid(sandbox_pool):
    return sandbox_pool._supervisor.pid  # noqa: SLF001 - which process it is stands nowhere else


@contextmanager
def occupied(sandbox_pool, requests=5):
    """Keep a pool of one worker from everybody: askers who never come to an end stand before all others.

    Each holds the worker for as long as a job may take.
    """
    sandbox_pool.start()
    line = sandbox_pool._channel  # noqa: SLF001 - as for which process it is
    with ExitStack() as held:
        for _ in range(requests):
            ours, theirs = socket.socketpair()
            held.enter_context(ours)
            with theirs:
                socket.send_fds(line, [b"."], [theirs.fileno()])
        yield


def get_failure(sandbox_pool, job):
    with pytest.raises(JobFailed) as found:
        sandbox_pool.run(job)
    return str(found.value)
