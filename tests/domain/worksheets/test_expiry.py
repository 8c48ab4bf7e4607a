"""Unreadable uploads expire unless they were sent to the coach."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.worksheets.models import WorksheetUpload
from caseapp.domain.worksheets.operations import (
    save_answers,
    send_upload,
    store_upload,
)
from caseapp.domain.worksheets.queries import get_shared_worksheet, lock_worksheet
from caseapp.domain.worksheets.schemas import UPLOAD_RETENTION
from caseapp.jobs.expired_uploads import delete_expired_uploads

pytestmark = pytest.mark.both

SCAN = b"%PDF-1.7 a scan"


def keep(client, ago):
    with at(now() - ago), transaction():
        return store_upload(client, lock_worksheet(client, 1), SCAN, "no_form")


def upload_ids():
    db.session.rollback()
    return set(db.session.scalars(sa.select(WorksheetUpload.id)))


def test_expired_uploads_are_deleted_and_newer_ones_kept(client):
    old, young = keep(client, UPLOAD_RETENTION), keep(client, UPLOAD_RETENTION - timedelta(hours=1))
    assert upload_ids() == {old, young}
    assert delete_expired_uploads() == 1
    assert upload_ids() == {young}
    assert delete_expired_uploads() == 0
    with at(now() + timedelta(hours=1)):
        assert delete_expired_uploads() == 1
    assert upload_ids() == set()


def test_sent_upload_does_not_expire(team, assigned, client):
    sent = keep(client, timedelta(days=80))
    with transaction():
        send_upload(client, lock_worksheet(client, 1), sent)
    with at(now() + timedelta(days=400)):
        assert delete_expired_uploads() == 0
    assert [file.id for file in get_shared_worksheet(team["coach"], assigned[1]).uploads] == [sent]


def test_expired_upload_of_withdrawn_worksheet_is_deleted(team, assigned, client):
    keep(client, UPLOAD_RETENTION)
    with transaction():
        withdraw(team["coach"], lock_assignment(team["coach"], assigned[1]), 1)
    assert delete_expired_uploads() == 1
    assert upload_ids() == set()


def test_answers_do_not_expire(client):
    with at(now() - 10 * UPLOAD_RETENTION), transaction():
        save_answers(client, lock_worksheet(client, 1), {"what_happened": "Rang."}, 0)
    assert delete_expired_uploads() == 0
    assert db.session.scalar(sa.text("SELECT count(*) FROM worksheet_response")) == 1


def test_expired_upload_is_audited_without_content(assigned, client):
    keep(client, UPLOAD_RETENTION)
    delete_expired_uploads()
    query = sa.text(
        "SELECT actor_id, object_id, client_id, details FROM audit_event "
        "WHERE action = 'portal.write' ORDER BY occurred_at DESC, id DESC LIMIT 1"
    ).columns(actor_id=sa.Uuid(), object_id=sa.Uuid(), client_id=sa.Uuid(), details=sa.JSON())
    row = db.session.execute(query).one()
    assert row == (operator().id, assigned[1], client.id, {"answers": "upload_expired"})


def test_expiry_task_runs_every_hour(app, client):
    keep(client, UPLOAD_RETENTION)
    db.session.remove()
    tasks = {task.name: task for task in app.extensions["queue"]._registry.periodic_tasks}  # noqa: SLF001
    sweep = tasks["sweep_expired"]
    hours = [sweep.validate_datetime(now().replace(minute=minute)) for minute in range(60)]
    assert hours.count(True) == 1
    sweep.execute()
    assert upload_ids() == set()
