"""Malware scanning of uploaded files by a program that the operator chooses."""

from __future__ import annotations

import os
import subprocess

import structlog

from caseapp.core import settings
from caseapp.core.i18n import lazy_gettext

log = structlog.get_logger()

TIMEOUT_SECONDS = 10.0
"""Seconds that a scan of one file may take."""
HARMFUL = lazy_gettext("This file was rejected by the malware check.")
NOT_CHECKED = lazy_gettext(
    "This file could not be checked for malware, so it was not accepted. Try again in a minute."
)


def scan_upload(content: bytes) -> str:
    """Return why a file is rejected, or an empty string; without a scanner every file is accepted.

    The program reads the file from standard input and rejects it with any exit code but 0 (OWASP ASVS 5.4.3). A file is
    also rejected when the program cannot run or takes too long, so that no unchecked file is accepted.
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
            # Our settings, which include secrets, are not passed on.
            env={"PATH": os.defpath},
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        log.error("upload.not_checked", fault=type(fault).__name__)  # noqa: TRY400 - a traceback may quote a path
        return NOT_CHECKED
    if done.returncode:
        log.warning("upload.refused", code=done.returncode)
        return HARMFUL
    return ""
