"""Scanning: a program of the operator's choice looks at every file that comes in, before anything of ours does."""

from __future__ import annotations

import os
import subprocess

import structlog

from caseapp.core import settings

log = structlog.get_logger()

TIMEOUT_SECONDS = 10.0
"""Seconds that the program may take for one file."""
HARMFUL = "This file was not taken: the check for harmful files refuses it."
NOT_CHECKED = "This file could not be checked for harm, so it was not taken. Try again in a minute."


def find_scan_error(content: bytes) -> str:
    """Say why a file may not come in, or nothing; without a scanner every file may.

    The program reads the file from standard input; any exit code but 0 refuses it (OWASP ASVS 5.4.3). One that does not
    run or takes too long refuses too: what nobody looked at does not come in.
    """
    command = settings.active().scan_command
    if not command:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command
            command,
            input=content,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Nothing of our own settings goes along.
            env={"PATH": os.defpath},
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        log.error("upload.not_checked", fault=type(fault).__name__)  # noqa: TRY400 - a trace may quote a path
        return NOT_CHECKED
    if done.returncode:
        log.warning("upload.refused", code=done.returncode)
        return HARMFUL
    return ""
