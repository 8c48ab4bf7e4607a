"""When each required action is due after a screening, from the content map, section (e)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

THURSDAY = datetime(2026, 5, 14, 12, tzinfo=UTC)
DUE = {
    "recheck": timedelta(days=7),
    "referral": timedelta(days=4),  # two working days on from a Thursday is Monday
    "referral_outcome": timedelta(days=14),
    "tell_supervisor": timedelta(0),
    "safety_plan": timedelta(hours=8),
    "plan_review": timedelta(days=7),
    "safety_24h": timedelta(hours=24),
    "safety_72h": timedelta(hours=72),
    "safety_7d": timedelta(days=7),
    "emergency_steps": timedelta(0),
    "duty_check": timedelta(0),
    "welfare_check": timedelta(0),
    "declined_decision": timedelta(0),
    "close_screening": timedelta(days=7),
}
