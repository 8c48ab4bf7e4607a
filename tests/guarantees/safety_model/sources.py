"""What the sources say about safety: items, flags, actions and times, as tables. Nothing here comes from the program.

Sources: sections (d), (e) and (f) of the content map, with their numbered list "What the app must enforce"; the target
state machine of the design of safety; and the protocol's data, which a clinician signs.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

NONE, WATCH, CONCERN, URGENT = range(4)
Expected = bool | None
"""What the sources say about something that somebody wants to do: done, refused, or None where they leave room."""
SAFETY_ITEMS = ("self_harm", "harm_to_others", "following", "fear_at_home")
OTHER_ITEMS = ("sleep", "eating", "caring", "work", "household", "substances")
ITEMS = (*OTHER_ITEMS, *SAFETY_ITEMS)
FEAR = "fear_at_home"
STAGES = ("steady", "understand", "rebuild", "contact", "reconnect", "repair", "close")
CONTACT_STAGES = ("contact", "reconnect", "repair")
APART = ("separated", "divorcing", "stopped_hoping")
ZONE = ZoneInfo("Europe/London")

VALID = timedelta(days=14)
STEADY_APART = timedelta(days=7)
LATE = timedelta(hours=72)
BEFORE_RELEASE = timedelta(hours=72)
BEFORE_RELEASE_FEAR = timedelta(days=7)
SUSTAINED = timedelta(days=14)
ASKED_AGAIN = timedelta(days=7)
OWN_CORRECTION = timedelta(minutes=60)
SKEW = timedelta(minutes=5)
"""Two clocks of the practice may differ by so much."""

FLAGS_SET = {
    "contact_block": (("harm_to_others", CONCERN), ("following", CONCERN), (FEAR, CONCERN)),
    "violence_flag": ((FEAR, CONCERN),),
    "client_harm_flag": (("harm_to_others", CONCERN), ("following", CONCERN)),
    "self_harm_flag": (("self_harm", WATCH),),
    "eating_disorder_flag": (("eating", CONCERN),),
    "withdrawal_risk": (("substances", URGENT),),
    "unsafe_delivery": ((FEAR, CONCERN),),
}
"""(e), the tables of the domains, and (f), the contraindication tags; eating and withdrawal by findings, point 9."""
SENDING_IS_UNSAFE = {"violence_flag", "unsafe_delivery"}
RAISED_BY = {
    "weapons": [(key, WATCH, URGENT) for key in ("self_harm", "harm_to_others", "following")],
    "choking": [(FEAR, NONE, URGENT)],
    "children_at_risk": [(FEAR, NONE, URGENT)],
    "coercive_control": [(FEAR, NONE, CONCERN)],
    "pregnancy": [],
    "vital_medicine": [],
    "leaving": [],
}
"""(e), 4c, and the findings, point 9: which item a circumstance raises, from which level of it, and to which."""
BAR_CONTACT = {"contact_block", "violence_flag", "client_harm_flag"}

CARE_ACTIONS = {"referral", "recheck", "referral_outcome"}
SAFETY_ACTIONS = CARE_ACTIONS | {
    "tell_supervisor",
    "safety_plan",
    "safety_24h",
    "safety_72h",
    "safety_7d",
}
URGENT_ACTIONS = SAFETY_ACTIONS | {"emergency_steps", "duty_check"}
NOT_BEFORE = {
    "safety_24h": timedelta(hours=24),
    "safety_72h": timedelta(hours=72),
    "safety_7d": timedelta(days=7),
}
SPOKEN_TO = {"recheck", "close_screening", *NOT_BEFORE}
"""Every third attempt that reaches nobody asks the supervisor about a welfare check."""
DECIDED_WHEN_DECLINED = {"referral", "referral_outcome", "safety_plan"}
DUE = NOT_BEFORE | {
    "recheck": timedelta(days=7),
    "referral_outcome": timedelta(days=14),
    "safety_plan": timedelta(hours=8),
    "tell_supervisor": timedelta(0),
    "emergency_steps": timedelta(0),
    "duty_check": timedelta(0),
}
"""Without the referral, which is due after two working days."""
NO_HOLD_TASKS = {"custom", "close_screening", "close_check_in"}
"""Kinds of tasks that no screening requires."""


def opens_safety_hold(key: str, level: int | None) -> bool:
    """Tell whether an answer counts as soon as it is written down: urgent, or a concern about safety, (e) number 1."""
    return level == URGENT or (level == CONCERN and key in SAFETY_ITEMS)


def next_working_day(moment: datetime, days: int) -> datetime:
    """Return the same time of day so many working days later, Monday to Friday."""
    local = moment.astimezone(ZONE)
    day = local.date()
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return datetime.combine(day, time(local.hour, local.minute, local.second), ZONE).astimezone(UTC)
