"""Codes and their labels."""

from __future__ import annotations

TASK_LABELS = {
    "recheck": "Ask again about every item with a level of Watch or above",
    "referral": "Make the referral",
    "referral_outcome": "Find out how the referral went",
    "safety_plan": "Make the safety plan together",
    "safety_24h": "24-hour safety check",
    "safety_72h": "72-hour safety check",
    "safety_7d": "7-day safety check",
    "emergency_steps": "Write down the emergency steps that were taken",
    "duty_check": "Decide on the duty to report: yes, no or not sure",
    "tell_supervisor": "Tell your supervisor",
    "close_screening": "Screen again within 7 days, because the case was closed with the couple apart",
    "close_check_in": "Check in with the client after closing the case",
}
CUSTOM = "custom"
"""The kind of task for which a title is entered."""
