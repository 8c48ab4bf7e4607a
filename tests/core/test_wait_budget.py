"""How long a page request waits for the sandbox: a short time freely, longer only in the shared slot."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path

import pytest

from caseapp.core import images, pdf_forms, uploads
from caseapp.core.errors import Invalid
from caseapp.core.logging import request_id
from caseapp.core.sandbox import pool, wait_budget
from caseapp.core.settings import ROOT
from tests.core.sandboxes import get_failure, is_started, make_gate

pytestmark = pytest.mark.process

TIMEOUT = 60
HOLD_SLOT = """
import fcntl, sys
held = open(sys.argv[1], "wb")
fcntl.flock(held, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _short_free_wait(session_app, monkeypatch):
    """Shorten the free wait and make the rest long enough for a slow machine."""
    monkeypatch.setattr(wait_budget, "FREE_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", TIMEOUT)


def in_request(call):
    """Run a call as part of a page request."""

    def run():
        request_id.set("a-request")
        return call()

    return Context().run(run)


class BackgroundCall(threading.Thread):
    """A call in a thread of its own, with its result."""

    def __init__(self, call):
        """Start at once."""
        super().__init__(daemon=True)
        self.call, self.value = call, None
        self.start()

    def run(self):
        self.value = self.call()

    def result(self):
        self.join(TIMEOUT)
        return self.value


@contextmanager
def worker_busy(sandbox_pool):
    """Keep the only worker busy within the block."""
    gate = make_gate()
    busy = BackgroundCall(lambda: sandbox_pool.run(b"read %s" % bytes(gate)))
    # Opening blocks until the worker opens the other end.
    with gate.open("wb"):
        yield busy
    assert busy.result() == b""
    gate.unlink()


def is_taken():
    """Return whether the slot is locked, without trying the lock, which could block another process."""
    if not wait_budget.slot_path().exists():
        return False
    place = f":{wait_budget.slot_path().stat().st_ino}"
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any("FLOCK" in lock and lock[-3].endswith(place) for lock in locks)


def wait_until_taken(call):
    while not is_taken():
        assert call.is_alive(), call.value
        time.sleep(0.01)


@contextmanager
def slot_held_by_another_process():
    """Yield another process that holds the slot."""
    other = subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", HOLD_SLOT, str(wait_budget.slot_path())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline() == "locked\n"
        yield other


def test_two_waiting_requests_one_takes_the_slot_and_the_other_fails(single_worker_pool):
    with worker_busy(single_worker_pool) as busy:
        first = BackgroundCall(lambda: in_request(lambda: single_worker_pool.run(b"echo first")))
        wait_until_taken(first)
        assert in_request(lambda: get_failure(single_worker_pool, b"echo second")) == "late"
        assert (first.is_alive(), busy.is_alive()) == (True, True)
    assert first.result() == b"first"
    assert not is_taken()
    assert in_request(lambda: single_worker_pool.run(b"echo third")) == b"third"


def test_background_jobs_wait_without_the_slot(single_worker_pool):
    with worker_busy(single_worker_pool), slot_held_by_another_process():
        jobs = [
            BackgroundCall(lambda n=n: single_worker_pool.run(b"echo %d" % n)) for n in range(3)
        ]
        # A later page request has already failed while these still wait.
        assert in_request(lambda: get_failure(single_worker_pool, b"echo page")) == "late"
        assert all(job.is_alive() for job in jobs)
    assert [job.result() for job in jobs] == [b"0", b"1", b"2"]


def test_quick_request_needs_no_slot(single_worker_pool, monkeypatch):
    single_worker_pool.run(b"echo ready")
    monkeypatch.setattr(wait_budget, "FREE_WAIT_SECONDS", TIMEOUT)
    with slot_held_by_another_process():
        assert in_request(lambda: single_worker_pool.run(b"echo page")) == b"page"


def test_slot_is_free_after_its_holder_is_killed(single_worker_pool):
    with worker_busy(single_worker_pool):
        with slot_held_by_another_process() as other:
            assert in_request(lambda: get_failure(single_worker_pool, b"echo a")) == "late"
            other.kill()
        waits = BackgroundCall(lambda: in_request(lambda: single_worker_pool.run(b"echo b")))
        wait_until_taken(waits)
    assert waits.result() == b"b"


def test_request_waits_for_a_starting_server_only_as_long_as_for_a_result(
    single_worker_pool, monkeypatch
):
    # No server can start so quickly.
    monkeypatch.setattr(wait_budget, "FREE_WAIT_SECONDS", 0.001)
    with slot_held_by_another_process(), pytest.raises(pool.PoolUnavailable):
        in_request(lambda: single_worker_pool.run(b"echo a"))
    assert not is_started(single_worker_pool)
    assert in_request(lambda: single_worker_pool.run(b"echo b")) == b"b"


def test_request_fails_when_the_slot_file_cannot_be_created(
    single_worker_pool, monkeypatch, tmp_path
):
    with worker_busy(single_worker_pool):
        monkeypatch.setattr(wait_budget, "slot_path", lambda: tmp_path / "gone" / "slot.lock")
        assert in_request(lambda: get_failure(single_worker_pool, b"echo a")) == "late"


def test_job_of_a_disconnected_caller_is_not_run(single_worker_pool, monkeypatch):
    worker = single_worker_pool.run(b"pid")
    with worker_busy(single_worker_pool):
        monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0.1)
        assert get_failure(single_worker_pool, b"kill SIGKILL") == "late"
        monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", TIMEOUT)
    assert single_worker_pool.run(b"pid") == worker


def test_busy_sandbox_is_not_reported_as_a_broken_image_or_form(single_worker_pool, monkeypatch):
    monkeypatch.setattr(uploads, "_pool", single_worker_pool)
    with worker_busy(single_worker_pool), slot_held_by_another_process():
        with pytest.raises(Invalid) as refused:
            in_request(lambda: images.make_logo(b"an image"))
        with pytest.raises(pdf_forms.UnreadableForm, match="busy"):
            in_request(lambda: pdf_forms.read_form_fields(pdf_forms.MAGIC))
    assert refused.value.fields == {"logo": [images.FAILURE_MESSAGES["late"]]}
