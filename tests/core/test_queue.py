"""What the worker does by the queue: a task for each row that is stored, and others at their minutes."""

from __future__ import annotations

import os
import time

import pytest

from caseapp.core import pdf_cache, runtime
from tests.core.test_outbox import Handler, enqueue, row

DAY_SECONDS = 24 * 3600


@pytest.fixture
def queue(app):
    found = app.extensions["queue"]
    found.flush()
    yield found
    found.flush()


@pytest.fixture
def handler(monkeypatch):
    found = Handler()
    monkeypatch.setitem(runtime.current().outbox_handlers, "test", found)
    return found


def run_periodic_task(queue, name):
    """Run a task as the worker does at its minute."""
    [task] = [task for task in queue._registry.periodic_tasks if task.name == name]  # noqa: SLF001
    task.execute()


def test_stored_row_is_delivered_by_the_task_that_was_queued_for_it(queue, handler):
    row_id = enqueue()
    assert handler.delivered == []
    queue.execute(queue.dequeue())
    assert handler.delivered == [(row_id, {"n": 1})]
    assert row(row_id).delivered_at is not None
    assert queue.pending_count() == 0


def test_row_whose_task_was_lost_is_delivered_by_the_sweep(queue, handler):
    row_id = enqueue()
    queue.flush()
    run_periodic_task(queue, "sweep")
    assert handler.delivered == [(row_id, {"n": 1})]


def test_pdfs_that_are_old_are_deleted_each_hour(queue, app):
    folder = pdf_cache._cache_dir() / "old files"  # noqa: SLF001
    folder.mkdir(parents=True, exist_ok=True)
    old, young = (folder / f"{name}{pdf_cache.PLAIN_SUFFIX}" for name in ("old", "young"))
    for file in (old, young):
        file.write_bytes(b"%PDF")
    long_ago = time.time() - (pdf_cache.CACHE_DAYS + 1) * DAY_SECONDS
    os.utime(old, (long_ago, long_ago))
    run_periodic_task(queue, "sweep_pdfs")
    assert [file.name for file in folder.iterdir()] == [young.name]
    young.unlink()
