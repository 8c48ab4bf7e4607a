"""The case report on paper: totals with bar charts, and no number small enough to point at somebody.

Reunions and good partings stand side by side, small cells are kept back, and no success rate is worked out. Content
map, section (g), "Reporting caution".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.templating import render_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

SMALLEST_SHOWN = 5
FEW = f"fewer than {SMALLEST_SHOWN}"
KEPT_BACK = "kept back"


@dataclass(frozen=True)
class Cell:
    """Be one line of a table; `count` is None where the number is not told, and `words` say so."""

    label: str
    count: int | None
    words: str


@dataclass(frozen=True)
class Table:
    """Be one table with its chart; its cells add up to all cases of the report."""

    title: str
    cells: tuple[Cell, ...]

    @property
    def largest(self) -> int:
        """Give the longest bar's number."""
        return max((cell.count or 0 for cell in self.cells), default=0)


def table(title: str, counts: Sequence[tuple[str, int]], *, to_share: bool) -> Table:
    """Make a table; in one to share, small cells are kept back so that the total does not give them away.

    A cell under five reads "fewer than 5". When all the hidden cells together are still under five, subtraction would
    tell them, so the smallest shown cell is kept back too.
    """
    if not to_share:
        return Table(title, tuple(Cell(label, count, f"{count:,}") for label, count in counts))
    told: list[int | None] = [count if count >= SMALLEST_SHOWN else None for _, count in counts]
    hidden = sum(count for (_, count), shown in zip(counts, told, strict=True) if shown is None)
    if 0 < hidden < SMALLEST_SHOWN and any(shown is not None for shown in told):
        _, smallest = min((shown, at) for at, shown in enumerate(told) if shown is not None)
        told[smallest] = None
    return Table(
        title,
        tuple(
            Cell(label, shown, _words(count, shown))
            for (label, count), shown in zip(counts, told, strict=True)
        ),
    )


def _words(count: int, shown: int | None) -> str:
    if shown is not None:
        return f"{shown:,}"
    return FEW if count < SMALLEST_SHOWN else KEPT_BACK


def total_words(count: int, *, to_share: bool) -> str:
    """Write the number of all cases; in a report to share, not when it is small itself."""
    return FEW if to_share and count < SMALLEST_SHOWN else f"{count:,}"


def long_day(day: date) -> str:
    """Write a date in full."""
    return f"{day.day} {day:%B %Y}"


def page(values: dict[str, object]) -> str:
    """Fill the report's page."""
    return render_text("pdf/case_report.html", {**values, "long_day": long_day})
