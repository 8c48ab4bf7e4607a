"""A migration that is killed leaves the database as it was, and the next start brings it up to date."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.database import db
from caseapp.core.migrate import downgrade, is_current
from caseapp.core.settings import ROOT
from tests.guarantees.test_migrations import fill

# `make soak` kills at every statement; a normal run at a few places spread over the whole migration.
EVERY = os.environ.get("ROUNDS") is not None


def kills(path, step):
    """Kill the migration of a database file at every `step`-th statement; return what each kill left."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "tests.guarantees.migration_kills", str(path), str(step)],
        cwd=ROOT,
        env={
            **os.environ,
            "CASEAPP_ENV": "test",
            # Its keys open what the migration seals again.
            "CASEAPP_DATA_DIR": str(settings.active().data_dir),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.fault
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("revision", ["0008", "base"] if EVERY else ["0008"])
def test_migration_killed_at_a_statement_changes_nothing_and_next_start_recovers(
    app, database_url, revision, tmp_path
):
    fill()
    db.session.remove()
    db.engine.dispose()
    downgrade(database_url, revision)
    path = tmp_path / "older.db"
    with sa.create_engine(database_url, poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{path}'")
    found = kills(path, 1 if EVERY else 311)
    assert len(found) >= 5
    assert [kill for kill in found if not (kill["unchanged"] and kill.get("recovered", True))] == []
    assert sum("recovered" in kill for kill in found) > 1


@pytest.mark.process
def test_two_upgrades_at_once_both_succeed(app, database_url):
    db.session.remove()
    db.engine.dispose()
    downgrade(database_url, "base")
    command = (
        "import sys; from caseapp.core.migrate import upgrade;"
        "from tests.support.patience import be_patient; be_patient();"
        "upgrade(sys.stdin.read())"
    )
    running = [
        subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", command], cwd=ROOT, stdin=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in running:
        process.stdin.write(database_url.render_as_string(hide_password=False))
        process.stdin.close()
    assert [process.wait() for process in running] == [0, 0]
    with sa.create_engine(database_url, poolclass=sa.NullPool).connect() as connection:
        assert is_current(connection)
