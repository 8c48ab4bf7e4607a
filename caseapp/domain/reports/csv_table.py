"""The case report as CSV: its columns and rows.

Content map, section (g): coded values only. Free text, names, restricted facts, flags and the levels of the three
safety questions have no column, so they can't be included by mistake.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caseapp.domain.cases.facts import FACTS
from caseapp.domain.keys.queries import fingerprint
from caseapp.domain.screening.protocol import ITEMS, Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from uuid import UUID

BYTE_ORDER_MARK = "\ufeff"
# A spreadsheet reads a cell with such a beginning as a formula; the last four are the full-width forms.
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
LINES_PER_CHUNK = 200
EXPORTED_FACTS = tuple(
    fact for fact in FACTS if fact.exported and not fact.restricted and fact.kind != "text"
)
EXPORTED_ITEMS = tuple(item for item in ITEMS if not item.safety)


@dataclass(frozen=True)
class ReportRow:
    """A case in the report."""

    number: str
    opened_on: date
    closed_on: date | None
    coach: str
    status: str
    stage: str
    goal: str
    goal_chosen_on: date | None
    review_date: date | None
    outcome: str | None
    close_reason: str | None
    final_screening: str | None
    follow_up_on: date | None
    facts: dict[str, Any]
    stages: tuple[tuple[date, str], ...]
    levels: dict[str, tuple[tuple[date, int], ...]]
    care_holds: int
    safety_holds: int
    handouts_assigned: int
    handouts_read: int
    sessions: int
    session_minutes: int
    sessions_filed_unsigned: int
    no_shows: int
    cancelled_sessions: int


COLUMNS = (
    "case_number",
    "opened_on",
    "closed_on",
    "coach",
    "status",
    "stage",
    "stage_history",
    "goal",
    "goal_chosen_on",
    "review_date",
    *(fact.name for fact in EXPORTED_FACTS),
    *(f"{item.key}_levels" for item in EXPORTED_ITEMS),
    "care_holds",
    "safety_holds",
    "handouts_assigned",
    "handouts_read",
    "sessions",
    "session_minutes",
    "sessions_filed_unsigned",
    "no_shows",
    "cancelled_sessions",
    "outcome",
    "close_reason",
    "final_screening",
    "follow_up_on",
)


def coach_code(user_id: UUID) -> str:
    """Return the code of a coach in reports: always the same, and not derived from the name."""
    return f"K-{fingerprint('coach', user_id.hex)[:6].upper()}"


def row_cells(row: ReportRow) -> list[str]:
    """Return a row's values in the order of `COLUMNS`; several values in one cell are separated by a space."""
    return [
        escape_cell(value)
        for value in (
            row.number,
            row.opened_on,
            row.closed_on,
            row.coach,
            row.status,
            row.stage,
            [f"{day}:{stage}" for day, stage in row.stages],
            row.goal,
            row.goal_chosen_on,
            row.review_date,
            *(row.facts.get(fact.name) for fact in EXPORTED_FACTS),
            *(
                [
                    f"{day}:{Level(level).name.lower()}"
                    for day, level in row.levels.get(item.key, ())
                ]
                for item in EXPORTED_ITEMS
            ),
            row.care_holds,
            row.safety_holds,
            row.handouts_assigned,
            row.handouts_read,
            row.sessions,
            row.session_minutes,
            row.sessions_filed_unsigned,
            row.no_shows,
            row.cancelled_sessions,
            row.outcome,
            row.close_reason,
            row.final_screening,
            row.follow_up_on,
        )
    ]


def escape_cell(value: object) -> str:
    """Return a value as text that no spreadsheet reads as a formula."""
    if value is None:
        return ""
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = text.replace("\0", "")
    is_formula = text.startswith(FORMULA_PREFIXES) or text.lstrip().startswith(FORMULA_PREFIXES)
    return f"'{text}" if is_formula else text


def write_csv(rows: Iterable[ReportRow]) -> Iterator[bytes]:
    """Write rows as CSV (RFC 4180, UTF-8 with a byte-order mark), in chunks of LINES_PER_CHUNK lines."""
    text = io.StringIO(newline="")
    text.write(BYTE_ORDER_MARK)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for count, row in enumerate(rows, start=1):
        writer.writerow(row_cells(row))
        if count % LINES_PER_CHUNK == 0:
            yield _drain(text)
    yield _drain(text)


def _drain(text: io.StringIO) -> bytes:
    found = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return found
