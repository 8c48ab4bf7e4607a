"""Keyset paging: a page starts after the last row of the one before, however deep."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple
from uuid import UUID

import sqlalchemy as sa

from caseapp.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
U = TypeVar("U")
Columns = TypeVarTuple("Columns")

PAGE_SIZE = 25
LARGEST_PAGE = 200
NOT_OURS = {"cursor": ["Use the cursor of the page before, unchanged."]}


@dataclass(frozen=True)
class Page(Generic[T]):
    """Hold some rows and the cursor of the next page, or None at the end."""

    items: list[T]
    next: str | None

    def map(self, make: Callable[[T], U]) -> Page[U]:
        """Turn every item into something else, keeping the cursor."""
        return Page([make(item) for item in self.items], self.next)


def after(
    query: sa.Select[*Columns],
    moment: Any,  # noqa: ANN401 - a column of any kind of row
    key: Any,  # noqa: ANN401
    cursor: str | None,
    limit: int,
) -> sa.Select[*Columns]:
    """Order newest first by (moment, key), start after `cursor`, take one row more than `limit`.

    Raises Invalid for a cursor that this app did not make.
    """
    query = query.order_by(moment.desc(), key.desc()).limit(at_most(limit + 1))
    if cursor:
        query = query.where(sa.tuple_(moment, key) < sa.tuple_(*_bound(cursor, moment, key)))
    return query


def ahead(
    query: sa.Select[*Columns],
    moment: Any,  # noqa: ANN401 - a column of any kind of row
    key: Any,  # noqa: ANN401
    cursor: str | None,
    limit: int,
) -> sa.Select[*Columns]:
    """Order soonest first by (moment, key), start after `cursor`, take one row more than `limit`.

    Raises Invalid for a cursor that this app did not make.
    """
    query = query.order_by(moment, key).limit(at_most(limit + 1))
    if cursor:
        query = query.where(sa.tuple_(moment, key) > sa.tuple_(*_bound(cursor, moment, key)))
    return query


def at_most(number: int) -> sa.ColumnElement[int]:
    """Write a number of rows into the statement itself: for one that is left open PostgreSQL plans anew each time."""
    return sa.literal_column(str(int(number)), sa.Integer)


def page_of(
    rows: Sequence[T], limit: int, position: Callable[[T], tuple[datetime, UUID]]
) -> Page[T]:
    """Cut the extra row off and turn the last row's position into the next cursor."""
    shown = list(rows[:limit])
    more = len(rows) > limit
    return Page(shown, cursor_of(*position(shown[-1])) if more else None)


def cursor_of(moment: datetime, key: UUID) -> str:
    """Write a position as an opaque text that fits into a URL."""
    return (
        base64.urlsafe_b64encode(json.dumps([moment.isoformat(), key.hex]).encode())
        .decode()
        .rstrip("=")
    )


def read_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Read a position back.

    Raises Invalid when the text was not made by `cursor_of`.
    """
    try:
        moment, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        at, row = datetime.fromisoformat(moment), UUID(hex=key)
        zoned = at.tzinfo is not None
        at = at.astimezone(UTC)
    except (
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        binascii.Error,
    ) as error:
        raise Invalid(NOT_OURS) from error
    if not zoned:
        raise Invalid(NOT_OURS)
    return at, row


def _bound(cursor: str, moment: Any, key: Any) -> tuple[Any, Any]:  # noqa: ANN401
    at, row = read_cursor(cursor)
    return sa.literal(at, moment.type), sa.literal(row, key.type)
