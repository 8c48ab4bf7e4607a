"""Ratios, not milliseconds: targets take turns, A B A B, so that what slows the machine slows them all."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WARM = 15


@dataclass(frozen=True)
class Ratio:
    """Hold how often one target's time the other one took: the median over the rounds, and the range."""

    what: str
    ratio: float
    least: float
    most: float
    base_ms: float
    ms: float
    at_most: float | None = None
    unit: str = "ms"

    @property
    def line(self) -> str:
        """Say it in one line."""
        wanted = f"  (at most {self.at_most:g})" if self.at_most else ""
        verdict = "" if self.at_most is None else "  ok" if self.ratio <= self.at_most else "  OVER"
        return (
            f"{self.what:<66} {self.ratio:5.2f}x [{self.least:.2f}-{self.most:.2f}]"
            f"  {self.base_ms:6.2f} -> {self.ms:6.2f} {self.unit}{wanted}{verdict}"
        )

    def plain(self) -> dict[str, object]:
        """Give it as plain data."""
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
    """Let two targets take turns and compare their medians round by round."""
    for call in (base, other):
        for _ in range(WARM):
            call()
    medians: list[tuple[float, float]] = []
    for number in range(rounds):
        # Who goes first changes too.
        order = (base, other) if number % 2 == 0 else (other, base)
        found = {call: _median(call, each) for call in order}
        medians.append((found[base], found[other]))
    ratios = [second / first for first, second in medians]
    return Ratio(
        what,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        1000 * statistics.median(first for first, _ in medians),
        1000 * statistics.median(second for _, second in medians),
        at_most,
    )


def _median(call: Callable[[], object], each: int) -> float:
    times = []
    for _ in range(each):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
