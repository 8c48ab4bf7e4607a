"""Times that the protocol sets, against a table from the content map, section (e), and the design of the checks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from caseapp.domain.protocol.data import Span
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.protocol.rules import add_span, add_working_days, due_at, not_before
from tests.domain.protocol.due_times import DUE, THURSDAY

NOT_BEFORE = {"safety_24h", "safety_72h", "safety_7d"}


def test_every_action_is_due_as_in_the_table():
    assert {action.key for action in PROTOCOL.actions} == {*DUE, "close_check_in"}
    assert {kind: due_at(kind, THURSDAY) - THURSDAY for kind in DUE} == DUE


def test_action_on_an_agreed_day_has_no_due_time_of_its_own():
    with pytest.raises(ValueError, match="close_check_in"):
        due_at("close_check_in", THURSDAY)


def test_safety_checks_alone_have_an_earliest_time_and_it_is_when_they_are_due():
    earliest = {action.key: not_before(action.key, THURSDAY) for action in PROTOCOL.actions}
    assert {kind for kind, moment in earliest.items() if moment} == NOT_BEFORE
    assert all(earliest[kind] == THURSDAY + DUE[kind] for kind in NOT_BEFORE)


@pytest.mark.parametrize(
    ("start", "days", "lands"),
    [
        (datetime(2026, 5, 11, tzinfo=UTC), 2, 13),  # Monday
        (datetime(2026, 5, 14, tzinfo=UTC), 2, 18),  # Thursday
        (datetime(2026, 5, 15, tzinfo=UTC), 2, 19),  # Friday
        (datetime(2026, 5, 16, tzinfo=UTC), 2, 19),  # Saturday
        (datetime(2026, 5, 17, tzinfo=UTC), 2, 19),  # Sunday
        (datetime(2026, 5, 17, tzinfo=UTC), 0, 17),
    ],
)
def test_add_working_days_skips_weekends(start, days, lands):
    assert add_working_days(start, days).day == lands
    assert add_span(start, Span(days, "working_days")).day == lands


def test_working_days_are_those_of_the_time_zone_and_keep_the_local_time():
    london = ZoneInfo("Europe/London")
    friday = datetime(2026, 3, 27, 9, tzinfo=london)
    assert add_working_days(friday, 1) == datetime(2026, 3, 30, 9, tzinfo=london)
    auckland = ZoneInfo("Pacific/Auckland")
    # Still Thursday in UTC.
    morning = datetime(2026, 5, 15, 8, tzinfo=auckland)
    assert due_at("referral", morning) == datetime(2026, 5, 19, 8, tzinfo=auckland)
    assert due_at("referral", morning).tzinfo is UTC


def test_hours_pass_whether_the_clocks_change_or_not():
    evening = datetime(2026, 3, 28, 20, tzinfo=ZoneInfo("Europe/London"))
    assert (due_at("safety_24h", evening) - evening.astimezone(UTC)) == timedelta(hours=24)
