from dataclasses import fields
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from caseapp.domain.dashboard.rules import is_overdue_action, order_attention, sort_by_urgency
from caseapp.domain.dashboard.schemas import OpenHold, PortalItem, Today
from caseapp.domain.followups.schemas import FollowUpRecord

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
TASK = object()


def hold(kind, days_ago, *, overdue=False, task=TASK):
    since = NOON - timedelta(days=days_ago)
    return OpenHold(uuid4(), uuid4(), "", "", "", kind, since, since, {}, task, overdue)


PRESSING = [
    hold("safety", 0),
    hold("safety", 0.9, overdue=True),
    hold("safety", 1, overdue=True),
    hold("safety", 30, overdue=True),
    hold("care", 0, overdue=True),
]
CALM = [
    hold("safety", 1),
    hold("safety", 40),
    hold("safety", 3, task=None),
    hold("safety", 31, task=None),
    hold("care", 1),
    hold("care", 0, task=None),
]
ORDERED = PRESSING + CALM


@pytest.mark.parametrize("given", [ORDERED, ORDERED[::-1], ORDERED[4:] + ORDERED[:4]])
def test_holds_are_sorted_by_urgency_not_by_age(given):
    assert sort_by_urgency(given, NOON) == ORDERED


def test_renewed_hold_counts_as_new():
    old, renewed = hold("safety", 5), hold("safety", 60)
    object.__setattr__(renewed, "urgent_since", NOON)
    assert sort_by_urgency([old, renewed], NOON) == [renewed, old]


def portal_item(kind):
    return PortalItem(kind, uuid4(), "", "", "", None, NOON - timedelta(days=9))


EMPTY: dict[str, Any] = dict.fromkeys(each.name for each in fields(FollowUpRecord))


def task(kind, hours_late, origin_id=None):
    due_at = NOON - timedelta(hours=hours_late)
    own = {"id": uuid4(), "kind": kind, "due_at": due_at, "origin_id": origin_id}
    return FollowUpRecord(**EMPTY | own)


def test_shared_answers_stand_below_what_is_known_to_be_urgent_and_above_all_else():
    shared, guessed = portal_item("shared"), portal_item("guessed")
    late = task("recheck", 30)
    others = [task("custom", 30), task("recheck", -1), task("safety_24h", 30, PRESSING[0].id)]
    drafts = [SimpleNamespace(urgency=level) for level in (3, 0)]
    parts: dict[str, Any] = {
        "alerts": ["alert"],
        "named_holds": ["named"],
        "portal_items": [guessed, shared],
        "drafts": drafts,
        "holds": ORDERED,
        "proposed": ["proposed"],
        "overdue": [found for found in (*others, late) if is_overdue_action(found, NOON)],
    }
    assert order_attention(Today(NOON, **parts)) == [
        ("alert", "alert"),
        ("draft", drafts[0]),
        *(("hold", found) for found in PRESSING),
        ("action", late),
        ("shared", shared),
        ("guessed", guessed),
        ("named", "named"),
        *(("hold", found) for found in CALM),
        ("proposed", "proposed"),
    ]


def test_nothing_to_do_needs_no_attention():
    assert order_attention(Today(NOON)) == []
