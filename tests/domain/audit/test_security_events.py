from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from caseapp.core.clock import at
from caseapp.core.transaction import transaction
from caseapp.domain.audit import security_events
from caseapp.domain.audit.security_events import (
    Burst,
    WrongPins,
    count_event,
    delete_old_events,
    get_wrong_pins,
    list_bursts,
)
from tests.support.concurrency import run_concurrently

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
WHO, CLIENT = uuid4(), uuid4()


@pytest.mark.both
def test_events_of_an_hour_are_one_row_and_bursts_are_listed(app):
    with at(NOON):
        run_concurrently(app, 4, lambda _: count_event("password", WHO))
        for _ in range(300):
            count_event("token")
        for _ in range(19):
            count_event("refused", WHO)
    with at(NOON + timedelta(minutes=59)):
        count_event("password", WHO)
    with at(NOON + timedelta(minutes=61)):
        count_event("password", WHO)
        for _ in range(6):
            count_event("pin", CLIENT)
        assert list_bursts() == [
            Burst("pin", None, 6, NOON + timedelta(minutes=61)),
            Burst("password", WHO, 5, NOON + timedelta(minutes=59)),
            Burst("token", None, 300, NOON),
        ]
        count_event("start_code", CLIENT)
        assert get_wrong_pins(CLIENT) == WrongPins(7, NOON + timedelta(minutes=61))
        assert get_wrong_pins(WHO) == WrongPins(0, None)
    with at(NOON + timedelta(days=31)):
        assert list_bursts() == []
        assert get_wrong_pins(CLIENT).times == 0


def test_old_events_are_deleted(app, monkeypatch):
    with at(NOON):
        count_event("pin", CLIENT)
    monkeypatch.setattr(security_events, "SHOWN_FOR", timedelta(days=1000))
    for days, times in ((90, 1), (91, 0)):
        with at(NOON + timedelta(days=days)):
            with transaction():
                delete_old_events()
            assert get_wrong_pins(CLIENT).times == times
