"""Kill a migration of a SQLite database at its statements, each time in a process of its own, and say what was left.

Run as a program, since a process with threads must not fork: `python -m tests.guarantees.migration_kills FILE STEP`
with a database file of an older revision. Prints one JSON object for each kill.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import sys
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.migrate import upgrade


def contents(path: Path) -> list[list[str]]:
    """Return the whole database as SQL, as the next program to open it would read it.

    Sorted, since a rebuilt table gets its indexes and constraints in any order. What a migration seals has other bytes
    each time, so that only its length counts.
    """
    connection = sqlite3.connect(path)
    try:
        return sorted(
            sorted(line.strip(" ,\t") for line in without_seals(statement).splitlines())
            for statement in connection.iterdump()
        )
    finally:
        connection.close()


def without_seals(statement: str) -> str:
    """Replace sealed bytes by their number."""
    return re.sub(r"X'([0-9A-F]*)'", lambda found: f"{len(found[1]) // 2} bytes", statement)


def upgrade_and_die(path: Path, at_statement: int) -> None:
    """Migrate, and end this process with SIGKILL just before statement number `at_statement`."""
    seen = count(1)

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def die(*_arguments: object) -> None:
        if next(seen) == at_statement:
            os.kill(os.getpid(), signal.SIGKILL)

    upgrade(f"sqlite:///{path}")


def kill_at(original: Path, path: Path, at_statement: int) -> bool:
    """Copy the database and kill its migration; return False where it had fewer statements."""
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
    shutil.copy(original, path)
    child = os.fork()
    if child == 0:
        try:
            upgrade_and_die(path, at_statement)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(original: Path, step: int) -> None:
    """Kill at every `step`-th statement until the migration survives."""
    path = original.with_name("killed.db")
    before = contents(original)
    shutil.copy(original, path)
    upgrade(f"sqlite:///{path}")
    after = contents(path)
    for number, at_statement in enumerate(count(1, step)):
        if not kill_at(original, path, at_statement):
            break
        result = {"statement": at_statement, "unchanged": contents(path) == before}
        # The same rows are migrated alike: only at each statement is it tried after each kill.
        if step == 1 or number % 3 == 1:
            upgrade(f"sqlite:///{path}")
            result["recovered"] = contents(path) == after
        print(json.dumps(result), flush=True)  # noqa: T201 - the program's result


if __name__ == "__main__":
    settings.use(settings.load_settings(os.environ))
    main(Path(sys.argv[1]), int(sys.argv[2]))
