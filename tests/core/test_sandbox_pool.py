"""Asking for work apart: what an asker hears, who replaces a foreman, and that nothing is left over."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from caseapp.core.sandbox import pool as workshop
from caseapp.core.settings import ROOT
from tests.core.sandboxes import children, foreman_of, kept_busy, shop_of, stopped

pytestmark = pytest.mark.process

LONGEST = 30
ASK = """
import os, sys, time
from caseapp.core.sandbox.pool import Workshop
shop = Workshop("tests.core.sandbox_jobs")
shop.do(b"echo ready")
print(shop._foreman.pid, flush=True)
sys.stdin.readline()
{then}
"""


def stop(pid):
    """Make a process stand still, and wait until it does."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


@contextmanager
def watched(*pids):
    """Give a way to wait for the end of processes, whosever children they are."""
    handles = [os.pidfd_open(pid) for pid in pids]
    yield lambda: all(select.select([handle], [], [], LONGEST)[0] for handle in handles)
    for handle in handles:
        os.close(handle)


def test_large_jobs_and_answers_come_whole(shop):
    assert shop.do(b"echo " + b"x" * 1_900_000) == b"x" * 1_900_000
    assert len(shop.do(b"answer 9000000")) == 9_000_000
    assert shop.do(b"echo ") == b""


def test_whoever_waits_too_long_for_a_turn_hears_it(lonely, monkeypatch):
    with kept_busy(lonely):
        monkeypatch.setattr(workshop, "PATIENCE", 0.3)
        assert [stopped(lonely, b"echo a") for _ in range(2)] == ["late"] * 2


def test_no_more_than_so_many_at_once(lonely):
    began = time.monotonic()
    asking = [threading.Thread(target=lambda: lonely.do(b"sleep 0.3")) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert time.monotonic() - began >= 1.2


def test_many_threads_get_their_own_answers(shop):
    found = {}
    asking = [
        threading.Thread(target=lambda n=n: found.update({n: shop.do(b"echo %d" % n)}))
        for n in range(24)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert found == {n: b"%d" % n for n in range(24)}


@pytest.mark.parametrize("fault", ["OSError", "ImportError"])
def test_a_foreman_that_cannot_begin_says_why_and_is_gone(fault):
    broken = shop_of(fault)
    with pytest.raises(workshop.NotReady, match=fault):
        broken.start()
    assert broken._foreman is None  # noqa: SLF001


def test_a_foreman_that_was_killed_is_replaced(shop):
    shop.do(b"echo a")
    first = foreman_of(shop)
    with watched(first, *children(first)) as have_ended:
        os.kill(first, signal.SIGKILL)
        assert have_ended()
    assert shop.do(b"echo b") == b"b"
    assert foreman_of(shop) != first


@pytest.mark.parametrize("which", ["foreman", "hand"])
def test_who_stands_still_is_replaced_by_the_next_asker(shop, which):
    hand = int(shop.do(b"pid"))
    first = foreman_of(shop)
    with watched(first, *children(first)) as have_ended:
        stop(first if which == "foreman" else hand)
        assert shop.do(b"echo b") == b"b"
        assert have_ended()
    assert foreman_of(shop) != first
    assert shop.do(b"echo c") == b"c"


def test_a_fork_of_ours_replaces_a_foreman_that_stands_still(shop):
    shop.do(b"echo a")
    first = foreman_of(shop)
    stop(first)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, shop.do(b"echo from the fork"))
        shop.close()
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 100) == b"from the fork"
    os.close(reading)
    os.waitpid(child, 0)
    assert shop.do(b"echo b") == b"b"
    assert foreman_of(shop) != first


def test_a_fork_of_ours_shares_the_foreman_and_does_not_end_it(shop):
    shop.do(b"echo a")
    foreman = foreman_of(shop)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, shop.do(b"echo from the fork"))
        shop.close()
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 100) == b"from the fork"
    os.close(reading)
    os.waitpid(child, 0)
    assert shop.do(b"echo b") == b"b"
    assert foreman_of(shop) == foreman


@pytest.mark.parametrize(
    "then",
    [
        "",
        "raise SystemExit(1)",
        "time.sleep(60)",
        "shop.do(b'spin')",
        "if not os.fork(): os._exit(0)\nos.wait()",
    ],
)
def test_nothing_is_left_when_the_program_ends_in_whatever_way(then):
    program = subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", ASK.format(then=then)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with program:
        foreman = int(program.stdout.readline())
        with watched(foreman, *children(foreman)) as have_ended:
            program.stdin.write("\n")
            program.stdin.flush()
            if "do" in then or "sleep" in then:
                program.kill()
            program.wait(LONGEST)
            assert have_ended()


def test_a_closed_workshop_leaves_no_folder(shop, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    shop.do(b"echo a")
    assert [*tmp_path.iterdir()]
    shop.close()
    assert [*tmp_path.iterdir()] == []
