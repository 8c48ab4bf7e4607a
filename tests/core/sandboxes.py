"""Sandbox pools for tests, whose workers run the jobs of `tests.core.sandbox_jobs`."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import pytest

from caseapp.core.sandbox import pool, protocol
from caseapp.core.sandbox.pool import JobFailed, SandboxPool
from caseapp.core.sandbox.protocol import Limits
from caseapp.core.sandbox.wait_budget import WaitBudget
from tests.support import temporary

GATES = temporary.folder("gates-")
"""A folder in which workers may read."""
GATES.chmod(0o755)
CODES = frozenset({"word"})
PATIENT = Limits(seconds=60)
"""Limits that no job reaches because the machine is busy."""


def make_pool(fault="", *, limits=PATIENT, **options):
    """Make a pool of test workers; its server fails to start with the exception that `fault` names."""
    files = {"gates": GATES} | ({fault: GATES} if fault else {})
    return SandboxPool(
        "tests.core.sandbox_jobs", files=lambda: files, codes=CODES, limits=limits, **options
    )


def make_gate():
    """Make a pipe that keeps a worker waiting: opening it waits for the other side, reading it for its end."""
    gate = GATES / uuid4().hex
    os.mkfifo(gate)
    # The worker runs as nobody.
    gate.chmod(0o666)
    return gate


def connect(sandbox_pool):
    """Connect to a pool's server and start it if needed."""
    with WaitBudget(pool.STARTUP_SECONDS) as budget:
        return sandbox_pool._connect(budget)  # noqa: SLF001 - there is no public way


def server_pid(sandbox_pool):
    """Return the process that a pool's server runs in."""
    with connect(sandbox_pool) as connection:
        size = pool.CREDENTIALS.size
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return pool.CREDENTIALS.unpack(found)[0]


def is_started(sandbox_pool):
    """Return whether a pool has a server, without starting one."""
    path = sandbox_pool._path / protocol.SOCKET  # noqa: SLF001
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(os.fspath(path)) == 0


@contextmanager
def occupied(sandbox_pool, requests=5):
    """Keep the worker of a pool busy with requests that never send their job.

    Each occupies the worker for the time that a job may take.
    """
    with ExitStack() as stack:
        for _ in range(requests):
            stack.enter_context(connect(sandbox_pool))
        yield


def get_failure(sandbox_pool, job):
    with pytest.raises(JobFailed) as found:
        sandbox_pool.run(job)
    return str(found.value)
