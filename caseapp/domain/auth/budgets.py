"""Budgets of tries: how long somebody waits after so many failures, and when failures are forgotten. Pure functions.

Nothing is ever locked: a wait ends by itself (OWASP ASVS 5.0, 6.3.1; NIST SP 800-63B-4, 3.2.2). The numbers were
measured on a prototype under attack, but for those of PINs, which issue 12 sets; all are awaiting sign-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from caseapp.core.i18n import gettext, ngettext

NOW = timedelta()
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)


@dataclass(frozen=True)
class Budget:
    """How many failures cost no wait, how the waits grow after them, and how failures are forgotten.

    The first wait doubles with each further failure, up to the longest. Of the failures, `forgets` are forgotten for
    each `forget_after` without another one.
    """

    free: int
    first_wait: timedelta
    longest_wait: timedelta
    forget_after: timedelta
    forgets: int = 1


ACCOUNT_AT_NETWORK = Budget(5, SECOND, 15 * MINUTE, HOUR)
"""One account from one network: the only budget that a stranger elsewhere can't use up."""
ATTACKED_AT_NETWORK = Budget(1, 15 * MINUTE, 15 * MINUTE, HOUR)
"""The same while the account is under attack from many networks: each of them has one try."""
NETWORK = Budget(30, SECOND, MINUTE, timedelta(seconds=30))
"""All that comes from one network, so that a minute is the longest that strangers there can hold somebody up."""
ACCOUNT = Budget(100, NOW, NOW, 15 * MINUTE)
"""One account from all unknown devices. It makes nobody wait; over it the account counts as under attack."""
KNOWN_DEVICE = Budget(10, SECOND, 15 * MINUTE, HOUR)
"""A device that somebody has signed in with, somebody who is signed in and confirms who they are, or a code."""
PIN = Budget(5, MINUTE, 15 * MINUTE, HOUR)
"""PIN and start code of a client, or links and cards from one network."""
PIN_DAY = Budget(9, DAY, DAY, DAY, forgets=9)
"""PIN and start code of a client in a day: fewer than ten tries, whatever pauses are made."""
CODE_DAY = Budget(60, DAY, DAY, DAY, forgets=60)
"""Codes of a second factor in a day."""
LINK_AT_NETWORK = Budget(4, MINUTE, 15 * MINUTE, 5 * MINUTE)
"""Requests for a link to one email address from one network; unwanted mail could itself reveal a client."""
LINK_NETWORK = Budget(20, SECOND, MINUTE, 45 * SECOND)
"""Requests for links from one network."""
LINK_ADDRESS = Budget(12, 5 * MINUTE, HOUR, 5 * MINUTE)
"""Requests for a link to one email address from all unknown devices."""

# Long after every failure of every budget is forgotten.
KEPT_FOR = timedelta(days=3)


@dataclass(frozen=True)
class Failures:
    """How many failures were counted, when the last one was, and when the next try is due."""

    count: int
    last_at: datetime
    next_at: datetime


def count_remembered(found: Failures | None, budget: Budget, moment: datetime) -> int:
    """Count the failures that aren't forgotten yet."""
    if found is None:
        return 0
    quiet = max(moment - found.last_at, NOW)
    return max(0, found.count - quiet // budget.forget_after * budget.forgets)


def find_wait(found: Failures | None, moment: datetime) -> timedelta:
    """Return how long it is until the next try is due; zero when it is."""
    return NOW if found is None else max(found.next_at - moment, NOW)


def choose_wait(failures: int, budget: Budget) -> timedelta:
    """Choose the wait after so many failures."""
    if failures < budget.free:
        return NOW
    # Twenty doublings are more than any budget has room for.
    doublings = min(failures - budget.free, 20)
    return min(budget.first_wait * (1 << doublings), budget.longest_wait)


def add_failure(found: Failures | None, budget: Budget, moment: datetime) -> Failures:
    """Count one failure more, up to twice what costs nothing and the waits that follow."""
    count = min(count_remembered(found, budget, moment) + 1, 2 * budget.free + 20)
    return Failures(count, moment, moment + choose_wait(count, budget))


def is_used_up(found: Failures | None, budget: Budget, moment: datetime) -> bool:
    """Tell whether as many failures are remembered as cost nothing."""
    return count_remembered(found, budget, moment) >= budget.free


def describe_wait(wait: timedelta) -> str:
    """Say how long to wait, rounded up to whole seconds, minutes or hours."""
    seconds = max(-(-wait // SECOND), 1)
    if seconds <= 60:  # noqa: PLR2004
        return ngettext(
            "You can try again in one second.", "You can try again in %(num)s seconds.", seconds
        )
    minutes = -(-seconds // 60)
    if minutes <= 60:  # noqa: PLR2004
        return ngettext(
            "You can try again in one minute.", "You can try again in %(num)s minutes.", minutes
        )
    hours = -(-minutes // 60)
    return ngettext("You can try again in one hour.", "You can try again in %(num)s hours.", hours)


def describe_failure(wait: timedelta) -> str:
    """Say that a start code or PIN was wrong, and when the next try is due."""
    wrong = gettext("That isn’t right.")
    return f"{wrong} {describe_wait(wait)}" if wait else wrong
