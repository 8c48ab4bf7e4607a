"""Work apart: what a hand may not do, and that only one in which all went well goes on."""

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
from tests.core.sandboxes import foreman_of, stopped

pytestmark = pytest.mark.process


def test_a_hand_does_so_many_jobs_and_then_a_fresh_one_does(lonely):
    hands = [lonely.do(b"pid") for _ in range(2 * supervisor.JOBS)]
    assert len({*hands[: supervisor.JOBS]}) == len({*hands[supervisor.JOBS :]}) == 1
    assert len({*hands, b"%d" % os.getpid(), b"%d" % foreman_of(lonely)}) == 4


@pytest.mark.parametrize(
    "job", [b"unknown", b"refuse word", b"crash", b"memory %d" % supervisor.MEMORY, b"exit"]
)
def test_a_job_that_failed_was_its_hands_last(lonely, job):
    before = lonely.do(b"pid")
    assert lonely.do(b"pid") == before
    stopped(lonely, job)
    assert lonely.do(b"pid") != before


def test_each_job_has_limits_of_its_own(lonely):
    began = time.monotonic()
    hands = set()
    while time.monotonic() - began < supervisor.LONGEST + 1:
        lonely.do(b"sleep 1")
        hands.add(lonely.do(b"pid"))
    assert len(hands) == 1


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (b"kill SIGKILL", "ended"),
        (b"crash", "ended"),
        (b"exit", "SystemExit"),
        (b"unknown", "KeyError"),
        (b"refuse word", "word"),
        (b"memory %d" % supervisor.MEMORY, "too_big"),
        (b"write %d" % (supervisor.LARGEST_FILE + 1), "OSError"),
        (b"answer %d" % (supervisor.LARGEST_ANSWER + 1), "too_big"),
        (b"x" * (pool.LARGEST_JOB + 1), "too_big"),
    ],
)
def test_what_goes_wrong_in_a_hand_is_one_word_and_the_next_job_works(shop, job, word):
    assert stopped(shop, job) == word
    assert shop.do(b"echo next") == b"next"


@pytest.mark.parametrize("job", [b"spin", b"sleep 60"])
def test_a_job_that_never_ends_is_ended_while_others_are_done(shop, job):
    words = []
    asking = threading.Thread(target=lambda: words.append(stopped(shop, job)))
    asking.start()
    assert all(shop.do(b"echo %d" % n) == b"%d" % n for n in range(20))
    assert asking.is_alive()
    asking.join()
    assert words == ["ended"]
    assert shop.do(b"echo next") == b"next"


def test_a_hand_stands_in_an_empty_folder_and_knows_no_secret(shop, monkeypatch):
    monkeypatch.setenv("CASEAPP_SMTP_URL", "smtp://user:secret@mail.example.org")
    assert shop.do(b"folder") == b"('empty', [])"
    assert set(shop.do(b"environ").decode().split()) <= {*pool.SURROUNDINGS, "LC_CTYPE"}


def test_a_hand_has_no_network_where_the_machine_can_take_it_away(shop):
    asked = subprocess.run(
        [
            sys.executable,
            "-c",
            "from caseapp.core.sandbox.supervisor import leave_network; print(leave_network())",
        ],
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
        nobody = (supervisor.NOBODY,) * 3
        assert shop.do(b"who") == repr((nobody, nobody, [])).encode()
        assert stopped(shop, b"read %s" % bytes(secret)) == "PermissionError"
    assert shop.do(b"draft a").startswith(b"/")
