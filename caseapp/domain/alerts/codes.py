"""Codes of alerts: their steps, in order, and the kinds of holds that raise them."""

from __future__ import annotations

STEPS = ("coach", "supervisor", "deputy", "manager")
STEP_LABELS = {
    "coach": "Coach",
    "supervisor": "Supervisor",
    "deputy": "Deputy",
    "manager": "Manager",
}
# The most urgent first: a hold was opened or renewed, or a screening was recorded in error, with an answer that opens a
# safety hold or without one.
KINDS = ("safety", "safety_in_error", "care", "in_error")
URGENT_KINDS = ("safety", "safety_in_error")
IN_ERROR_KINDS = ("safety_in_error", "in_error")
