from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from caseapp.core import outbox, runtime
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.outbox import MAX_ATTEMPTS, MAX_RETRY_DELAY, OutboxRow
from caseapp.core.transaction import transaction

pytestmark = pytest.mark.both

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


class Handler:
    """A handler that records each delivery and fails while `failing` is set."""

    def __init__(self):
        self.delivered, self.failing = [], False

    def __call__(self, row_id, payload):
        if self.failing:
            raise ConnectionError("Ines Okafor")
        self.delivered.append((row_id, payload))


@pytest.fixture
def handler(monkeypatch):
    found = Handler()
    monkeypatch.setitem(runtime.current().outbox_handlers, "test", found)
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    return found


def enqueue(kind="test"):
    with transaction():
        return outbox.enqueue(kind, {"n": 1})


def row(row_id):
    db.session.rollback()
    return db.session.get(OutboxRow, row_id, populate_existing=True)


def test_row_is_dispatched_after_the_commit(app, handler):
    dispatched: list = []
    outbox.set_dispatcher(lambda row_id: dispatched.append((row_id, row(row_id) is not None)))
    row_id = enqueue()
    assert dispatched == [(row_id, True)]


def test_rollback_dispatches_nothing(app, handler):
    dispatched: list = []
    outbox.set_dispatcher(dispatched.append)
    with pytest.raises(LookupError), transaction():
        row_id = outbox.enqueue("test", {})
        raise LookupError
    assert dispatched == []
    assert row(row_id) is None


def test_unreachable_queue_fails_no_change_and_sweep_delivers_the_row(app, handler):
    def unreachable(row_id):
        raise OSError

    outbox.set_dispatcher(unreachable)
    row_id = enqueue()
    assert outbox.sweep() == 1
    assert handler.delivered == [(row_id, {"n": 1})]


def test_delivered_row_is_not_delivered_again(app, handler):
    row_id = enqueue()
    assert outbox.deliver(row_id)
    assert outbox.deliver(row_id)
    assert outbox.sweep() == 0
    assert len(handler.delivered) == 1
    assert row(row_id).delivered_at is not None


def test_error_doubles_the_delay_up_to_an_hour(app, handler, logged):
    handler.failing = True
    moment, waits = NOON, []
    with at(moment):
        row_id = enqueue()
    for attempts in range(1, MAX_ATTEMPTS + 1):
        with at(moment):
            assert not outbox.deliver(row_id)
            found = row(row_id)
            assert found.attempts == attempts
            waits.append(found.next_attempt_at - moment)
            assert not outbox.deliver(row_id)
            assert row(row_id).attempts == attempts
            moment = found.next_attempt_at
    assert waits[:4] == [timedelta(seconds=15 * 2**n) for n in range(4)]
    assert waits == sorted(waits)
    assert waits[-1] == MAX_RETRY_DELAY
    lines = logged()
    assert "outbox.put_off" in lines
    assert "Okafor" not in lines


def test_row_is_not_retried_after_the_last_attempt(app, handler):
    handler.failing = True
    moment = NOON
    with at(moment):
        row_id = enqueue()
    for _ in range(MAX_ATTEMPTS):
        with at(moment):
            outbox.deliver(row_id)
        moment += timedelta(hours=2)
    handler.failing = False
    with at(moment):
        assert not outbox.deliver(row_id)
        assert outbox.sweep() == 0
    assert row(row_id).attempts == MAX_ATTEMPTS
    assert handler.delivered == []


def test_unknown_kind_is_postponed_and_others_are_delivered(app, handler):
    strange, usual = enqueue("strange"), enqueue()
    assert outbox.sweep() == 1
    assert row(strange).attempts == 1
    assert row(usual).delivered_at is not None


def test_missing_row_counts_as_delivered(app, handler):
    assert outbox.deliver(new_id())
    assert handler.delivered == []
