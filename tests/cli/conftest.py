"""Commands in this process on a fresh database, and in processes of their own in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from caseapp.cli.commands import caseapp
from caseapp.cli.context import CommandContext
from caseapp.core.database import db
from caseapp.core.settings import ROOT


@pytest.fixture
def run_command(app, data_dir):
    """Run a command on the test's database; give what it wrote and how it ended."""

    def run(*arguments, given=None, **environ):
        db.session.remove()
        context = CommandContext(
            lambda _settings: app,
            {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(data_dir), **environ},
        )
        return CliRunner().invoke(caseapp, [*arguments], input=given, obj=context)

    return run


class Home:
    """Be a folder with its own database, in which the console script runs as an operator runs it."""

    def __init__(self, folder):
        """Take nothing over from this machine's environment but the way to find programs."""
        self.data = folder / "data"
        self.environ = {
            "PATH": os.environ["PATH"],
            "CASEAPP_ENV": "test",
            "CASEAPP_DATA_DIR": str(self.data),
        }

    def start(self, *arguments, **environ):
        """Start a command; give the running process."""
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "caseapp", *arguments],
            cwd=ROOT,
            env=self.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, given="", **environ):
        """Run a command to its end; give its code and what it wrote."""
        with self.start(*arguments, **environ) as process:
            out, err = process.communicate(given, timeout=120)
        return process.returncode, out, err

    def python(self, text, **environ):
        """Run a few lines of Python that use this home's settings; give what they print."""
        done = subprocess.run(  # noqa: S603 - our own lines
            [sys.executable, "-c", text],
            cwd=ROOT,
            env=self.environ | environ,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        return done.stdout


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)
