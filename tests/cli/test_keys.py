from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.core import settings, vault
from caseapp.core.actor import operator
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.keys.models import ClientKey
from tests.support import builders, staff

pytestmark = pytest.mark.both

NEW = bytes(range(100, 132))


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
