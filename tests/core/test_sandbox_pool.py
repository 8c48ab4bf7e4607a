"""The sandbox pool: results, restarts of the server, and clean-up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from caseapp.core.sandbox import pool
from caseapp.core.settings import ROOT
from tests.core.sandboxes import (
    get_failure,
    is_started,
    make_gate,
    make_pool,
    occupied,
    server_pid,
)
from tests.support import temporary
from tests.support.patience import PATIENCE
from tests.support.processes import children, stop, watched

pytestmark = pytest.mark.process

SCRIPT = """
import os, sys, time
from tests.core.sandboxes import make_pool, server_pid
sandbox = make_pool()
sandbox.run(b"echo ready")
print(server_pid(sandbox), flush=True)
sys.stdin.readline()
{then}
"""


def test_large_jobs_and_results_are_complete(sandbox_pool):
    assert sandbox_pool.run(b"echo " + b"x" * 1_900_000) == b"x" * 1_900_000
    assert len(sandbox_pool.run(b"answer 9000000")) == 9_000_000
    assert sandbox_pool.run(b"echo ") == b""


def test_waiting_too_long_in_the_queue_fails_as_late(single_worker_pool, monkeypatch):
    with occupied(single_worker_pool):
        monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0.3)
        assert [get_failure(single_worker_pool, b"echo a") for _ in range(2)] == ["late"] * 2


def test_waiting_too_long_for_a_running_job_fails_as_late(single_worker_pool, monkeypatch):
    gate = make_gate()
    # Opened for both, it waits for nobody, and keeps the job waiting until it is closed.
    held = os.open(gate, os.O_RDWR)
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0.3)
    assert get_failure(single_worker_pool, b"read %s" % bytes(gate)) == "late"
    os.close(held)


def test_jobs_beyond_the_number_of_workers_queue(single_worker_pool):
    began = time.monotonic()
    threads = [
        threading.Thread(target=lambda: single_worker_pool.run(b"sleep 0.1")) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.4


def test_concurrent_threads_get_their_own_results(sandbox_pool):
    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: sandbox_pool.run(b"echo %d" % n)}))
        for n in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: b"%d" % n for n in range(24)}


@pytest.mark.parametrize("fault", ["OSError", "ImportError"])
def test_server_that_cannot_start_reports_why_and_exits(fault):
    broken = make_pool(fault)
    with pytest.raises(pool.PoolUnavailable, match=fault):
        broken.start()
    assert not is_started(broken)
    broken.close()


def test_killed_server_is_replaced(sandbox_pool):
    sandbox_pool.run(b"echo a")
    first = server_pid(sandbox_pool)
    with watched(first, *children(first)) as have_ended:
        os.kill(first, signal.SIGKILL)
        assert have_ended()
    assert sandbox_pool.run(b"echo b") == b"b"
    assert server_pid(sandbox_pool) != first


def test_stopped_server_is_replaced_by_the_next_job(sandbox_pool):
    sandbox_pool.run(b"echo a")
    first = server_pid(sandbox_pool)
    with watched(first, *children(first)) as have_ended:
        stop(first)
        assert sandbox_pool.run(b"echo b") == b"b"
        assert have_ended()
    assert server_pid(sandbox_pool) != first
    assert sandbox_pool.run(b"echo c") == b"c"


def test_stopped_worker_is_replaced_by_the_next_job(single_worker_pool):
    worker = int(single_worker_pool.run(b"pid"))
    first = server_pid(single_worker_pool)
    with watched(worker) as has_ended:
        stop(worker)
        assert single_worker_pool.run(b"echo b") == b"b"
        assert has_ended()
    assert server_pid(single_worker_pool) == first


def run_in_a_fork(sandbox_pool):
    """Run a job in a fork, which then stops using the pool; return the result."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, sandbox_pool.run(b"echo from the fork"))
            sandbox_pool.close()
        finally:
            # Whatever happened: a second process of these tests must not go on.
            os._exit(0)
    os.close(writing)
    result = os.read(reading, 100)
    os.close(reading)
    os.waitpid(child, 0)
    return result


def test_fork_replaces_a_stopped_server(sandbox_pool):
    sandbox_pool.run(b"echo a")
    first = server_pid(sandbox_pool)
    stop(first)
    assert run_in_a_fork(sandbox_pool) == b"from the fork"
    assert sandbox_pool.run(b"echo b") == b"b"
    assert server_pid(sandbox_pool) != first


def test_fork_shares_the_server_and_does_not_end_it(sandbox_pool):
    sandbox_pool.run(b"echo a")
    server_process = server_pid(sandbox_pool)
    assert run_in_a_fork(sandbox_pool) == b"from the fork"
    assert sandbox_pool.run(b"echo b") == b"b"
    assert server_pid(sandbox_pool) == server_process


@pytest.mark.parametrize(
    "then",
    [
        "",
        "raise SystemExit(1)",
        "time.sleep(60)",
        "sandbox.run(b'spin')",
        "if not os.fork(): os._exit(0)\nos.wait()",
    ],
)
def test_processes_end_however_the_program_ends(then):
    program = subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", SCRIPT.format(then=then)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with program:
        server_process = int(program.stdout.readline())
        with watched(server_process, *children(server_process)) as have_ended:
            program.stdin.write("\n")
            program.stdin.flush()
            if "run" in then or "sleep" in then:
                program.kill()
            program.wait(PATIENCE)
            assert have_ended()


def test_closed_pool_leaves_no_folder(sandbox_pool, monkeypatch):
    place = temporary.folder("place-")
    # Workers run as nobody.
    place.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    sandbox_pool.run(b"echo a")
    assert [*place.iterdir()]
    sandbox_pool.close()
    assert [*place.iterdir()] == []
