"""The guard that finds tests which use more than their markers allow."""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest

from caseapp.core.sandbox import protocol
from tests.support.usage import MOST_SECONDS, Guard, Usage, deal


def guard(*, fast=False):
    """Return a guard that watches from now on."""
    watching = Guard(fast=fast, file=None)
    watching.usage = Usage()
    return watching


def problem(watching, *markers):
    """Return the guard's problem with a test that has these markers, and stop watching."""
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
def test_process_needs_its_marker(do):
    watching = guard()
    do()
    assert "mark it `process`" in problem(watching)
    for marker in ("process", "fault", "browser"):
        watching = guard()
        do()
        assert problem(watching, marker) is None


@pytest.mark.pdf
def test_document_needs_its_marker():
    for markers, found in (((), "mark it `pdf`"), (("pdf",), None)):
        watching = guard()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect_ex(f"/nowhere/{protocol.SOCKET}")
        message = problem(watching, *markers)
        assert message is None if found is None else found in message


def test_plain_test_needs_no_marker():
    assert problem(guard()) is None
    assert problem(guard(fast=True)) is None


def test_too_much_time_fails_only_in_the_fast_run():
    for fast, found in ((True, True), (False, False)):
        watching = guard(fast=fast)
        watching.usage.seconds = MOST_SECONDS + 0.1
        assert ("mark it `slow`" in (problem(watching) or "")) is found


def test_each_worker_begins_with_its_share_of_the_long_tests():
    items = [*range(20), *range(100, 107)]
    dealt = deal(items, lambda item: item >= 100, 3)
    assert sorted(dealt) == items
    assert [[item for item in dealt[at : at + 9] if item >= 100] for at in (0, 9, 18)] == [
        [100, 103, 106],
        [101, 104],
        [102, 105],
    ]
    assert [dealt[0], dealt[9], dealt[18]] == [100, 101, 102]
    assert sorted(deal(items, lambda _item: True, 4)) == items


def test_only_processor_time_outside_shared_fixtures_counts(monkeypatch):
    used = 5.0
    # Only in here: the guard of this very test measures too.
    with monkeypatch.context() as patch:
        patch.setattr(time, "process_time", lambda: used)
        watching = guard()
        usage = watching.usage
        used += 1
        with watching.not_counted():
            used += 10
            assert watching.usage is None
        used += 2
        usage.stop()
        assert usage.seconds == 3
        assert watching.usage is usage
