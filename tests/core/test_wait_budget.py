"""Waiting for work apart: a page waits a short while freely, and longer only in the seat that all processes share."""

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
from caseapp.core.sandbox import pool as workshop
from caseapp.core.sandbox import wait_budget as waiting
from caseapp.core.settings import ROOT
from tests.core.sandboxes import stopped

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
    monkeypatch.setattr(waiting, "FREELY", 0.2)
    monkeypatch.setattr(workshop, "PATIENCE", LONGEST)


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
def hand_at_work(shop):
    """Keep the only hand at work until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="gate-"))
    # A hand is nobody.
    folder.chmod(0o755)
    gate = folder / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    at_work = Asking(lambda: shop.do(b"read %s" % bytes(gate)))
    # Opening waits for the hand to be there.
    with gate.open("wb"):
        yield at_work
    assert at_work.answer() == b""
    gate.unlink()
    folder.rmdir()


def is_taken():
    """Look without trying the lock, since who tries may be in somebody's way."""
    if not waiting.seat().exists():
        return False
    place = f":{waiting.seat().stat().st_ino}"
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any("FLOCK" in lock and lock[-3].endswith(place) for lock in locks)


def until_taken(asking):
    while not is_taken():
        assert asking.is_alive(), asking.heard


@contextmanager
def somebody_else_sits():
    """Let another process sit; give it."""
    other = subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", SIT, str(waiting.seat())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline() == "seated\n"
        yield other


def test_of_two_pages_that_wait_one_sits_and_the_other_hears_it(lonely):
    with hand_at_work(lonely) as at_work:
        first = Asking(lambda: as_page(lambda: lonely.do(b"echo first")))
        until_taken(first)
        assert as_page(lambda: stopped(lonely, b"echo second")) == "late"
        assert (first.is_alive(), at_work.is_alive()) == (True, True)
    assert first.answer() == b"first"
    assert not is_taken()
    assert as_page(lambda: lonely.do(b"echo third")) == b"third"


def test_who_holds_no_page_waits_without_the_seat(lonely):
    with hand_at_work(lonely), somebody_else_sits():
        jobs = [Asking(lambda n=n: lonely.do(b"echo %d" % n)) for n in range(3)]
        # A page that comes later has already been sent away when these still wait.
        assert as_page(lambda: stopped(lonely, b"echo page")) == "late"
        assert all(job.is_alive() for job in jobs)
    assert [job.answer() for job in jobs] == [b"0", b"1", b"2"]


def test_a_page_that_is_quick_needs_no_seat(lonely, monkeypatch):
    lonely.do(b"echo ready")
    monkeypatch.setattr(waiting, "FREELY", LONGEST)
    with somebody_else_sits():
        assert as_page(lambda: lonely.do(b"echo page")) == b"page"


def test_the_seat_is_free_when_its_holder_was_killed(lonely):
    with hand_at_work(lonely):
        with somebody_else_sits() as other:
            assert as_page(lambda: stopped(lonely, b"echo a")) == "late"
            other.kill()
        waits = Asking(lambda: as_page(lambda: lonely.do(b"echo b")))
        until_taken(waits)
    assert waits.answer() == b"b"


def test_a_page_waits_no_longer_for_a_foreman_than_for_an_answer(lonely, monkeypatch):
    # No foreman is there so soon.
    monkeypatch.setattr(waiting, "FREELY", 0.001)
    with somebody_else_sits(), pytest.raises(workshop.NotReady):
        as_page(lambda: lonely.do(b"echo a"))
    assert lonely._foreman is None  # noqa: SLF001
    assert as_page(lambda: lonely.do(b"echo b")) == b"b"


def test_nobody_sits_where_there_is_no_place(lonely, monkeypatch, tmp_path):
    with hand_at_work(lonely):
        monkeypatch.setattr(waiting, "seat", lambda: tmp_path / "gone" / "seat.lock")
        assert as_page(lambda: stopped(lonely, b"echo a")) == "late"


def test_the_job_of_an_asker_that_left_is_not_done(lonely, monkeypatch):
    hand = lonely.do(b"pid")
    with hand_at_work(lonely):
        monkeypatch.setattr(workshop, "PATIENCE", 0.1)
        assert stopped(lonely, b"kill SIGKILL") == "late"
        monkeypatch.setattr(workshop, "PATIENCE", LONGEST)
    assert lonely.do(b"pid") == hand


def test_a_picture_or_a_filled_in_form_that_nobody_could_look_at_is_not_called_broken(
    lonely, monkeypatch
):
    monkeypatch.setattr(pictures, "_workshop", lonely)
    monkeypatch.setattr(forms, "_workshop", lonely)
    monkeypatch.setattr(lonely, "close", lambda: None)
    with hand_at_work(lonely), somebody_else_sits():
        with pytest.raises(Invalid) as refused:
            as_page(lambda: pictures.logo_from(b"a picture"))
        with pytest.raises(forms.Unreadable, match="busy"):
            as_page(lambda: forms.fields_of(forms.MAGIC))
    assert refused.value.fields == {"logo": [pictures.WORDS["late"]]}
