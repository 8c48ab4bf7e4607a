from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from caseapp.domain.dashboard.rules import sort_by_urgency
from caseapp.domain.dashboard.schemas import OpenHold

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
TASK = object()


def hold(kind, days_ago, *, overdue=False, task=TASK):
    since = NOON - timedelta(days=days_ago)
    return OpenHold(uuid4(), uuid4(), "", "", "", kind, since, since, {}, task, overdue)


ORDERED = [
    hold("safety", 1, overdue=True),
    hold("safety", 30, overdue=True),
    hold("safety", 0),
    hold("safety", 40),
    hold("care", 2, overdue=True),
    hold("safety", 3, task=None),
    hold("safety", 31, task=None),
    hold("care", 1),
    hold("care", 0, task=None),
]


@pytest.mark.parametrize("given", [ORDERED, ORDERED[::-1], ORDERED[4:] + ORDERED[:4]])
def test_holds_are_sorted_by_urgency_not_by_age(given):
    assert sort_by_urgency(given) == ORDERED


def test_renewed_hold_counts_as_new():
    old, renewed = hold("safety", 5), hold("safety", 60)
    object.__setattr__(renewed, "urgent_since", NOON)
    assert sort_by_urgency([old, renewed]) == [renewed, old]
