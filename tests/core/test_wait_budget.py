"""Waiting for work apart: a page waits a short while freely, and longer only in the slot that all processes share."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path

import pytest

from caseapp.core import images as pictures
from caseapp.core import pdf_forms as forms
from caseapp.core.errors import Invalid
from caseapp.core.logging import request_id
from caseapp.core.sandbox import pool, wait_budget
from caseapp.core.settings import ROOT
from tests.core.sandboxes import get_failure

pytestmark = pytest.mark.process

LONGEST = 60
SIT = """
import fcntl, sys
held = open(sys.argv[1], "wb")
fcntl.flock(held, fcntl.LOCK_EX)
print("seated", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def hurry(the_app, monkeypatch):
    """Let the short while be shorter, and the rest long enough for any machine."""
    monkeypatch.setattr(wait_budget, "FREE_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", LONGEST)


def as_page(ask):
    """Ask as a page does that is being made for a request."""

    def asked():
        request_id.set("a-request")
        return ask()

    return Context().run(asked)


class Asking(threading.Thread):
    """Ask in a thread, and keep what was heard."""

    def __init__(self, ask):
        """Begin at once."""
        super().__init__(daemon=True)
        self.ask, self.heard = ask, None
        self.start()

    def run(self):
        self.heard = self.ask()

    def answer(self):
        self.join(LONGEST)
        return self.heard


@contextmanager
def worker_busy(sandbox_pool):
    """Keep the only hand at work until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="gate-"))
    # A hand is nobody.
    folder.chmod(0o755)
    gate = folder / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    at_work = Asking(lambda: sandbox_pool.run(b"read %s" % bytes(gate)))
    # Opening waits for the hand to be there.
    with gate.open("wb"):
        yield at_work
    assert at_work.answer() == b""
    gate.unlink()
    folder.rmdir()


def is_taken():
    """Look without trying the lock, since who tries may be in somebody's way."""
    if not wait_budget.slot_path().exists():
        return False
    place = f":{wait_budget.slot_path().stat().st_ino}"
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any("FLOCK" in lock and lock[-3].endswith(place) for lock in locks)


def until_taken(asking):
    while not is_taken():
        assert asking.is_alive(), asking.heard


@contextmanager
def somebody_else_sits():
    """Let another process sit; give it."""
    other = subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", SIT, str(wait_budget.slot_path())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline() == "seated\n"
        yield other


def test_of_two_pages_that_wait_one_sits_and_the_other_hears_it(single_worker_pool):
    with worker_busy(single_worker_pool) as at_work:
        first = Asking(lambda: as_page(lambda: single_worker_pool.run(b"echo first")))
        until_taken(first)
        assert as_page(lambda: get_failure(single_worker_pool, b"echo second")) == "late"
        assert (first.is_alive(), at_work.is_alive()) == (True, True)
    assert first.answer() == b"first"
    assert not is_taken()
    assert as_page(lambda: single_worker_pool.run(b"echo third")) == b"third"


def test_who_holds_no_page_waits_without_the_seat(single_worker_pool):
    with worker_busy(single_worker_pool), somebody_else_sits():
        jobs = [Asking(lambda n=n: single_worker_pool.run(b"echo %d" % n)) for n in range(3)]
        # A page that comes later has already been sent away when these still wait.
        assert as_page(lambda: get_failure(single_worker_pool, b"echo page")) == "late"
        assert all(job.is_alive() for job in jobs)
    assert [job.answer() for job in jobs] == [b"0", b"1", b"2"]


def test_a_page_that_is_quick_needs_no_seat(single_worker_pool, monkeypatch):
    single_worker_pool.run(b"echo ready")
    monkeypatch.setattr(wait_budget, "FREE_WAIT_SECONDS", LONGEST)
    with somebody_else_sits():
        assert as_page(lambda: single_worker_pool.run(b"echo page")) == b"page"


def test_the_seat_is_free_when_its_holder_was_killed(single_worker_pool):
    with worker_busy(single_worker_pool):
        with somebody_else_sits() as other:
            assert as_page(lambda: get_failure(single_worker_pool, b"echo a")) == "late"
            other.kill()
        waits = Asking(lambda: as_page(lambda: single_worker_pool.run(b"echo b")))
        until_taken(waits)
    assert waits.answer() == b"b"


def test_a_page_waits_no_longer_for_a_supervisor_than_for_an_answer(single_worker_pool, monkeypatch):
    # No supervisor is there so soon.
    monkeypatch.setattr(wait_budget, "FREE_WAIT_SECONDS", 0.001)
    with somebody_else_sits(), pytest.raises(pool.PoolUnavailable):
        as_page(lambda: single_worker_pool.run(b"echo a"))
    assert single_worker_pool._supervisor is None  # noqa: SLF001
    assert as_page(lambda: single_worker_pool.run(b"echo b")) == b"b"


def test_nobody_sits_where_there_is_no_place(single_worker_pool, monkeypatch, tmp_path):
    with worker_busy(single_worker_pool):
        monkeypatch.setattr(wait_budget, "slot_path", lambda: tmp_path / "gone" / "slot.lock")
        assert as_page(lambda: get_failure(single_worker_pool, b"echo a")) == "late"


def test_the_job_of_an_asker_that_left_is_not_done(single_worker_pool, monkeypatch):
    worker = single_worker_pool.run(b"pid")
    with worker_busy(single_worker_pool):
        monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0.1)
        assert get_failure(single_worker_pool, b"kill SIGKILL") == "late"
        monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", LONGEST)
    assert single_worker_pool.run(b"pid") == worker


def test_a_picture_or_a_filled_in_form_that_nobody_could_look_at_is_not_called_broken(
    single_worker_pool, monkeypatch
):
    monkeypatch.setattr(pictures, "_pool", single_worker_pool)
    monkeypatch.setattr(forms, "_pool", single_worker_pool)
    monkeypatch.setattr(single_worker_pool, "close", lambda: None)
    with worker_busy(single_worker_pool), somebody_else_sits():
        with pytest.raises(Invalid) as refused:
            as_page(lambda: pictures.make_logo(b"a picture"))
        with pytest.raises(forms.UnreadableForm, match="busy"):
            as_page(lambda: forms.read_form_fields(forms.MAGIC))
    assert refused.value.fields == {"logo": [pictures.FAILURE_MESSAGES["late"]]}
