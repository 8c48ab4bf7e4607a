"""Codes of alerts: their steps, in order, and the kinds of holds that raise them."""

from __future__ import annotations

STEPS = ("coach", "supervisor", "deputy", "manager")
STEP_LABELS = {
    "coach": "Coach",
    "supervisor": "Supervisor",
    "deputy": "Deputy",
    "manager": "Manager",
}
# The most urgent first.
KINDS = ("safety", "care")
