from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.core import settings, vault
from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit import verifier
from caseapp.domain.audit.chain import line_of
from caseapp.domain.audit.checkpoints import list_rollback_faults, write_checkpoint
from caseapp.domain.audit.models import STREAMS, AuditEvent
from caseapp.domain.audit.operations import record_refusal
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.audit.tombstones import list_tombstone_faults, read_tombstones
from caseapp.domain.audit.verifier import verify_export
from caseapp.domain.erasure.operations import erase_record, request_erasure
from caseapp.domain.erasure.queries import lock_erasure, lock_record_of
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import load_ring
from caseapp.domain.notes.queries import get_note
from tests.support import builders, staff
from tests.support.copies import Copy

pytestmark = pytest.mark.both

NEW = bytes(range(100, 132))


@pytest.fixture
def folder(app, tmp_path):
    """Keep checkpoints and tombstones of this test apart."""
    before = settings.active()
    settings.use(replace(before, checkpoint_dir=tmp_path / "checkpoints"))
    yield tmp_path / "checkpoints"
    settings.use(before)


@pytest.fixture
def new_vault_key(app):
    """List a new vault key before the one that the database knows."""
    before = settings.active()
    builders.case(staff.add("coach"))
    settings.use(replace(before, vault_keys=(NEW, *before.vault_keys)))
    yield
    settings.use(before)


def test_keys_status_counts_what_each_vault_key_wraps(new_vault_key, run_command):
    new, old = vault.vault_key_ids()
    done = run_command("keys", "status")
    assert done.exit_code == 0, done.output
    assert f"Vault key {new} (wraps new keys): wraps 0 client keys and 0 keys" in done.output
    assert f"Vault key {old}: wraps 1 client keys and 13 keys" in done.output
    assert "drafts 1: created" in done.output


def test_keys_rotate_leaves_nothing_under_the_old_key(new_vault_key, run_command):
    new = vault.wrapping_key_id()
    done = run_command("keys", "rotate")
    assert done.exit_code == 0, done.output
    assert f"14 keys were wrapped under vault key {new}." in done.output
    assert "can be removed" in done.output
    assert run_command("keys", "check").output.startswith("1 client keys and 13 keys")
    assert "0 keys were wrapped" in run_command("keys", "rotate").output
    [event] = list_audit_events(operator(), AuditFilter(action=Action.KEY_ROTATE), None, 9).items
    assert event.details == {"vault_key": new, "keys": 14}


def test_keys_check_names_a_client_whose_key_does_not_open(new_vault_key, run_command):
    with transaction() as session:
        client_id = session.scalar(sa.select(ClientKey.client_id))
        session.execute(sa.update(ClientKey).values(wrapped=b"changed"))
    done = run_command("keys", "check")
    assert done.exit_code == 1
    assert f"The key of client {client_id} can’t be opened." in done.stderr
    assert "Run: caseapp keys check" in run_command("keys", "rotate").stderr


def test_keys_of_log_and_signatures_are_renewed_and_what_is_under_the_earlier_ones_stays_valid(
    team, folder, run_command, tmp_path
):
    """Nobody can write behind a new key under the one before; an auditor verifies a closed period with its key."""

    def run(*arguments, code=0):
        done = run_command(*arguments)
        assert done.exit_code == code, done.output
        return done.output

    coach = team["coach"]
    note_id = builders.note(coach, builders.case(coach).case_id)
    write_checkpoint()
    assert "Renew it first" in run("keys", "reveal", "1", code=1)
    run("keys", "reveal", "7", code=1)
    assert run("keys", "renew", "audit").startswith("audit 2 is in use.")
    assert run("keys", "renew", "signatures").startswith("signatures 2 is in use.")
    assert "audit 1: created" in (status := run("keys", "status"))
    assert status.count(", retired") == 2
    record_refusal(coach, "case.edit", "case", None, {})
    write_checkpoint()
    assert get_note(coach, note_id).is_as_signed
    assert list_rollback_faults() == []
    rows = [
        *db.session.execute(
            sa.select(AuditEvent.stream, AuditEvent.ring_number, AuditEvent.action)
            .where(AuditEvent.stream.is_not(None))
            .order_by(AuditEvent.stream, AuditEvent.seq)
        )
    ]
    for stream in range(STREAMS):
        numbers = [row.ring_number for row in rows if row.stream == stream]
        assert numbers == sorted(numbers)
        begin = next(row for row in rows if (row.stream, row.ring_number) == (stream, 2))
        assert begin.action == "key.renew"
    revealed = run("keys", "reveal", "1").strip()
    secret = bytes.fromhex(revealed.partition(":")[2])

    # An auditor computes the MACs of the closed period; a wrong key finds the first event wrong.
    file = tmp_path / "log.jsonl"
    run("audit", "export", "-o", str(file))
    lines = file.read_bytes().splitlines(keepends=True)
    found = verify_export(lines, None, {1: secret})
    assert found.faults == []
    assert found.computed == sum(row.ring_number == 1 for row in rows) > 0
    assert {*found.public_keys} == {1, 2}
    assert {fault.kind for fault in verify_export(lines, None, {1: bytes(32)}).faults} == {
        "changed"
    }
    assert verifier.main([str(file), "--log-key", revealed]) == 0

    # With it they write behind the new key, and are found.
    last = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.stream == 3).order_by(AuditEvent.seq.desc())
    ).first()
    forged = {c.key: getattr(last, c.key) for c in sa.inspect(AuditEvent).columns}
    forged |= {"id": new_id(), "seq": last.seq + 1, "ring_number": 1, "dedup_key": None}
    forged["mac"] = verifier.mac_of(secret, last.mac, line_of(forged))
    with transaction() as session:
        session.execute(sa.insert(AuditEvent).values(forged))
    refused = run("audit", "verify", code=1)
    assert f"closed: Stream 3, event {forged['seq']} was added by somebody" in refused


def test_database_from_before_a_renewal_reads_the_list_of_erased_records_and_says_what_to_do(
    team, folder, run_command, tmp_path
):
    coach, admin = team["coach"], team["admin"]
    record_refusal(coach, "case.edit", "case", None, {})
    write_checkpoint()
    copy = Copy(tmp_path)
    assert run_command("keys", "renew", "signatures").exit_code == 0
    made = builders.client(coach, "Ines Okafor")
    with transaction():
        erasure_id = request_erasure(coach, lock_record_of(coach, made), "client")
    with transaction():
        erase_record(admin, lock_erasure(admin, erasure_id))
    write_checkpoint()
    [line] = read_tombstones()
    assert {*line["signatures"]} == {"1", "2"}
    copy.restore()
    load_ring()
    assert read_tombstones() == [line]
    [fault] = list_rollback_faults()
    assert fault.code == "checkpoint_unknown_key"
    assert "signed with key 2, which isn’t known" in fault.message
    assert "accept-rollback" in fault.way_out
    assert list_tombstone_faults() == []
    # One that is signed with nothing that this database has, as in a folder of another installation.
    path = folder / "erasures.jsonl"
    path.write_text(f"{json.dumps(line | {'signatures': {'9': 'ab' * 64}})}\n")
    assert [fault.code for fault in list_tombstone_faults()] == ["tombstone_unknown_key"]
    path.write_text(f"{json.dumps(line | {'at': 'x'})}\n")
    assert [fault.code for fault in list_tombstone_faults()] == ["tombstone_broken"]
    accepted = run_command("audit", "accept-rollback", "--reason", "Backup of Monday restored.")
    assert accepted.exit_code == 0
    assert list_rollback_faults() == []
