"""Wrapping everything under a new vault key while others read, and after being killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.core import settings, vault
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.keys import operations
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.operations import rewrap_client_keys, rewrap_ring
from caseapp.domain.keys.queries import (
    count_wrapped_keys,
    get_client_key,
    get_ring_key,
    list_broken_client_keys,
    load_ring,
)
from caseapp.domain.models import METADATA
from tests.support import builders, staff
from tests.support.depth import times

pytestmark = pytest.mark.both

NEW = bytes(range(100, 132))
CLIENTS = times(300)


@pytest.fixture
def two_keys(app):
    """Give a practice with clients whose application has just been started with a new vault key before the old one."""
    before = settings.active()
    made = builders.case(staff.add("coach"))
    settings.use(replace(before, vault_keys=(NEW, *before.vault_keys)))
    yield made
    settings.use(before)


def rotate():
    """Wrap everything, a transaction for each batch, as the command does."""
    with transaction():
        done = rewrap_ring()
    last = None
    while True:
        with transaction():
            batch = rewrap_client_keys(last)
        if batch is None:
            return done
        done, last = done + batch.rewrapped, batch.last_client_id


def add_clients(number):
    """Copy the client until there are as many more, each with a key under the vault key in use."""
    row = dict(db.session.execute(sa.select(METADATA.tables["client"])).mappings().first())
    ids = [new_id() for _ in range(number)]
    with transaction() as session:
        session.execute(sa.insert(METADATA.tables["client"]), [row | {"id": one} for one in ids])
        session.execute(
            sa.insert(METADATA.tables["client_key"]),
            [
                {
                    "client_id": one,
                    "wrapped": vault.new_wrapped_key(one),
                    "wrapped_by": vault.wrapping_key_id(),
                }
                for one in ids
            ],
        )
    return ids


def wrapped_by():
    found = count_wrapped_keys()
    return {*found.client_keys, *found.ring_keys}


def test_rotation_wraps_everything_under_the_first_key_and_changes_no_key(two_keys):
    key, drafts = get_client_key(two_keys.client_id), get_ring_key("drafts")
    assert rotate() == 14
    assert wrapped_by() == {vault.wrapping_key_id()}
    settings.use(replace(settings.active(), vault_keys=(NEW,)))
    load_ring()
    assert (get_client_key(two_keys.client_id), get_ring_key("drafts")) == (key, drafts)
    assert rotate() == 0


def test_rotation_leaves_a_key_alone_that_does_not_open(two_keys):
    [other] = add_clients(1)
    with transaction() as session:
        session.execute(
            sa.update(ClientKey)
            .where(ClientKey.client_id == other)
            .values(wrapped=b"changed", wrapped_by=vault.vault_key_ids()[1])
        )
    assert list_broken_client_keys() == [other]
    assert rotate() == 14
    assert wrapped_by() == {*vault.vault_key_ids()}


def test_rotation_in_small_batches_reaches_every_client(two_keys, monkeypatch):
    new = settings.active().vault_keys
    settings.use(replace(settings.active(), vault_keys=new[1:]))
    add_clients(7)
    settings.use(replace(settings.active(), vault_keys=new))
    monkeypatch.setattr(operations, "BATCH_SIZE", 3)
    assert rotate() == 21
    assert wrapped_by() == {vault.wrapping_key_id()}


ROTATE = """
import os, sys
from caseapp.core.settings import load_settings
from caseapp.core.transaction import transaction
from caseapp.domain.keys import operations
from caseapp.factory import create_app

operations.BATCH_SIZE = 50
with create_app(load_settings(os.environ)).app_context():
    with transaction():
        operations.rewrap_ring()
    last = None
    while True:
        with transaction():
            batch = operations.rewrap_client_keys(last)
            print("batch", flush=True)
        if batch is None:
            break
        last = batch.last_client_id
print("done", flush=True)
"""


@pytest.mark.fault
@pytest.mark.soak
def test_rotation_that_is_killed_leaves_every_key_open_to_readers_and_is_run_again(
    app, two_keys, database_url, tmp_path
):
    listed = settings.active().vault_keys
    settings.use(replace(settings.active(), vault_keys=listed[1:]))
    ids = add_clients(CLIENTS)
    secrets = {one: get_client_key(one).secret for one in ids}
    settings.use(replace(settings.active(), vault_keys=listed))
    db.session.remove()
    for name, key in (("new", NEW), ("old", listed[1])):
        (tmp_path / name).write_bytes(key)
        (tmp_path / name).chmod(0o600)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CASEAPP_")}
    environ |= {
        "CASEAPP_ENV": "test",
        "CASEAPP_DATA_DIR": str(tmp_path / "data"),
        "CASEAPP_DATABASE_URL": database_url.render_as_string(hide_password=False),
        "CASEAPP_VAULT_KEY_FILE": f"{tmp_path / 'new'}:{tmp_path / 'old'}",
    }
    stop, batch, opened, wrong = threading.Event(), threading.Semaphore(0), [], []

    def read_on():
        """Read many keys once for each batch, while the next one is under way."""
        with app.app_context():
            while batch.acquire() and not stop.is_set():
                for one in ids[:: max(1, len(ids) // 200)]:
                    try:
                        same = get_client_key(one).secret == secrets[one]
                    except Exception as fault:  # noqa: BLE001 - counted
                        same = False
                        wrong.append(repr(fault))
                    opened.append(same)
                    db.session.rollback()

    reader = threading.Thread(target=read_on)
    reader.start()
    rounds, finished = 0, False
    while not finished and rounds < 50:
        with subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", ROTATE], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
        ) as process:
            for number, line in enumerate(process.stdout):
                batch.release()
                finished = line == "done\n"
                # Each round dies a little later, always with a batch under way.
                if number == 2 + 7 * rounds:
                    process.kill()
                    break
        rounds += 1
    stop.set()
    batch.release()
    reader.join()
    assert finished
    assert rounds > 1
    assert opened
    assert wrong == []
    assert all(opened)
    assert wrapped_by() == {vault.wrapping_key_id()}
    assert all(get_client_key(one).secret == secrets[one] for one in ids)
