from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.actor import operator
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.pagination import Page, make_cursor, make_page, page_newest_first, parse_cursor
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import record

pytestmark = pytest.mark.both(every_set=True)

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


def written(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(
    st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
    st.uuids(),
)
def test_cursor_round_trips(moment, minutes, key):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    cursor = make_cursor(moment, key)
    assert parse_cursor(cursor) == (moment, key)
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!!",
        "ünï",
        "\x00",
        "A" * 5000,
        written(5),
        written(None),
        written([]),
        written({"a": 1, "b": 2}),
        written(["2026-05-14T12:00:00", UUID(int=1).hex]),
        written(["2026-05-14T12:00:00+00:00", 5]),
        written(["2026-05-14T12:00:00+00:00", "no id"]),
        written([5, UUID(int=1).hex]),
        written(["0001-01-01T00:00:00+14:00", UUID(int=1).hex]),
        written(["9999-12-31T23:59:59-14:00", UUID(int=1).hex]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_unknown_cursor_is_refused(cursor):
    with pytest.raises(Invalid) as refused:
        parse_cursor(cursor)
    assert list(refused.value.fields) == ["cursor"]


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_paging_sees_every_row_once(app, size):
    for step in range(5):
        with at(NOON + timedelta(minutes=step)), transaction():
            for _ in range(4):
                record(operator(), Action.PRACTICE_EDIT, "walk")
    seen, cursor, pages = [], None, 0
    while True:
        query = sa.select(AuditEvent.occurred_at, AuditEvent.id).where(
            AuditEvent.object_kind == "walk"
        )
        rows = db.session.execute(
            page_newest_first(query, AuditEvent.occurred_at, AuditEvent.id, cursor, size)
        ).all()
        page = make_page(rows, size, lambda row: (row.occurred_at, row.id))
        assert len(page.items) <= size
        seen += page.items
        pages += 1
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len({row.id for row in seen}) == 20
    assert seen == sorted(seen, reverse=True)
    assert pages == -(-20 // size)


def test_page_map_keeps_the_cursor():
    assert Page([1, 2], "c").map(str) == Page(["1", "2"], "c")
