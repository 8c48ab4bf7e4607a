"""Commands in this process on the test database, and in child processes with their own data folder."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from caseapp.cli.commands import caseapp
from caseapp.cli.context import CommandContext
from caseapp.core.database import db
from caseapp.core.settings import ROOT
from caseapp.domain.audit.models import AuditEvent
from tests.support import staff

LONGEST_SECONDS = 600
"""Seconds after which a command that even a busy machine should have run is given up."""


@pytest.fixture
def run_command(app, data_dir):
    """Return a function that runs a command on the test database."""

    def run(*arguments, input_text=None, **environ):
        db.session.remove()
        context = CommandContext(
            lambda _settings: app,
            {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(data_dir), **environ},
        )
        return CliRunner().invoke(caseapp, [*arguments], input=input_text, obj=context)

    return run


@pytest.fixture
def run_as(run_command):
    """Return a function that runs a command as somebody, who must get the exit code."""

    def run(person, *arguments, code=0, **options):
        answer = run_command("--as", staff.email_of(person), *arguments, **options)
        assert answer.exit_code == code, answer.output
        return answer.output

    return run


@pytest.fixture
def acts(app):
    """Return a function that lists who did what on the command line, in order."""

    def list_acts():
        db.session.rollback()
        rows = db.session.execute(
            sa.select(AuditEvent.actor_id, AuditEvent.action)
            .where(AuditEvent.via == "cli", AuditEvent.outcome == "done")
            .order_by(AuditEvent.id)
        )
        return [(row.actor_id, row.action) for row in rows]

    return list_acts


class Installation:
    """A data folder with its own database, in which the console script runs as for an operator."""

    def __init__(self, folder):
        """Set up an environment with nothing from this machine but PATH, and what `make coverage` needs."""
        self.data_dir = folder / "data"
        self.environ = {
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            "PATH": os.environ["PATH"],
            "CASEAPP_ENV": "test",
            "CASEAPP_DATA_DIR": str(self.data_dir),
        }

    def start(self, *arguments, **environ):
        """Start a command; return the process."""
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "caseapp", *arguments],
            cwd=ROOT,
            env=self.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, input_text="", **environ):
        """Run a command; return its exit code, output and error output."""
        with self.start(*arguments, **environ) as process:
            out, err = process.communicate(input_text, timeout=LONGEST_SECONDS)
        return process.returncode, out, err

    def python(self, text, **environ):
        """Run Python code with the settings of this installation; return its output."""
        result = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", text],
            cwd=ROOT,
            env=self.environ | environ,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LONGEST_SECONDS,
        )
        return result.stdout


@pytest.fixture
def installation(tmp_path):
    return Installation(tmp_path)


@pytest.fixture
def many_files():
    """Let this process open a socket for each connection."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(4096, before[1])), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
