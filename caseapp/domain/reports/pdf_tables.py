"""Tables of the case report as PDF: totals with bar charts, without numbers small enough to identify someone.

Reunions and good partings are listed side by side, small numbers are withheld, and no success rate is calculated.
Content map, section (g), "Reporting caution".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.templating import render_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

MIN_SHOWN = 5
FEW = f"fewer than {MIN_SHOWN}"
WITHHELD = "withheld"


@dataclass(frozen=True)
class Row:
    """A row of a table; `count` is None where the number is withheld, and `text` is what is printed."""

    label: str
    count: int | None
    text: str


@dataclass(frozen=True)
class Table:
    """A table with its chart; its rows add up to all cases of the report."""

    title: str
    rows: tuple[Row, ...]

    @property
    def largest(self) -> int:
        """Return the largest number shown."""
        return max((row.count or 0 for row in self.rows), default=0)


def build_table(title: str, counts: Sequence[tuple[str, int]], *, to_share: bool) -> Table:
    """Build a table; in a report to share, withhold small numbers in a way that the total does not reveal them.

    A number under five reads "fewer than 5". When all withheld numbers together are still under five, subtraction would
    reveal them, so the smallest shown number is withheld too.
    """
    if not to_share:
        return Table(title, tuple(Row(label, count, f"{count:,}") for label, count in counts))
    shown_counts: list[int | None] = [count if count >= MIN_SHOWN else None for _, count in counts]
    hidden = sum(
        count for (_, count), shown in zip(counts, shown_counts, strict=True) if shown is None
    )
    if 0 < hidden < MIN_SHOWN and any(shown is not None for shown in shown_counts):
        _, smallest = min(
            (shown, index) for index, shown in enumerate(shown_counts) if shown is not None
        )
        shown_counts[smallest] = None
    return Table(
        title,
        tuple(
            Row(label, shown, _format_count(count, shown))
            for (label, count), shown in zip(counts, shown_counts, strict=True)
        ),
    )


def _format_count(count: int, shown: int | None) -> str:
    if shown is not None:
        return f"{shown:,}"
    return FEW if count < MIN_SHOWN else WITHHELD


def format_total(count: int, *, to_share: bool) -> str:
    """Format the total; in a report to share, withhold it when it is small."""
    return FEW if to_share and count < MIN_SHOWN else f"{count:,}"


def format_sessions(sessions: int, minutes: int, cases: int, *, to_share: bool) -> str:
    """Format how many sessions the cases had, and their minutes; in a report to share, withhold them where few."""
    if to_share and min(sessions, cases) < MIN_SHOWN:
        return WITHHELD
    return f"{sessions:,} {'session' if sessions == 1 else 'sessions'} with {minutes:,} minutes"


def format_filed(filed: int, cases: int, *, to_share: bool) -> str:
    """Format how many of the sessions have a note that its author never signed; empty where there are none."""
    if not filed:
        return ""
    return WITHHELD if to_share and min(filed, cases) < MIN_SHOWN else f"{filed:,}"


def format_missed(no_shows: int, cancelled: int, cases: int, *, to_share: bool) -> str:
    """Format how many sessions were missed and cancelled; in a report to share, withhold each number where few."""
    return ", ".join(
        f"{label} {WITHHELD if to_share and min(number, cases) < MIN_SHOWN else f'{number:,}'}"
        for label, number in (("no-shows", no_shows), ("cancelled", cancelled))
    )


def format_date(day: date) -> str:
    """Format a date in full."""
    return f"{day.day} {day:%B %Y}"


def render_page(values: dict[str, object]) -> str:
    """Render the report's page as HTML."""
    return render_text("pdf/case_report.html", {**values, "format_date": format_date})
