"""The limits of sandbox workers, and that a worker ends after a failed job."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from caseapp.core.sandbox import pool, supervisor
from caseapp.core.settings import ROOT
from tests.core.sandboxes import get_failure, supervisor_pid

pytestmark = pytest.mark.process


def test_worker_is_replaced_after_a_number_of_jobs(single_worker_pool):
    workers = [single_worker_pool.run(b"pid") for _ in range(2 * supervisor.JOBS_PER_WORKER)]
    assert (
        len({*workers[: supervisor.JOBS_PER_WORKER]})
        == len({*workers[supervisor.JOBS_PER_WORKER :]})
        == 1
    )
    assert len({*workers, b"%d" % os.getpid(), b"%d" % supervisor_pid(single_worker_pool)}) == 4


@pytest.mark.parametrize(
    "job",
    [b"unknown", b"refuse word", b"crash", b"memory %d" % supervisor.MAX_MEMORY_BYTES, b"exit"],
)
def test_failed_job_ends_its_worker(single_worker_pool, job):
    before = single_worker_pool.run(b"pid")
    assert single_worker_pool.run(b"pid") == before
    get_failure(single_worker_pool, job)
    assert single_worker_pool.run(b"pid") != before


def test_time_limits_apply_to_each_job(single_worker_pool):
    began = time.monotonic()
    workers = set()
    while time.monotonic() - began < supervisor.JOB_SECONDS + 1:
        single_worker_pool.run(b"sleep 1")
        workers.add(single_worker_pool.run(b"pid"))
    assert len(workers) == 1


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (b"kill SIGKILL", "ended"),
        (b"crash", "ended"),
        (b"exit", "SystemExit"),
        (b"unknown", "KeyError"),
        (b"refuse word", "word"),
        (b"memory %d" % supervisor.MAX_MEMORY_BYTES, "too_big"),
        (b"write %d" % (supervisor.MAX_FILE_BYTES + 1), "OSError"),
        (b"answer %d" % (supervisor.MAX_RESULT_BYTES + 1), "too_big"),
        (b"x" * (pool.MAX_JOB_BYTES + 1), "too_big"),
    ],
)
def test_failed_job_reports_one_word_and_the_next_job_succeeds(sandbox_pool, job, word):
    assert get_failure(sandbox_pool, job) == word
    assert sandbox_pool.run(b"echo next") == b"next"


@pytest.mark.parametrize("job", [b"spin", b"sleep 60"])
def test_endless_job_is_killed_while_others_run(sandbox_pool, job):
    words = []
    thread = threading.Thread(target=lambda: words.append(get_failure(sandbox_pool, job)))
    thread.start()
    assert all(sandbox_pool.run(b"echo %d" % n) == b"%d" % n for n in range(20))
    assert thread.is_alive()
    thread.join()
    assert words == ["ended"]
    assert sandbox_pool.run(b"echo next") == b"next"


def test_worker_has_an_empty_folder_and_no_secrets_in_its_environment(sandbox_pool, monkeypatch):
    monkeypatch.setenv("CASEAPP_SMTP_URL", "smtp://user:secret@mail.example.org")
    assert sandbox_pool.run(b"folder") == b"('empty', [])"
    assert set(sandbox_pool.run(b"environ").decode().split()) <= {
        *pool.PASSED_ENVIRONMENT,
        "LC_CTYPE",
    }


def test_worker_has_no_network_where_the_machine_allows_it(sandbox_pool):
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from caseapp.core.sandbox import supervisor; print(supervisor.leave_network())",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    isolated = result.stdout.strip() == "True"
    ours = Path("/proc/self/ns/net").readlink()
    assert (sandbox_pool.run(b"network").decode() != str(ours)) == isolated
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if isolated:
            assert get_failure(sandbox_pool, b"connect %d" % port) == "OSError"
        else:
            assert sandbox_pool.run(b"connect %d" % port) == b"connected"


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
        nobody = (supervisor.NOBODY,) * 3
        assert sandbox_pool.run(b"who") == repr((nobody, nobody, [])).encode()
        assert get_failure(sandbox_pool, b"read %s" % bytes(secret)) == "PermissionError"
    assert sandbox_pool.run(b"draft a").startswith(b"/")
