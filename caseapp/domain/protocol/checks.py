"""Checks of the protocol across its rules; the schema checks each rule alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from caseapp.domain.protocol.data import HOLDS, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caseapp.domain.protocol.data import LevelRule, Place, Protocol, Rule, Span

OTHER = "other"
INTERVALS = ("validity", "steady", "late", "sustained", "declined")
UNIT_HOURS = {"hours": 1, "days": 24, "working_days": 24}
Problem = tuple["Place", str]


def list_contradictions(protocol: Protocol) -> list[Problem]:
    """List where rules contradict or miss one another, each with its place in the file."""
    return [
        *_check_history(protocol),
        *_check_versions(protocol),
        *_check_keys(protocol),
        *_check_levels(protocol),
        *_check_actions(protocol),
        *_check_flags(protocol),
        *_check_circumstances(protocol),
    ]


def _check_history(protocol: Protocol) -> Iterator[Problem]:
    versions = [revision.version for revision in protocol.history]
    if versions != [*range(1, protocol.version + 1)]:
        yield ("history",), "List every version from 1 to the current one, the newest last."


def _check_versions(protocol: Protocol) -> Iterator[Problem]:
    for index, item in enumerate(protocol.items):
        if item.since > protocol.version:
            yield ("items", index, "since"), "It must not be a version that is still to come."


def _check_keys(protocol: Protocol) -> Iterator[Problem]:
    items = [item.key for item in protocol.items]
    sections: dict[str, tuple[Sequence[Rule], Sequence[str], Sequence[str]]] = {
        # section: its rules, the keys it must have, and those it may have besides (empty: any)
        "principles": (protocol.principles, (), ()),
        "items": (protocol.items, (), ()),
        "circumstances": (protocol.circumstances, (), ()),
        "levels": (protocol.levels, (), ()),
        "actions": (protocol.actions, (), ()),
        "immediate_steps": (protocol.immediate_steps, (OTHER,), items),
        "flags": (protocol.flags, (), ()),
        "holds": (protocol.holds, HOLDS, HOLDS),
        "intervals": (protocol.intervals, INTERVALS, INTERVALS),
        "actions_taken": (protocol.actions_taken, (), ()),
    }
    for section, (rules, needed, allowed) in sections.items():
        keys = [rule.key for rule in rules]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                yield (section, index, "key"), "Another rule in this list has the same key."
            if allowed and key not in {*needed, *allowed}:
                yield (section, index, "key"), f"Use one of {', '.join((*needed, *allowed))}."
        for key in needed:
            if key not in keys:
                yield (section,), f"There is no rule with the key {key}."


def _check_levels(protocol: Protocol) -> Iterator[Problem]:
    kinds = {action.key for action in protocol.actions}
    for index, rule in enumerate(protocol.levels):
        for kind in rule.actions:
            if kind not in kinds:
                yield ("levels", index, "actions"), f"There is no required action {kind}."
    for group in ("safety", OTHER):
        rules = [rule for rule in protocol.levels if rule.items in {"all", group}]
        for level in Level:
            count = sum(rule.level == level for rule in rules)
            if count != 1:
                name = level.name.lower()
                yield ("levels",), f"{count} rules are for {name} in {group} items; one is needed."
        ordered = sorted(rules, key=lambda rule: rule.level)
        for milder, stricter in pairwise(ordered):
            if _requires_less(stricter, milder):
                place = ("levels", protocol.levels.index(stricter))
                yield place, f"A higher level must not require less than {milder.key}."


def _requires_less(rule: LevelRule, other: LevelRule) -> bool:
    strictness = {None: -1} | {kind: index for index, kind in enumerate(HOLDS)}
    return strictness[rule.hold] < strictness[other.hold] or not {*other.actions} <= {*rule.actions}


def _check_actions(protocol: Protocol) -> Iterator[Problem]:
    for index, action in enumerate(protocol.actions):
        if action.not_before is None:
            continue
        if action.due is None or _count_hours(action.not_before) > _count_hours(action.due):
            yield ("actions", index, "not_before"), "It must not be later than the due time."


def _count_hours(span: Span) -> int:
    """Return the shortest time that a span can take, in hours."""
    return span.amount * UNIT_HOURS[span.unit]


def _check_flags(protocol: Protocol) -> Iterator[Problem]:
    items = {item.key for item in protocol.items}
    for index, flag in enumerate(protocol.flags):
        for item, _ in flag.set_by:
            if item not in items:
                yield ("flags", index, "set_by"), f"There is no item {item}."


def _check_circumstances(protocol: Protocol) -> Iterator[Problem]:
    """Check that circumstances raise known items; both kinds of key are named side by side in stored events."""
    items = {item.key for item in protocol.items}
    for index, circumstance in enumerate(protocol.circumstances):
        if circumstance.key in items:
            yield ("circumstances", index, "key"), "An item has the same key."
        for found in circumstance.raises:
            if found.item not in items:
                yield ("circumstances", index, "raises"), f"There is no item {found.item}."
