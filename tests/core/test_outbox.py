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


class Work:
    """Note each delivery and fail for as long as it is told to."""

    def __init__(self):
        self.done, self.failing = [], False

    def __call__(self, row_id, payload):
        if self.failing:
            raise ConnectionError("Ines Okafor")
        self.done.append((row_id, payload))


@pytest.fixture
def work(monkeypatch):
    found = Work()
    monkeypatch.setitem(runtime.current().outbox_handlers, "test", found)
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    return found


def enqueue(kind="test"):
    with transaction():
        return outbox.enqueue(kind, {"n": 1})


def row(row_id):
    db.session.rollback()
    return db.session.get(OutboxRow, row_id, populate_existing=True)


def test_a_row_is_handed_over_once_it_is_on_disk(app, work):
    handed: list = []
    outbox.set_dispatcher(lambda row_id: handed.append((row_id, row(row_id) is not None)))
    row_id = enqueue()
    assert handed == [(row_id, True)]


def test_a_rollback_hands_nothing_over(app, work):
    handed: list = []
    outbox.set_dispatcher(handed.append)
    with pytest.raises(LookupError), transaction():
        row_id = outbox.enqueue("test", {})
        raise LookupError
    assert handed == []
    assert row(row_id) is None


def test_a_queue_out_of_reach_fails_no_change_and_the_sweep_takes_the_row_up(app, work):
    def unreachable(row_id):
        raise OSError

    outbox.set_dispatcher(unreachable)
    row_id = enqueue()
    assert outbox.sweep() == 1
    assert work.done == [(row_id, {"n": 1})]


def test_what_is_done_is_never_done_again(app, work):
    row_id = enqueue()
    assert outbox.deliver(row_id)
    assert outbox.deliver(row_id)
    assert outbox.sweep() == 0
    assert len(work.done) == 1
    assert row(row_id).delivered_at is not None


def test_a_fault_waits_twice_as_long_each_time_up_to_an_hour(app, work, logged):
    work.failing = True
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


def test_after_the_last_try_a_person_has_to_look(app, work):
    work.failing = True
    moment = NOON
    with at(moment):
        row_id = enqueue()
    for _ in range(MAX_ATTEMPTS):
        with at(moment):
            outbox.deliver(row_id)
        moment += timedelta(hours=2)
    work.failing = False
    with at(moment):
        assert not outbox.deliver(row_id)
        assert outbox.sweep() == 0
    assert row(row_id).attempts == MAX_ATTEMPTS
    assert work.done == []


def test_a_kind_that_nobody_does_is_put_off_and_the_others_go_on(app, work):
    strange, usual = enqueue("strange"), enqueue()
    assert outbox.sweep() == 1
    assert row(strange).attempts == 1
    assert row(usual).delivered_at is not None


def test_a_row_that_is_not_there_is_no_work(app, work):
    assert outbox.deliver(new_id())
    assert work.done == []
