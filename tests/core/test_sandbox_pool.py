"""The sandbox pool: results, restarts of the server, and clean-up."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from caseapp.core.sandbox import pool
from caseapp.core.settings import ROOT
from tests.core.sandboxes import (
    children,
    get_failure,
    is_started,
    make_pool,
    occupied,
    server_pid,
)
from tests.support import temporary

pytestmark = pytest.mark.process

JOB_SECONDS = 30
SCRIPT = """
import os, sys, time
from tests.core.sandboxes import make_pool, server_pid
sandbox = make_pool()
sandbox.run(b"echo ready")
print(server_pid(sandbox), flush=True)
sys.stdin.readline()
{then}
"""


def stop(pid):
    """Stop a process with SIGSTOP and wait until it is stopped."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


@contextmanager
def watched(*pids):
    """Yield a function that waits for the end of processes, whichever their parents are."""
    handles = [os.pidfd_open(pid) for pid in pids]
    yield lambda: all(select.select([handle], [], [], JOB_SECONDS)[0] for handle in handles)
    for handle in handles:
        os.close(handle)


def test_large_jobs_and_results_are_complete(sandbox_pool):
    assert sandbox_pool.run(b"echo " + b"x" * 1_900_000) == b"x" * 1_900_000
    assert len(sandbox_pool.run(b"answer 9000000")) == 9_000_000
    assert sandbox_pool.run(b"echo ") == b""


def test_waiting_too_long_in_the_queue_fails_as_late(single_worker_pool, monkeypatch):
    with occupied(single_worker_pool):
        monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0.3)
        assert [get_failure(single_worker_pool, b"echo a") for _ in range(2)] == ["late"] * 2


def test_jobs_beyond_the_number_of_workers_queue(single_worker_pool):
    began = time.monotonic()
    threads = [
        threading.Thread(target=lambda: single_worker_pool.run(b"sleep 0.3")) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 1.2


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


def test_fork_replaces_a_stopped_server(sandbox_pool):
    sandbox_pool.run(b"echo a")
    first = server_pid(sandbox_pool)
    stop(first)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, sandbox_pool.run(b"echo from the fork"))
        sandbox_pool.close()
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 100) == b"from the fork"
    os.close(reading)
    os.waitpid(child, 0)
    assert sandbox_pool.run(b"echo b") == b"b"
    assert server_pid(sandbox_pool) != first


def test_fork_shares_the_server_and_does_not_end_it(sandbox_pool):
    sandbox_pool.run(b"echo a")
    server_process = server_pid(sandbox_pool)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, sandbox_pool.run(b"echo from the fork"))
        sandbox_pool.close()
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 100) == b"from the fork"
    os.close(reading)
    os.waitpid(child, 0)
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
            program.wait(JOB_SECONDS)
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
