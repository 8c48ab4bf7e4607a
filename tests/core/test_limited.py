"""Work apart: what a hand may not do, what an asker hears then, and that nothing is left over."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from caseapp.core import limited
from caseapp.core.settings import ROOT

LONGEST = 30
ASK = """
import os, sys, time
from caseapp.core import limited
shop = limited.Workshop("tests.core.works")
shop.do(b"echo ready")
print(shop._foreman.pid, flush=True)
{then}
"""


def workshop(*told, hands=2):
    return limited.Workshop("tests.core.works", lambda: [*told], hands=hands)


@pytest.fixture
def shop():
    made = workshop()
    yield made
    made.close()


@pytest.fixture
def lonely():
    """Give a workshop with one hand at a time."""
    made = workshop(hands=1)
    yield made
    made.close()


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def foreman_of(shop):
    return shop._foreman.pid  # noqa: SLF001 - which process it is stands nowhere else


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


def stopped(shop, job):
    with pytest.raises(limited.Stopped) as found:
        shop.do(job)
    return str(found.value)


def test_a_hand_does_so_many_jobs_and_then_a_fresh_one_does(lonely):
    hands = [lonely.do(b"pid") for _ in range(2 * limited.JOBS)]
    assert len({*hands[: limited.JOBS]}) == len({*hands[limited.JOBS :]}) == 1
    assert len({*hands, b"%d" % os.getpid(), b"%d" % foreman_of(lonely)}) == 4


@pytest.mark.parametrize(
    "job", [b"unknown", b"refuse word", b"crash", b"memory %d" % limited.MEMORY, b"exit"]
)
def test_a_job_that_failed_was_its_hands_last(lonely, job):
    before = lonely.do(b"pid")
    assert lonely.do(b"pid") == before
    stopped(lonely, job)
    assert lonely.do(b"pid") != before


def test_each_job_has_limits_of_its_own(lonely, monkeypatch):
    monkeypatch.setattr(limited, "PATIENCE", 60)
    began = time.monotonic()
    hands = set()
    while time.monotonic() - began < limited.LONGEST + 1:
        lonely.do(b"sleep 1")
        hands.add(lonely.do(b"pid"))
    assert len(hands) == 1


def test_large_jobs_and_answers_come_whole(shop):
    assert shop.do(b"echo " + b"x" * 1_900_000) == b"x" * 1_900_000
    assert len(shop.do(b"answer 9000000")) == 9_000_000
    assert shop.do(b"echo ") == b""


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (b"kill SIGKILL", "ended"),
        (b"crash", "ended"),
        (b"exit", "SystemExit"),
        (b"unknown", "KeyError"),
        (b"refuse word", "word"),
        (b"memory %d" % limited.MEMORY, "too_big"),
        (b"write %d" % (limited.LARGEST_FILE + 1), "OSError"),
        (b"answer %d" % (limited.LARGEST_ANSWER + 1), "too_big"),
        (b"x" * (limited.LARGEST_JOB + 1), "too_big"),
    ],
)
def test_what_goes_wrong_in_a_hand_is_one_word_and_the_next_job_works(shop, job, word):
    assert stopped(shop, job) == word
    assert shop.do(b"echo next") == b"next"


@pytest.mark.parametrize("job", [b"spin", b"sleep 60"])
def test_a_job_that_never_ends_is_ended_while_others_are_done(shop, job):
    began = time.monotonic()
    words = []
    asking = threading.Thread(target=lambda: words.append(stopped(shop, job)))
    asking.start()
    assert all(shop.do(b"echo %d" % n) == b"%d" % n for n in range(20))
    assert asking.is_alive()
    asking.join()
    assert words == ["ended"]
    assert time.monotonic() - began < 15
    assert shop.do(b"echo next") == b"next"


def test_whoever_waits_too_long_for_a_turn_hears_it(lonely, monkeypatch):
    lonely.start()
    asking = threading.Thread(target=lambda: lonely.do(b"sleep 2"))
    asking.start()
    while not asking.ident or not children(foreman_of(lonely)):
        pass
    monkeypatch.setattr(limited, "PATIENCE", 0.3)
    words = {stopped(lonely, b"sleep 1") for _ in range(2)}
    asking.join()
    assert words == {"late"}


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


def test_a_hand_stands_in_an_empty_folder_and_knows_no_secret(shop, monkeypatch):
    monkeypatch.setenv("CASEAPP_SMTP_URL", "smtp://user:secret@mail.example.org")
    assert shop.do(b"folder") == b"('empty', [])"
    assert set(shop.do(b"environ").decode().split()) <= {*limited.SURROUNDINGS, "LC_CTYPE"}


def test_a_hand_has_no_network_where_the_machine_can_take_it_away(shop):
    asked = subprocess.run(
        [sys.executable, "-c", "from caseapp.core import limited; print(limited.leave_network())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    can = asked.stdout.strip() == "True"
    ours = Path("/proc/self/ns/net").readlink()
    assert (shop.do(b"network").decode() != str(ours)) == can
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if can:
            assert stopped(shop, b"connect %d" % port) == "OSError"
        else:
            assert shop.do(b"connect %d" % port) == b"connected"


def test_a_hand_is_never_root(shop, tmp_path):
    secret = tmp_path / "vault.key"
    secret.write_bytes(b"secret")
    secret.chmod(0o600)
    if os.getuid():
        assert shop.do(b"who") == repr((os.getresuid(), os.getresgid(), os.getgroups())).encode()
    else:
        nobody = (limited.NOBODY,) * 3
        assert shop.do(b"who") == repr((nobody, nobody, [])).encode()
        assert stopped(shop, b"read %s" % bytes(secret)) == "PermissionError"
    assert shop.do(b"draft a").startswith(b"/")


@pytest.mark.parametrize("fault", ["OSError", "ImportError"])
def test_a_foreman_that_cannot_begin_says_why_and_is_gone(fault):
    broken = workshop(fault)
    with pytest.raises(limited.NotReady, match=fault):
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
        began = time.monotonic()
        assert shop.do(b"echo b") == b"b"
        assert time.monotonic() - began < limited.PATIENCE
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
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with program:
        foreman = int(program.stdout.readline())
        with watched(foreman, *children(foreman)) as have_ended:
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
