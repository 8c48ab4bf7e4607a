"""What a trend says in words: one sentence about what changed, and its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.domain.screening.protocol import ITEMS, ITEMS_BY_KEY, LEVEL_LABELS, Level
from caseapp.http.template_helpers import local, today

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Blueprint

    from caseapp.domain.dashboard.trend import Change, ItemTrend, Mark, Trend
    from caseapp.domain.screening.records import ScreeningRecord

MARK_LABELS = {
    "session": "Session",
    "handout": "Handout assigned",
    "safety": "Safety hold",
    "care": "Care hold",
}


def trend_date(moment: datetime) -> str:
    """Format a date as `3 May`, with its year unless it is the current one."""
    found = local(moment).date()
    year = "" if found.year == today().year else f" {found.year}"
    return f"{found.day} {found:%b}{year}"


def describe_trend(trend: Trend) -> list[str]:
    """Say whether things get better: what got worse and what better since when, and that nothing else changed."""
    if len(trend.screenings) == 1:
        return ["One screening so far. After the next one, this shows what has changed."]
    since = trend_date(trend.begins_at)
    if not trend.changes:
        if not trend.items:
            return [f"Every answer has been None since {since}."]
        return [f"Nothing has changed since {since}."]
    parts = [
        f"{word}: {'; '.join(map(_describe_change, changes))}."
        for word, is_worse in (("Worse", True), ("Better", False))
        if (changes := [change for change in trend.changes if change.is_worse is is_worse])
    ]
    return [*parts, "Nothing else has changed."]


def _describe_change(change: Change) -> str:
    before, after = (LEVEL_LABELS[Level(level)] for level in (change.before, change.after))
    label = ITEMS_BY_KEY[change.item].label
    return f"{label}, from {before} to {after} since {trend_date(change.since)}"


def describe_item_trend(item: ItemTrend) -> str:
    """Say what was answered to an item on which day, for whoever can’t see the chart."""
    answers = (
        f"{LEVEL_LABELS[Level(found.level)]} on {trend_date(found.asked_at)}"
        for found in item.answers
    )
    return f"{ITEMS_BY_KEY[item.item].label}: {', '.join(answers)}"


def list_trend_rows(trend: Trend) -> list[tuple[str, str]]:
    """List everything that a trend shows as dates and texts, the newest first."""
    rows = [(one.session_at, _describe_screening(one)) for one in trend.screenings]
    for mark in trend.marks:
        label = MARK_LABELS[mark.kind]
        if mark.kind in {"safety", "care"}:
            rows.append((mark.begins_at, f"{label} opened"))
            if mark.until:
                rows.append((mark.until, f"{label} released"))
        else:
            rows.append((mark.begins_at, f"{label}: {mark.title}" if mark.title else label))
    rows.sort(key=lambda row: row[0], reverse=True)
    return [(trend_date(moment), text) for moment, text in rows]


def _describe_screening(screening: ScreeningRecord) -> str:
    """List the items of each level from watch on and those not asked; of the others their number is enough."""
    by_level: dict[int | None, list[str]] = {}
    for item in ITEMS:
        by_level.setdefault(screening.levels[item.key], []).append(item.label)
    parts = [
        f"{LEVEL_LABELS[level]}: {', '.join(by_level[level])}"
        for level in reversed(Level)
        if level in by_level and level > Level.NONE
    ]
    if calm := by_level.get(Level.NONE):
        answers = "every answer" if len(calm) == len(ITEMS) else f"{len(calm)} answers"
        parts.append(f"None: {answers}" if len(calm) > 1 else f"None: {calm[0]}")
    if None in by_level:
        parts.append(f"Not asked: {', '.join(by_level[None])}")
    return f"Screening. {'; '.join(parts)}"


def list_mark_lanes(trend: Trend) -> list[tuple[str, str, list[Mark]]]:
    """List the rows of marks below a trend that have any: their key, what they are called, and the marks."""
    lanes = (
        ("hold", "Holds", ("safety", "care")),
        ("session", "Sessions", ("session",)),
        ("handout", "Handouts", ("handout",)),
    )
    found = [
        (key, label, [mark for mark in trend.marks if mark.kind in kinds])
        for key, label, kinds in lanes
    ]
    return [lane for lane in found if lane[2]]


def register_template_globals(blueprint: Blueprint) -> None:
    """Make these functions available to every staff template."""
    for function in (
        describe_trend,
        describe_item_trend,
        list_trend_rows,
        list_mark_lanes,
        trend_date,
    ):
        blueprint.add_app_template_global(function)
