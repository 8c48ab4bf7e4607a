from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from caseapp.domain.auth.budgets import (
    ACCOUNT,
    ACCOUNT_AT_NETWORK,
    ATTACKED_AT_NETWORK,
    CODE_DAY,
    DAY,
    HOUR,
    KEPT_FOR,
    KNOWN_DEVICE,
    LINK_ADDRESS,
    LINK_AT_NETWORK,
    LINK_NETWORK,
    MINUTE,
    NETWORK,
    NOW,
    PIN,
    PIN_DAY,
    SECOND,
    Failures,
    add_failure,
    choose_wait,
    count_remembered,
    describe_failure,
    describe_wait,
    find_wait,
    is_used_up,
)

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
ALL = [
    ACCOUNT_AT_NETWORK, ATTACKED_AT_NETWORK, NETWORK, ACCOUNT, KNOWN_DEVICE, PIN, PIN_DAY, CODE_DAY, LINK_AT_NETWORK,
    LINK_NETWORK, LINK_ADDRESS,
]  # fmt: skip


def tries_in(period, *budgets):
    """Count the tries of somebody who tries again and again for so long, as soon as every budget lets them."""
    found: list[Failures | None] = [None] * len(budgets)
    moment, tries = NOON, 0
    while moment < NOON + period:
        wait = max(find_wait(each, moment) for each in found)
        if not wait:
            tries += 1
            found = [
                add_failure(each, budget, moment)
                for each, budget in zip(found, budgets, strict=True)
            ]
        moment += wait or timedelta(milliseconds=100)
    return tries


@pytest.mark.parametrize(
    ("budget", "waits"),
    [
        (ACCOUNT_AT_NETWORK, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]),
        (ATTACKED_AT_NETWORK, [900, 900, 900]),
        (PIN, [0, 0, 0, 0, 60, 120, 240, 480, 900, 900]),
        (PIN_DAY, [0] * 8 + [86_400, 86_400]),
        (LINK_AT_NETWORK, [0, 0, 0, 60, 120, 240, 480, 900]),
    ],
)
def test_waits_double_up_to_the_longest(budget, waits):
    found = [choose_wait(number, budget) for number in range(1, len(waits) + 1)]
    assert [wait // SECOND for wait in found] == waits


def test_strangers_hold_up_a_network_for_a_minute_and_an_account_not_at_all():
    assert max(choose_wait(number, NETWORK) for number in range(1000)) == MINUTE
    assert max(choose_wait(number, ACCOUNT) for number in range(1000)) == NOW


@pytest.mark.parametrize("pause", [NOW, MINUTE, HOUR, 3 * HOUR, DAY - SECOND])
def test_fewer_than_ten_pins_are_tried_in_a_day_whatever_pauses_are_made(pause):
    found, moment, tried = None, NOON, []
    while moment < NOON + 30 * DAY:
        moment += find_wait(found, moment) or pause
        if not find_wait(found, moment):
            found = add_failure(found, PIN_DAY, moment)
            tried.append(moment)
    assert max(sum(t <= other < t + DAY for other in tried) for t in tried) < 10


def test_guesses_in_a_day_are_few():
    assert tries_in(DAY, PIN, PIN_DAY) == 9
    assert tries_in(DAY, ACCOUNT_AT_NETWORK, NETWORK) <= 5 + 10 + 96


def test_failures_are_forgotten_one_by_one_and_those_of_a_day_together():
    found = None
    for _ in range(5):
        found = add_failure(found, ACCOUNT_AT_NETWORK, NOON)
    later = [count_remembered(found, ACCOUNT_AT_NETWORK, NOON + hours * HOUR) for hours in range(7)]
    assert later == [5, 4, 3, 2, 1, 0, 0]
    for _ in range(4):
        found = add_failure(found, PIN_DAY, NOON)
    assert count_remembered(found, PIN_DAY, NOON + DAY - SECOND) == 9
    assert count_remembered(found, PIN_DAY, NOON + DAY) == 0


@pytest.mark.parametrize("budget", ALL)
def test_every_count_is_forgotten_before_it_is_deleted_and_no_wait_is_longer(budget):
    found, moment = None, NOON
    for _ in range(1000):
        moment += find_wait(found, moment)
        found = add_failure(found, budget, moment)
    assert find_wait(found, moment) <= budget.longest_wait
    assert not is_used_up(found, budget, moment + KEPT_FOR)
    # A clock that is set back forgets nothing, and no more.
    assert count_remembered(found, budget, moment - HOUR) == found.count


def test_waits_are_told_in_words():
    told = [describe_wait(seconds * SECOND) for seconds in (0.2, 1, 60, 61, 3600, 3601, 86_400)]
    assert [text.removeprefix("You can try again in ") for text in told] == [
        "one second.", "one second.", "60 seconds.", "2 minutes.", "60 minutes.", "2 hours.", "24 hours.",
    ]  # fmt: skip
    assert describe_failure(NOW) == "That isn’t right."
    assert describe_failure(MINUTE).startswith("That isn’t right. You can try again in 60")
