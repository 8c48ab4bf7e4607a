"""Keyset pagination: a page starts after the last row of the previous one, at the same cost however deep."""

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
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
U = TypeVar("U")
Columns = TypeVarTuple("Columns")

PAGE_SIZE = 25
LARGEST_PAGE = 200
UNKNOWN_CURSOR = {"cursor": ["Use the cursor from the previous page, unchanged."]}


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items and the cursor of the next page, or None at the end."""

    items: list[T]
    next: str | None

    def map(self, convert: Callable[[T], U]) -> Page[U]:
        """Convert every item, keeping the cursor."""
        return Page([convert(item) for item in self.items], self.next)


def read_all(read_page: Callable[[str | None], Page[T]]) -> list[T]:
    """Read all pages of a list, for a command, which prints it as a whole; `read_page` reads the one after a cursor."""
    page = read_page(None)
    found = [*page.items]
    while page.next:
        page = read_page(page.next)
        found += page.items
    return found


def page_newest_first(
    query: sa.Select[*Columns],
    moment: Any,  # noqa: ANN401 - a column of any kind of row
    key: Any,  # noqa: ANN401
    cursor: str | None,
    limit: int,
) -> sa.Select[*Columns]:
    """Order newest first by (moment, key), start after `cursor` and select one row more than `limit`.

    Raises Invalid for a cursor that this application did not create.
    """
    query = query.order_by(moment.desc(), key.desc()).limit(literal_limit(limit + 1))
    if cursor:
        query = query.where(
            sa.tuple_(moment, key) < sa.tuple_(*_bound(parse_cursor(cursor), moment, key))
        )
    return query


def page_soonest_first(
    query: sa.Select[*Columns],
    moment: Any,  # noqa: ANN401 - a column of any kind of row
    key: Any,  # noqa: ANN401
    cursor: str | None,
    limit: int,
) -> sa.Select[*Columns]:
    """Order soonest first by (moment, key), start after `cursor` and select one row more than `limit`.

    Raises Invalid for a cursor that this application did not create.
    """
    query = query.order_by(moment, key).limit(literal_limit(limit + 1))
    if cursor:
        query = query.where(
            sa.tuple_(moment, key) > sa.tuple_(*_bound(parse_cursor(cursor), moment, key))
        )
    return query


def newest_before(
    query: sa.Select[*Columns],
    moment: Any,  # noqa: ANN401 - a column of any kind of row
    key: Any,  # noqa: ANN401
    position: tuple[datetime, UUID] | None,
    limit: int,
) -> sa.Select[*Columns]:
    """Order newest first by (moment, key) and select at most `limit` rows before `position`; None is the start."""
    query = query.order_by(moment.desc(), key.desc()).limit(literal_limit(limit))
    if position is None:
        return query
    return query.where(sa.tuple_(moment, key) < sa.tuple_(*_bound(position, moment, key)))


@dataclass(frozen=True)
class Window:
    """A part of a list that is ordered newest first: at most `rows` rows before a position; None is the start.

    With `since`, no row is earlier than that.
    """

    before: tuple[datetime, UUID] | None
    rows: int
    since: datetime | None = None

    def select(
        self,
        moment: Any,  # noqa: ANN401 - a column of any kind of row
        key: Any,  # noqa: ANN401
        *where: sa.ColumnElement[bool],
    ) -> sa.Select[UUID]:
        """Select the keys of these rows among those that meet some conditions."""
        return self.narrow(sa.select(key).where(*where), moment, key)

    def narrow(
        self,
        query: sa.Select[*Columns],
        moment: Any,  # noqa: ANN401 - a column of any kind of row
        key: Any,  # noqa: ANN401
    ) -> sa.Select[*Columns]:
        """Narrow a query to these rows, newest first."""
        if self.since is not None:
            query = query.where(moment >= sa.literal(self.since, moment.type))
        return newest_before(query, moment, key, self.before, self.rows)

    def pick(self, items: Iterable[T], position: Callable[[T], tuple[datetime, UUID]]) -> list[T]:
        """Pick these rows among items that hold at least them, in any order."""
        found = (
            item
            for item in items
            if (self.before is None or position(item) < self.before)
            and (self.since is None or position(item)[0] >= self.since)
        )
        return sorted(found, key=position, reverse=True)[: self.rows]

    def make_page(
        self, items: Iterable[T], position: Callable[[T], tuple[datetime, UUID]]
    ) -> Page[T]:
        """Make the page of a window that `page_window` gave, from items that hold at least its rows."""
        return make_page(self.pick(items, position), self.rows - 1, position)


def page_window(cursor: str | None, limit: int) -> Window:
    """Return the window of a page, one row longer than the page.

    Raises Invalid for a cursor that this application did not create.
    """
    return Window(parse_cursor(cursor) if cursor else None, limit + 1)


def in_any(key: Any, *windows: sa.Select[UUID]) -> sa.ColumnElement[bool]:  # noqa: ANN401 - a column
    """Build the condition that a row is in at least one of several windows, so that one statement reads them all."""
    ids = sa.union_all(*(sa.select(window.subquery().c[0]) for window in windows))
    found: sa.ColumnElement[bool] = key.in_(ids if len(windows) > 1 else windows[0])
    return found


def page_in_memory(
    items: Iterable[T],
    key: Callable[[T], tuple[str | int, ...]],
    cursor: str | None,
    limit: int,
) -> Page[T]:
    """Page a list that is in memory as a whole; `key` orders its items and differs for each.

    A page starts after the key of the last item of the previous one, even if that item is gone by then. Raises Invalid
    for a cursor that this application did not create.
    """
    rows = sorted(items, key=key)
    if cursor:
        last = tuple(_decode(cursor))
        if rows and [*map(type, last)] != [*map(type, key(rows[0]))]:
            raise Invalid(UNKNOWN_CURSOR)
        rows = [item for item in rows if key(item) > last]
    shown = rows[:limit]
    return Page(shown, _encode(key(shown[-1])) if len(rows) > limit else None)


def literal_limit(number: int) -> sa.ColumnElement[int]:
    """Inline a number of rows into the statement: with a bound LIMIT PostgreSQL plans it anew each time."""
    return sa.literal_column(str(int(number)), sa.Integer)


def make_page(
    rows: Sequence[T], limit: int, position: Callable[[T], tuple[datetime, UUID]]
) -> Page[T]:
    """Cut off the extra row and make the next cursor from the position of the last row shown."""
    shown = list(rows[:limit])
    more = len(rows) > limit
    return Page(shown, make_cursor(*position(shown[-1])) if more else None)


def make_cursor(moment: datetime, key: UUID) -> str:
    """Encode a position as an opaque string for a URL."""
    return _encode([moment.isoformat(), key.hex])


def parse_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Decode a position.

    Raises Invalid when the string was not made by `make_cursor`.
    """
    try:
        moment, key = _decode(cursor)
        at, row = datetime.fromisoformat(moment), UUID(hex=key)
        zoned = at.tzinfo is not None
        at = at.astimezone(UTC)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise Invalid(UNKNOWN_CURSOR) from error
    if not zoned:
        raise Invalid(UNKNOWN_CURSOR)
    return at, row


def _encode(position: Sequence[str | int]) -> str:
    text = json.dumps(position, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> list[Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError, binascii.Error) as error:
        raise Invalid(UNKNOWN_CURSOR) from error
    if not isinstance(found, list):
        raise Invalid(UNKNOWN_CURSOR)
    return found


def _bound(position: tuple[datetime, UUID], moment: Any, key: Any) -> tuple[Any, Any]:  # noqa: ANN401
    at, row = position
    return sa.literal(at, moment.type), sa.literal(row, key.type)
