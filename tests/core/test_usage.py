"""A test that uses more than its markers say is found."""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest

from tests.support.usage import MOST_SECONDS, Guard, Usage


def guard(*, fast=False):
    """Make a guard that watches from now on."""
    made = Guard(fast=fast, file=None)
    made.usage = Usage()
    return made


def problem(watching, *markers):
    """Give what the guard says about a test with these markers, and let it watch no longer."""
    usage, watching.usage = watching.usage, None
    return watching._problem(usage, set(markers))  # noqa: SLF001


def start():
    subprocess.run(["/bin/true"], check=True)


def fork():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.process
@pytest.mark.parametrize("do", [start, fork])
def test_a_process_needs_its_marker(do):
    watching = guard()
    do()
    assert "mark it `process`" in problem(watching)
    for marker in ("process", "fault", "browser"):
        watching = guard()
        do()
        assert problem(watching, marker) is None


@pytest.mark.pdf
def test_a_document_needs_its_marker():
    for markers, found in (((), "mark it `pdf`"), (("pdf",), None)):
        watching = guard()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.sendmsg([b"."])
        said = problem(watching, *markers)
        assert said is None if found is None else found in said


def test_nothing_special_needs_no_marker():
    assert problem(guard()) is None
    assert problem(guard(fast=True)) is None


def test_too_much_time_fails_in_the_fast_run_alone():
    for fast, found in ((True, True), (False, False)):
        watching = guard(fast=fast)
        watching.usage.seconds = MOST_SECONDS + 0.1
        assert ("mark it `slow`" in (problem(watching) or "")) is found


def test_only_processor_time_counts_and_shared_fixtures_do_not():
    watching = guard()
    usage = watching.usage
    time.sleep(0.2)
    with watching._not_counted():  # noqa: SLF001
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
        assert watching.usage is None
    usage.stop()
    assert usage.seconds < 0.15
    assert watching.usage is usage
