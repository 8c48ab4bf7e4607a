"""Patience for a busy machine, where the program's own waits would end too soon."""

from __future__ import annotations

from dataclasses import replace

from caseapp.core import database, mail, migrate, pdf, scanning, uploads
from caseapp.core.sandbox import pool
from caseapp.http import openid, unreachable

PATIENCE = 300
"""Seconds in which even a busy machine gets something done; what never comes still fails."""


def be_patient() -> None:
    """Lengthen the waits of the program in this process; a test about impatience sets its own."""
    pool.MAX_WAIT_SECONDS = pool.STARTUP_SECONDS = unreachable.MAX_WAIT_SECONDS = float(PATIENCE)
    migrate.LOCK_TIMEOUT_SECONDS = mail.TIMEOUT_SECONDS = openid.TIMEOUT_SECONDS = PATIENCE
    scanning.TIMEOUT_SECONDS = float(PATIENCE)
    database.SQLITE_PRAGMAS["busy_timeout"] = str(1000 * PATIENCE)
    # A document that needs too much still reaches the limit of processor time.
    for workers in (pdf._pool, uploads._pool):  # noqa: SLF001 - there is no public way
        workers.limits = replace(workers.limits, seconds=float(PATIENCE))
