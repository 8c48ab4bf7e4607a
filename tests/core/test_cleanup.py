"""A test process that is killed leaves no folder and no PostgreSQL server behind."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from caseapp.core.settings import ROOT

pytestmark = pytest.mark.process

TIMEOUT = 60
FOLDER = """
import signal
from tests.support import temporary
print(temporary.folder("planted-"), flush=True)
signal.pause()
"""
SERVER = """
import signal
from tests.support import temporary
print(temporary.start_server("pg").get_pid(), flush=True)
signal.pause()
"""


@contextmanager
def running(script):
    """Run a script; yield the process and the first line that it writes."""
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def is_gone_soon(path):
    """Wait until a path is no longer there; return whether that happened in time."""
    end = time.monotonic() + TIMEOUT
    while path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return not path.exists()


def test_folders_of_a_killed_process_are_removed():
    with running(FOLDER) as (process, planted):
        run = Path(planted).parent
        assert Path(planted).is_dir()
        process.kill()
        assert is_gone_soon(run)


def test_database_server_of_a_killed_process_stops():
    with running(SERVER) as (process, number):
        server = Path(f"/proc/{int(number)}")
        assert server.exists()
        process.kill()
        assert is_gone_soon(server)
