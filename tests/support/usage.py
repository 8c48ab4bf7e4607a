"""What a test uses of this machine: other processes, documents in the sandbox, processor time.

A test that uses more than its markers say fails, so that `make test-fast` stays fast.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from caseapp.core.sandbox import protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

T = TypeVar("T")

MOST_SECONDS = 2.0
"""Seconds of processor time that a test of the fast run may use, its own fixtures included."""
COLLECTED = pytest.StashKey[list[pytest.Function]]()
"""All tests that were collected, those that are deselected later included."""
DOCUMENTS = re.compile(r"-m caseapp\.core\.sandbox\.|^(/\S+/)?pdf\w+ ")
"""Command lines of the sandbox's servers and of the programs with which tests read a PDF."""
KEPT = re.compile(r"/pdf/\w\w/[^/]+\.(pdf|sealed)$")
"""Where the app keeps rendered documents."""
IGNORED = re.compile(r"^(/\S+/)?(ldconfig|gcc|cc|ld|objdump) ")
"""What the standard library runs to find a shared library, once in a process."""
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
LONG = ("browser", "fault", "slow")
PROCESS_MARKERS = {"process", "fault", "browser"}


def deal(items: Sequence[T], is_long: Callable[[T], bool], workers: int) -> list[T]:
    """Order items so that each of the equal parts with which workers begin has its share of the long ones first."""
    long = [item for item in items if is_long(item)]
    short = iter([item for item in items if not is_long(item)])
    dealt: list[T] = []
    for number in range(workers):
        size = (len(items) - len(dealt)) // (workers - number)
        own = long[number::workers]
        dealt += own
        dealt += islice(short, max(0, size - len(own)))
    return [*dealt, *short]


class Usage:
    """What the running test has used so far."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.processes: list[str] = []
        self.sandbox = False
        self.seconds = 0.0
        self._since = time.process_time()

    def stop(self) -> None:
        """Count the time until now."""
        self.seconds += time.process_time() - self._since

    def resume(self) -> None:
        """Count the time from now on."""
        self._since = time.process_time()


class Guard:
    """A pytest plugin that measures each test and holds it to its markers."""

    def __init__(self, *, fast: bool, file: str | None) -> None:
        """Listen to what Python reports about processes and sockets.

        `fast` limits the time of each test; with a `file`, tests are measured and none fails.
        """
        self.fast = fast
        self.file = file
        self.usage: Usage | None = None
        # An audit hook stays for as long as the process; it only records.
        sys.addaudithook(self._record)

    def _record(self, event: str, args: tuple[Any, ...]) -> None:
        if self.usage is None:
            return
        if event in STARTS:
            program = args[1] if event == "subprocess.Popen" else event
            text = program if isinstance(program, str) else " ".join(map(str, program))
            if not IGNORED.match(text):
                self.usage.processes.append(text)
        elif event == "socket.connect" and str(args[1]).endswith(f"/{protocol.SOCKET}"):
            self.usage.sandbox = True
        elif event == "open" and KEPT.search(str(args[0])):
            # Whoever comes first renders the document, the others read it: all of them need it.
            self.usage.sandbox = True

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Count nothing that is done once for many tests."""
        usage, self.usage = self.usage, None
        if usage is not None:
            usage.stop()
        yield
        if usage is not None:
            usage.resume()
        self.usage = usage

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Let each worker begin with its share of the tests that take long, so that none is left alone with them."""
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        items[:] = deal(items, lambda item: any(map(item.get_closest_marker, LONG)), workers)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Leave out the fixtures that tests share."""
        if fixturedef.scope == "function":
            return (yield)
        with self.not_counted():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        """Measure one test, its own fixtures included."""
        self.usage = Usage()
        result = yield
        self.usage = None
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fail a test that used what its markers do not say."""
        result = yield
        usage = self.usage
        if usage is None:
            return result
        usage.stop()
        markers = {mark.name for mark in item.iter_markers()}
        if self.file:
            self._write(item, usage, markers)
        else:
            problem = self._problem(usage, markers)
            if problem is not None:
                pytest.fail(problem, pytrace=False)
        usage.resume()
        return result

    def _problem(self, usage: Usage, markers: set[str]) -> str | None:
        others = [text for text in usage.processes if not DOCUMENTS.search(text)]
        if others and not markers & PROCESS_MARKERS:
            return f"This test started a process: mark it `process`. {others[0][:200]}"
        if (usage.sandbox or usage.processes) and not markers & {"pdf", *PROCESS_MARKERS}:
            return "This test used the document sandbox: mark it `pdf`."
        if self.fast and usage.seconds > MOST_SECONDS:
            return (
                f"This test used {usage.seconds:.1f} s of processor time, more than"
                f" {MOST_SECONDS} s: make it faster or mark it `slow`."
            )
        return None

    def _write(self, item: pytest.Item, usage: Usage, markers: set[str]) -> None:
        line = json.dumps(
            {
                "test": item.nodeid,
                "seconds": round(usage.seconds, 3),
                "processes": usage.processes,
                "sandbox": usage.sandbox,
                "markers": sorted(markers),
            }
        )
        with Path(self.file).open("a", encoding="utf-8") as out:
            out.write(line + "\n")
