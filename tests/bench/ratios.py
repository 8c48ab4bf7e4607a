"""Ratios instead of milliseconds: both targets take turns, so that a slow machine slows both."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WARM_UP_CALLS = 15


@dataclass(frozen=True)
class Ratio:
    """The time of one target divided by that of another: the median over the rounds, and the range.

    `undisturbed` compares the fastest tenth of each side, which is more accurate on a busy machine.
    """

    what: str
    ratio: float
    least: float
    most: float
    undisturbed: float
    base_ms: float
    ms: float
    at_most: float | None = None
    unit: str = "ms"

    @property
    def over(self) -> bool:
        """Return whether the ratio exceeds its limit."""
        return self.at_most is not None and self.ratio > self.at_most

    @property
    def line(self) -> str:
        """Return the result as one line of text."""
        limit = f"  (at most {self.at_most:g})" if self.at_most else ""
        result = "" if self.at_most is None else "  OVER" if self.over else "  ok"
        return (
            f"{self.what:<70} {self.ratio:5.2f}x [{self.least:.2f}-{self.most:.2f}]  "
            f"undisturbed {self.undisturbed:.2f}x  {self.base_ms:6.2f} -> {self.ms:6.2f} {self.unit}{limit}{result}"
        )

    def as_dict(self) -> dict[str, object]:
        """Return the result as plain data."""
        return asdict(self)


def compare(
    what: str,
    base: Callable[[], object],
    other: Callable[[], object],
    *,
    rounds: int,
    each: int,
    at_most: float | None = None,
) -> Ratio:
    """Call two targets in turns, `each` times per round, and compare the medians of each round."""
    for call in (base, other):
        for _ in range(WARM_UP_CALLS):
            call()
    turns: dict[Callable[[], object], list[list[float]]] = {base: [], other: []}
    for number in range(rounds):
        # The order changes every round.
        for call in (base, other) if number % 2 == 0 else (other, base):
            turns[call].append([_timed(call) for _ in range(each)])
    first, second = ([*map(statistics.median, turns[call])] for call in (base, other))
    ratios = [two / one for one, two in zip(first, second, strict=True)]
    quick = [_fastest(turns[call]) for call in (base, other)]
    return Ratio(
        what=what,
        ratio=statistics.median(ratios),
        least=min(ratios),
        most=max(ratios),
        undisturbed=quick[1] / quick[0],
        base_ms=1000 * statistics.median(first),
        ms=1000 * statistics.median(second),
        at_most=at_most,
    )


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _fastest(turns: Iterable[list[float]]) -> float:
    """Return the median of the fastest tenth."""
    times = sorted(chain.from_iterable(turns))
    return statistics.median(times[: max(1, len(times) // 10)])
