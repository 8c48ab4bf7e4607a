"""The key ring at the start of an application: created once, kept in memory, refused under a wrong vault key."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.core import runtime, settings, vault
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.search import list_clients
from caseapp.domain.keys.models import KeyRing
from caseapp.domain.keys.operations import open_ring
from caseapp.domain.keys.purposes import ONCE_DERIVED, PURPOSES
from caseapp.domain.keys.queries import (
    fingerprint,
    get_client_key,
    get_ring_key,
    list_ring,
    load_ring,
)
from tests.support import builders, staff
from tests.support.concurrency import run_concurrently
from tests.support.ring import add_key

pytestmark = pytest.mark.both

OTHER_VAULT_KEY = bytes(range(100, 132))


@contextmanager
def vault_keys(*keys):
    """Run a block as an application that was started with these vault keys."""
    before = settings.active()
    settings.use(replace(before, vault_keys=keys))
    try:
        yield
    finally:
        settings.use(before)


def empty_ring():
    """Leave a database as a release before the key ring did."""
    with transaction() as session:
        session.execute(sa.delete(KeyRing))
    runtime.current().ring = {}


@contextmanager
def statements():
    """Collect the statements of a block."""
    found = []

    def collect(_connection, _cursor, statement, *_more):
        found.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", collect)
    yield found
    sa.event.remove(db.engine, "before_cursor_execute", collect)


def test_new_installation_has_a_random_key_for_each_purpose(app):
    empty_ring()
    open_ring()
    assert {item.purpose for item in list_ring()} == {*PURPOSES}
    secrets = {get_ring_key(purpose).secret for purpose in PURPOSES}
    assert len(secrets) == len(PURPOSES)
    assert not secrets & {
        vault.derived_fingerprint_key(kind, vault.wrapping_key_id()) for kind in ONCE_DERIVED
    }


def test_upgrade_keeps_the_derived_keys_so_that_hashes_are_found(app):
    coach = staff.add("coach")
    made = builders.case(coach, email="ines@example.test")
    empty_ring()
    open_ring()
    derived = vault.derived_fingerprint_key("email", vault.wrapping_key_id())
    assert get_ring_key("fingerprint_email").secret == derived
    with transaction() as session:
        session.execute(
            sa.update(Client).values(email_hash=fingerprint("email", "ines@example.test"))
        )
    [found] = list_clients(coach, "ines@example.test", None, 5).items
    assert found.id == made.client_id


def test_upgrade_with_a_new_vault_key_listed_first_derives_from_the_old_one(app):
    builders.case(staff.add("coach"))
    [old] = settings.active().vault_keys
    derived = vault.derived_fingerprint_key("email", vault.wrapping_key_id())
    empty_ring()
    with vault_keys(OTHER_VAULT_KEY, old):
        open_ring()
        assert get_ring_key("fingerprint_email").secret == derived
        assert {item.wrapped_by for item in list_ring()} == {vault.wrapping_key_id()}


def test_fingerprint_has_the_stored_form(app):
    """Pin the stored form: changing it would hide every client from searches by email and phone."""
    key = replace(get_ring_key("fingerprint_email"), secret=bytes(range(32)))
    runtime.current().ring["fingerprint_email", None] = key
    assert fingerprint("email", "ines@example.test") == "f3fgcwya4rx64anyzvvlelvrgm"
    assert fingerprint("phone", "1") != fingerprint("name", "1")


def test_several_starts_at_once_agree_on_one_ring(app):
    empty_ring()

    def start(_number):
        open_ring()
        return dict(runtime.current().ring)

    found = run_concurrently(app, 4, start)
    load_ring()
    assert len(list_ring()) == len(PURPOSES)
    assert [ring for ring in found if ring != runtime.current().ring] == []


def test_second_start_changes_nothing(app):
    before = list_ring()
    open_ring()
    assert list_ring() == before


def test_start_with_another_vault_key_is_refused_and_changes_nothing(app):
    builders.case(staff.add("coach"))
    before = list_ring()
    with vault_keys(OTHER_VAULT_KEY), pytest.raises(RuleBroken, match="is not listed") as refused:
        open_ring()
    [reason] = refused.value.reasons
    assert reason.code == "wrong_vault_key"
    assert "It wraps 1 client keys and 13 keys of the installation" in reason.message
    assert list_ring() == before


def test_start_with_another_vault_key_before_the_first_ring_is_refused(app):
    builders.case(staff.add("coach"))
    empty_ring()
    with vault_keys(OTHER_VAULT_KEY), pytest.raises(RuleBroken, match="is not listed"):
        open_ring()
    assert list_ring() == []


def test_every_listed_vault_key_opens_the_clients(app):
    made = builders.case(staff.add("coach"))
    key = get_client_key(made.client_id)
    with vault_keys(OTHER_VAULT_KEY, *settings.active().vault_keys):
        open_ring()
        assert get_client_key(made.client_id) == key


def test_start_with_a_moved_ring_key_is_refused(app):
    with transaction() as session:
        drafts = session.scalar(sa.select(KeyRing.wrapped).where(KeyRing.purpose == "drafts"))
        session.execute(
            sa.update(KeyRing).where(KeyRing.purpose == "safety").values(wrapped=drafts)
        )
    with pytest.raises(RuleBroken, match="changed or moved"):
        open_ring()


def test_ring_key_is_read_once(app):
    runtime.current().ring = {}
    with statements() as found:
        keys = [get_ring_key("drafts") for _ in range(3)]
        fingerprint("email", "ines@example.test")
    assert len(found) == 1
    assert {key.number for key in keys} == {1}


def test_ring_key_that_another_process_added_is_found_by_its_number(app):
    first = get_ring_key("drafts")
    add_key("drafts", 2)
    assert get_ring_key("drafts", 2).number == 2
    assert get_ring_key("drafts").number == 2
    assert get_ring_key("drafts", 1) == first


def test_retired_ring_key_still_opens_and_is_no_longer_used(app):
    add_key("drafts", 2, retired_at=now())
    load_ring()
    assert get_ring_key("drafts").number == 1
    assert get_ring_key("drafts", 2).number == 2


def test_missing_ring_key_says_what_to_run(app):
    empty_ring()
    with pytest.raises(LookupError, match="caseapp init"):
        get_ring_key("drafts")
