"""The limits of sandbox workers, and that a worker ends after a failed job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from caseapp.core.sandbox import pool, server
from caseapp.core.sandbox.protocol import Limits
from caseapp.core.settings import ROOT
from tests.core.sandboxes import get_failure, make_gate, server_pid
from tests.support.processes import watched

pytestmark = pytest.mark.process

LIMITS = Limits()


def test_worker_is_replaced_after_a_number_of_jobs(single_worker_pool):
    workers = [single_worker_pool.run(b"pid") for _ in range(2 * LIMITS.jobs_per_worker)]
    assert (
        len({*workers[: LIMITS.jobs_per_worker]}) == len({*workers[LIMITS.jobs_per_worker :]}) == 1
    )
    assert len({*workers, b"%d" % os.getpid(), b"%d" % server_pid(single_worker_pool)}) == 4


def test_failed_job_ends_its_worker(single_worker_pool):
    for job in (b"unknown", b"refuse word", b"crash", b"memory %d" % LIMITS.memory_bytes, b"exit"):
        before = single_worker_pool.run(b"pid")
        assert single_worker_pool.run(b"pid") == before
        get_failure(single_worker_pool, job)
        assert single_worker_pool.run(b"pid") != before, job


def test_worker_told_to_stop_finishes_its_job(single_worker_pool):
    worker, gate = int(single_worker_pool.run(b"pid")), make_gate()
    with watched(worker) as has_ended, ThreadPoolExecutor(1) as threads:
        job = threads.submit(single_worker_pool.run, b"read %s" % bytes(gate))
        with gate.open("wb") as writing:
            os.kill(worker, signal.SIGTERM)
            writing.write(b"finished")
        assert job.result() == b"finished"
        assert has_ended()
    assert int(single_worker_pool.run(b"pid")) != worker


def time_left(sandbox_pool, seconds):
    """Return what a job has left of both kinds of time once it has used so many seconds."""
    return [*map(float, sandbox_pool.run(b"left %f" % seconds).split())]


def test_time_limits_apply_to_each_job(single_worker_pool):
    worker = single_worker_pool.run(b"pid")
    used = time_left(single_worker_pool, 0.3)
    # Were the time that of the worker, a later job would never have more; one that the machine held up may have less.
    later = [time_left(single_worker_pool, 0) for _ in range(20)]
    for before, after in zip(used, zip(*later, strict=True), strict=True):
        assert 0 < before < max(after)
    assert single_worker_pool.run(b"pid") == worker


FAILING = (
    (b"kill SIGKILL", "ended"),
    (b"crash", "ended"),
    (b"exit", "SystemExit"),
    (b"unknown", "KeyError"),
    (b"refuse word", "word"),
    (b"memory %d" % LIMITS.memory_bytes, "memory"),
    (b"write %d" % (LIMITS.file_bytes + 1), "OSError"),
    (b"answer %d" % (LIMITS.result_bytes + 1), "too_big"),
    (b"x" * (LIMITS.job_bytes + 1), "too_big"),
)


def test_failed_job_reports_one_word_and_the_next_job_succeeds(sandbox_pool):
    for job, word in FAILING:
        assert get_failure(sandbox_pool, job) == word, job[:20]
        assert sandbox_pool.run(b"echo next") == b"next", job[:20]


@pytest.mark.parametrize(
    ("job", "word"),
    [(b"hurry ITIMER_PROF spin", "time"), (b"hurry ITIMER_REAL sleep 600", "ended")],
)
def test_endless_job_is_killed_while_others_run(sandbox_pool, job, word):
    """Only the processor time tells whose fault it was: a job may sleep because the machine has no time for it."""
    gate = make_gate()
    with ThreadPoolExecutor(1) as threads:
        endless = threads.submit(get_failure, sandbox_pool, b"after %s %s" % (bytes(gate), job))
        with gate.open("wb"):
            assert all(sandbox_pool.run(b"echo %d" % n) == b"%d" % n for n in range(20))
            assert not endless.done()
        assert endless.result() == word
    assert sandbox_pool.run(b"echo next") == b"next"


def test_worker_has_an_empty_folder_and_no_secrets_in_its_environment(sandbox_pool, monkeypatch):
    monkeypatch.setenv("CASEAPP_SMTP_URL", "smtp://user:secret@mail.example.org")
    assert sandbox_pool.run(b"folder") == b"('empty', [])"
    assert set(sandbox_pool.run(b"environ").decode().split()) <= {
        *pool.PASSED_ENVIRONMENT,
        "LC_CTYPE",
        "SERVER_SOFTWARE",
    }


def test_worker_is_in_an_empty_network_where_the_machine_allows_it(sandbox_pool):
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from caseapp.core.sandbox import confinement; print(confinement.leave_network())",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    isolated = result.stdout.strip() == "True"
    ours = Path("/proc/self/ns/net").readlink()
    assert (sandbox_pool.run(b"network").decode() != str(ours)) == isolated


def test_worker_is_never_root(sandbox_pool, tmp_path):
    secret = tmp_path / "vault.key"
    secret.write_bytes(b"secret")
    secret.chmod(0o600)
    if os.getuid():
        assert (
            sandbox_pool.run(b"who")
            == repr((os.getresuid(), os.getresgid(), os.getgroups())).encode()
        )
    else:
        nobody = (server.NOBODY,) * 3
        assert sandbox_pool.run(b"who") == repr((nobody, nobody, [])).encode()
        assert get_failure(sandbox_pool, b"read %s" % bytes(secret)) == "PermissionError"
    assert sandbox_pool.run(b"draft a").startswith(b"/")
