"""The log against its checkpoints: an earlier database is noticed, refused, and accepted in one way; its export."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.cli import installation_checks, serve
from caseapp.cli.check_result import FAULT
from caseapp.cli.context import CommandContext
from caseapp.core import settings
from caseapp.core.actor import Actor, operator
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.permissions import Role
from caseapp.domain.audit import verifier
from caseapp.domain.audit.checkpoints import list_rollback_faults, write_checkpoint
from caseapp.domain.audit.models import STREAMS, AuditEvent
from caseapp.domain.audit.operations import record_refusal
from caseapp.domain.audit.signing import sign
from caseapp.domain.audit.stored_log_verification import verify_log
from caseapp.domain.audit.verifier import verify_export
from caseapp.domain.users.queries import list_users
from tests.domain.audit.test_chain import add_all_kinds, take_guards_off
from tests.support.owner import owner_connection


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
    # The first one is followed by one with the event which says that there are checkpoints now.
    assert [write_checkpoint() for _ in range(3)] == [1, 2, None]
    before = db.session.scalar(sa.select(AuditEvent.id).order_by(AuditEvent.id.desc()))
    refuse(team, 2)
    assert write_checkpoint() == 3
    assert codes() == []
    assert run_command("audit", "verify").exit_code == 0
    assert run_command("audit", "accept-rollback", "--reason", "Nothing happened.").exit_code == 1
    with owner_connection() as connection:
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
    assert write_checkpoint() == 5
    assert run_command("audit", "verify").exit_code == 0


def test_missing_checkpoints_are_noticed(team, folder, run_command):
    """Nothing starts, and nothing begins anew, until somebody accepts it."""
    assert codes() == []
    assert write_checkpoint() == 1
    [path] = folder.iterdir()
    path.rename(folder / "elsewhere")
    refuse(team, 1)
    assert codes() == ["checkpoints_missing"]
    assert write_checkpoint() is None
    assert run_command("audit", "verify").stderr == "checkpoints: All checkpoints are missing.\n"
    for arguments in (["worker"], ["serve"]):
        refused = run_command(*arguments)
        assert (refused.exit_code, "there are none in" in refused.stderr) == (1, True), arguments
    accepted = run_command("audit", "accept-rollback", "--reason", "The disk was exchanged.")
    assert (accepted.exit_code, codes()) == (0, [])
    assert run_command("audit", "verify").exit_code == 0


@pytest.mark.slow
def test_no_demo_is_created_beside_checkpoints_of_another_database(app, folder, data_dir):
    """The server says what the worker says, before it creates anything."""
    record_refusal(operator(), "case.edit", "case", None, {})
    assert write_checkpoint() == 1
    [path] = folder.iterdir()
    names = ("number", "at", "accepted", "hashes", "previous", "kind")
    kept = {name: value for name, value in json.loads(path.read_text()).items() if name in names}
    path.write_text(f"{json.dumps(sign(kept | {'ends': {'3': [9, 'ab' * 32]}}))}\n")
    environ = {"CASEAPP_ENV": "demo", "CASEAPP_DATA_DIR": str(data_dir)}
    with pytest.raises(RuleBroken, match="is older than checkpoint"):
        serve._prepare(CommandContext(lambda _settings: app, environ))  # noqa: SLF001
    assert list_users() == []


# What is done to the events 1 to 5 of a stream in an export, of which one checkpoint names two and another one three.
TAMPERINGS = (
    (lambda e: [*e[:2], e[2].replace(b"case.edit", b"case.read"), *e[3:]], "unlike", (3, 5)),
    (lambda e: e[:2] + e[3:], "missing", (3,)),
    (lambda e: e[1:], "missing", (1,)),
    (lambda e: e[:4] + e[3:], "inserted", (5,)),
    (lambda e: [*e[:2], e[3], e[2], *e[4:]], "order", (3,)),
    (lambda e: e[:-1], "missing", (5,)),
)


@pytest.mark.both
@pytest.mark.process
def test_export_is_verified_by_one_file_without_the_installation(
    team, folder, run_command, tmp_path
):
    add_all_kinds(team)
    write_checkpoint()
    stream = (operator().id.int + 1) % STREAMS
    stranger = Actor(UUID(int=STREAMS + stream), Role.COACH, "", "web")
    known = verify_log().ends.get(str(stream), (0,))[0]
    file = tmp_path / "log.jsonl"

    def export():
        db.session.rollback()
        done = run_command("audit", "export", "-o", str(file))
        assert done.exit_code == 0
        return done.stderr.split()[-1], file.read_bytes().splitlines(keepends=True)

    def faults(lines, key=None):
        found = verify_export(lines, None if key is None else [bytes.fromhex(key)])
        return [(fault.kind, fault.place) for fault in found.faults]

    for times in (2, 3):
        for _ in range(times):
            record_refusal(stranger, "case.edit", "case", None, {})
        key, whole = export()
    program = [sys.executable, "-I", verifier.__file__, str(file)]
    done = subprocess.run([*program, "--key", key], capture_output=True, text=True, check=False)  # noqa: S603
    count = len(re.findall(rb'"kind": "event"', b"".join(whole)))
    opened = map(json.loads, json.loads(whole[0])["checkpoints"])
    vouching = [f"{found['number']} of {found['at']} UTC" for found in opened]
    assert done.stdout.splitlines() == [
        f"{count} events are unchanged since they were exported.",
        f"Compared with checkpoints {vouching[0]} to {vouching[-1]}.",
        f"Checkpoints cover {count} of {count} events.",
    ]
    assert done.returncode == 0
    assert b'"kind": "list"' in b"".join(whole)
    [shown, *_] = [place for place, line in enumerate(whole) if b'"kind": "list"' in line]
    moved = json.loads(whole[shown]) | {"at": "1999-01-01 00:00:00.000000"}
    found = faults([*whole[:shown], f"{json.dumps(moved)}\n".encode(), *whole[shown + 1 :]])
    event = f"A client in the list of event {moved['event']}"
    assert found == [("file", "The file"), ("changed", event)]
    assert "-----" not in "".join(map(str, whole)), "no secret key"

    own = [place for place, line in enumerate(whole) if f'"stream": "{stream}"'.encode() in line]
    first = own[-5]
    before, events, after = whole[:first], whole[first : own[-1] + 1], whole[own[-1] + 1 :]
    for tamper, kind, numbers in TAMPERINGS:
        named = " to ".join(str(known + number) for number in numbers)
        place = f"Stream {stream}, event{'s' * (len(numbers) - 1)} {named}"
        assert faults(before + tamper(events) + after) == [("file", "The file"), (kind, place)]
    for lines in (whole[:-1], [*whole, whole[-1]], [*whole[:-1], whole[1], whole[-1]], [], [b"x"]):
        assert faults(lines)[0] == ("file", "The file")
    start = json.loads(whole[0])
    for removed in ({"checkpoints": start["checkpoints"][::-1]}, {"public_keys": {"1": "ab" * 32}}):
        found = faults([f"{json.dumps(start | removed)}\n".encode(), *whole[1:]])
        assert {("file", "The file"), ("checkpoint", "A checkpoint")} <= {*found}
    assert faults(whole, "cd" * 32) == [("key", "The file")]
    assert verifier.main([str(file), "--key", "cd" * 32]) == 1

    # The owner of the database changes it, and then it is exported.
    with owner_connection() as connection:
        take_guards_off(connection)
        connection.exec_driver_sql(
            f"UPDATE audit_event SET action = 'x' WHERE stream = {stream} AND seq = {known + 4}"
        )
    assert faults(export()[1]) == [
        ("unlike", f"Stream {stream}, events {known + 3} to {known + 5}")
    ]
    with owner_connection() as connection:
        connection.exec_driver_sql(
            f"DELETE FROM audit_event WHERE stream = {stream} AND seq > {known + 2}"
        )
    assert faults(export()[1]) == [("missing", f"Stream {stream}, event {known + 3}")]
    nothing = run_command("audit", "export", "--until", "2000-01-01").stdout.splitlines()
    assert len(nothing) == 2


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
    for broken in (b"\n", b"\xff\xfe\n"):
        path.write_bytes(whole.encode() + broken)
        refuse(team, 1)
        assert (codes(), write_checkpoint()) == (["checkpoint_broken"], None)
        refused = run_command("audit", "verify")
        assert (refused.stdout, refused.stderr) == ("", "checkpoints: A checkpoint was changed.\n")
    path.write_text(one + two + three[:40])
    assert codes() == []
    refuse(team, 1)
    assert write_checkpoint() == 3
    assert run_command("audit", "verify").exit_code == 0
    path.write_text(one + two + forged)
    assert run_command("audit", "accept-rollback", "--reason", "Written over.").exit_code == 0
    assert run_command("audit", "verify").exit_code == 0
    assert path.stat().st_mode & 0o077 == 0 or folder.stat().st_mode & 0o077 == 0


def test_clock_that_goes_back_over_the_end_of_a_month_breaks_no_checkpoints(
    team, folder, run_command
):
    compared = "Not compared with any checkpoint."
    assert run_command("audit", "verify").stdout.splitlines()[0] == compared
    start = datetime(2026, 12, 1, tzinfo=UTC)
    for number, seconds in enumerate((0, -1, 60), 1):
        with at(start + timedelta(seconds=seconds)):
            refuse(team, 1)
            assert write_checkpoint() == number
    [path] = folder.iterdir()
    assert path.name == "checkpoints-2026-12.jsonl"
    found = run_command("audit", "verify")
    compared = (
        "Compared with checkpoints 1 of 2026-12-01 00:00:00 UTC to 3 of 2026-12-01 00:01:00 UTC."
    )
    assert (found.exit_code, found.stdout.splitlines()[0]) == (0, compared)
