from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
import time_machine

from caseapp.core import clock, settings
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.domain.practice.models import Practice

pytestmark = pytest.mark.both

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


def test_now_returns_the_real_time_in_utc():
    with time_machine.travel(NOON, tick=False):
        assert clock.now() == NOON
    assert clock.now().tzinfo is UTC


def test_at_changes_now_within_its_block(session_app):
    with clock.at(NOON):
        with clock.at(NOON.astimezone(timezone(timedelta(hours=5))) + timedelta(days=1)):
            assert clock.now() == NOON + timedelta(days=1)
            assert clock.now().tzinfo is UTC
        assert clock.now() == NOON
    assert clock.now() > NOON


def test_at_is_refused_in_production(session_app):
    before = settings.active()
    settings.use(replace(before, env="production"))
    try:
        with pytest.raises(RuntimeError, match="production"), clock.at(NOON):
            pass
    finally:
        settings.use(before)


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Europe/London", 14), ("Pacific/Auckland", 15), ("America/Los_Angeles", 14)],
)
def test_today_is_the_date_in_the_zone(session_app, zone, day):
    with clock.at(NOON + timedelta(hours=3)):
        assert clock.today(zone).day == day


def test_today_changes_at_local_midnight(session_app):
    with clock.at(datetime(2026, 5, 14, 23, 30, tzinfo=UTC)):
        assert clock.today("Europe/London").day == 15


def test_datetimes_are_stored_in_utc(app):
    abroad = NOON.astimezone(timezone(timedelta(hours=-7)))
    with transaction():
        db.session.execute(sa.update(Practice).values(updated_at=abroad))
    found = db.session.scalar(sa.select(Practice.updated_at))
    assert found == NOON
    assert found.tzinfo is UTC
    assert db.session.scalar(sa.select(Practice.id).where(Practice.updated_at == NOON)) == 1


def test_naive_datetime_is_refused(app):
    with pytest.raises(sa.exc.StatementError, match="time zone"), transaction():
        db.session.execute(sa.update(Practice).values(updated_at=NOON.replace(tzinfo=None)))


def test_ids_sort_by_creation_time():
    made = [new_id() for _ in range(200)]
    assert made == sorted(made)
    assert len(set(made)) == 200
