"""Sandbox pools for tests, whose workers run the jobs of `tests.core.sandbox_jobs`."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from caseapp.core.sandbox.pool import JobFailed, SandboxPool


def make_pool(*arguments, workers=2):
    return SandboxPool("tests.core.sandbox_jobs", lambda: [*arguments], workers=workers)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def supervisor_pid(sandbox_pool):
    return sandbox_pool._supervisor.pid  # noqa: SLF001 - there is no public way


@contextmanager
def occupied(sandbox_pool, requests=5):
    """Keep the worker of a pool busy with requests that never send their job.

    Each occupies the worker for the time that a job may take.
    """
    sandbox_pool.start()
    channel = sandbox_pool._channel  # noqa: SLF001 - there is no public way
    with ExitStack() as stack:
        for _ in range(requests):
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            with theirs:
                socket.send_fds(channel, [b"."], [theirs.fileno()])
        yield


def get_failure(sandbox_pool, job):
    with pytest.raises(JobFailed) as found:
        sandbox_pool.run(job)
    return str(found.value)
