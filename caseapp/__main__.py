"""The console script: runs the commands with the application factory."""

from __future__ import annotations

import os

from caseapp.cli.commands import caseapp
from caseapp.cli.context import CommandContext
from caseapp.core.data_folder import restrict_new_files
from caseapp.factory import create_app


def main() -> None:
    """Run a command."""
    restrict_new_files()
    caseapp(obj=CommandContext(create_app, dict(os.environ)), prog_name="caseapp")


if __name__ == "__main__":
    main()
