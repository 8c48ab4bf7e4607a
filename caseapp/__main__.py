"""The console script: runs the commands with the application factory."""

from __future__ import annotations

import gc
import os
import sys

from caseapp.core.data_folder import restrict_new_files
from caseapp.domain.protocol.data import InvalidProtocolFile


def main() -> None:
    """Run a command."""
    restrict_new_files()
    # What is imported stays: looking through it for garbage takes a fifth of the time in which a command starts.
    gc.disable()
    try:
        # Tables and forms are built from the protocol, so importing them reads its file.
        from caseapp.cli.commands import caseapp
        from caseapp.cli.context import CommandContext
        from caseapp.factory import create_app
    except InvalidProtocolFile as error:
        sys.exit(str(error))
    gc.freeze()
    gc.enable()
    caseapp(obj=CommandContext(create_app, dict(os.environ)), prog_name="caseapp")


if __name__ == "__main__":
    main()
