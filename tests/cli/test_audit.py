"""The log against its checkpoints: an earlier database is noticed, refused, and accepted in one way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.cli import installation_checks
from caseapp.cli.check_result import FAULT
from caseapp.core import settings
from caseapp.core.database import db
from caseapp.domain.audit.checkpoints import list_rollback_faults, write_checkpoint
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import record_refusal
from tests.domain.audit.test_chain import add_all_kinds, take_guards_off


@pytest.fixture
def folder(app, tmp_path):
    settings.use(replace(settings.active(), checkpoint_dir=tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


def codes():
    db.session.rollback()
    return [fault.code for fault in list_rollback_faults()]


def refuse(team, times):
    for _ in range(times):
        record_refusal(team["coach"], "case.edit", "case", None, {})


@pytest.mark.both
def test_earlier_database_is_refused_until_somebody_accepts_it(team, folder, run_command):
    add_all_kinds(team)
    assert [write_checkpoint(), write_checkpoint()] == [1, None]
    before = db.session.scalar(sa.select(AuditEvent.id).order_by(AuditEvent.id.desc()))
    refuse(team, 2)
    assert write_checkpoint() == 2
    assert codes() == []
    assert run_command("audit", "verify").exit_code == 0
    assert run_command("audit", "accept-rollback", "--reason", "Nothing happened.").exit_code == 1
    with db.engine.connect() as connection, connection.begin():
        take_guards_off(connection)
        connection.execute(sa.delete(AuditEvent).where(AuditEvent.id > before))
    for added, kind in ((0, "missing: "), (3, "replaced: ")):
        refuse(team, added)
        assert codes() == ["rolled_back"]
        assert write_checkpoint() is None
        assert FAULT in {found.level for found in installation_checks.check_log()}
        refused = run_command("audit", "verify")
        assert (refused.exit_code, refused.stderr.startswith(kind)) == (1, True)
        started = run_command("worker")
        assert (started.exit_code, "accept-rollback" in started.stderr) == (1, True)
    for nothing in (" ", "x", "xxxxxxxxxxxx", "long words " * 40):
        refused = run_command("audit", "accept-rollback", "--reason", nothing)
        assert (refused.exit_code, "reason" in refused.stderr) == (1, True)
    accepted = run_command("audit", "accept-rollback", "--reason", "Backup of Monday restored.")
    assert (accepted.exit_code, codes()) == (0, [])
    assert run_command("audit", "verify").exit_code == 0
    found = sa.select(AuditEvent.details).where(AuditEvent.action == "rollback.accept")
    assert db.session.scalars(found).all() == [
        {"why": "rolled_back", "reason": "Backup of Monday restored."}
    ]
    refuse(team, 1)
    assert write_checkpoint() == 4
    assert run_command("audit", "verify").exit_code == 0


def test_tampered_checkpoints_are_noticed_and_a_cut_off_one_is_not_one(team, folder, run_command):
    for _ in range(3):
        refuse(team, 1)
        write_checkpoint()
    [path] = folder.iterdir()
    whole = path.read_text()
    one, two, three = whole.splitlines(keepends=True)
    forged = three.replace('"number": 3', '"number": 4')
    for text, at_start in (
        (one + two + forged, ["checkpoint_broken"]),
        (one + three, []),
        (two + one + three, []),
        (one.replace('"number": 1', '"number": 7') + two + three, []),
    ):
        path.write_text(text)
        assert codes() == at_start
        assert run_command("audit", "verify").stderr.startswith("checkpoints: "), text
    path.write_text(one + two + three[:40])
    assert codes() == []
    refuse(team, 1)
    assert write_checkpoint() == 3
    assert run_command("audit", "verify").exit_code == 0
    path.write_text(one + two + forged)
    assert run_command("audit", "accept-rollback", "--reason", "Written over.").exit_code == 0
    assert run_command("audit", "verify").exit_code == 0
    assert path.stat().st_mode & 0o077 == 0 or folder.stat().st_mode & 0o077 == 0
