"""The protocol as screenings use it: items, labels and limits by key. The rules are in `handouts/protocol.yaml`.

Every anchor, level and time limit awaits sign-off by a licensed clinician and a local legal check. The protocol
supports a coach's judgement; it is neither a diagnosis nor a validated scale. Only the list of domains comes from the
articles (REC-08 to REC-17); the rest is ordinary clinical caution.
"""

from __future__ import annotations

from datetime import timedelta

from caseapp.domain.protocol.checks import OTHER
from caseapp.domain.protocol.data import Item, Level, LevelRule
from caseapp.domain.protocol.file import PROTOCOL

__all__ = ["Item", "Level"]

AWAITING_SIGN_OFF = "Awaiting sign-off by a licensed clinician"
LEVEL_LABELS = {
    Level.NONE: "None",
    Level.WATCH: "Watch",
    Level.CONCERN: "Concern",
    Level.URGENT: "Urgent",
}
ITEMS = PROTOCOL.items
ITEMS_BY_KEY = {item.key: item for item in ITEMS}
FEAR_AT_HOME = "fear_at_home"
"""The item that is only known when it was asked alone: in front of others nobody can be expected to say it."""
CIRCUMSTANCES = {found.key: found for found in PROTOCOL.circumstances}
# A level that falls by so many steps, or from urgent, needs a written reason. Awaiting sign-off.
STEEP_FALL = 2
SHORTEST_REASON = 10
"""The fewest characters that can be seen in the reason for a level that falls steeply."""
SAFETY_ITEMS = tuple(item.key for item in ITEMS if item.safety)
LASTING_ITEMS = tuple(item.key for item in ITEMS if not item.safety)
"""The items in which it matters how long a level has lasted; of a safety item one report is enough."""
LEVEL_RULES: dict[tuple[str, int], LevelRule] = {
    (item.key, rule.level): rule
    for item in ITEMS
    for rule in PROTOCOL.levels
    if rule.items in {"all", "safety" if item.safety else OTHER}
}
_STEPS = {rule.key: rule.steps for rule in PROTOCOL.immediate_steps}
IMMEDIATE_STEPS = {item.key: _STEPS.get(item.key, _STEPS[OTHER]) for item in ITEMS}
FLAG_LABELS = {flag.key: flag.label for flag in PROTOCOL.flags}
MANUAL_FLAGS = tuple(flag.key for flag in PROTOCOL.flags if flag.set_by_hand)
ACTIONS_TAKEN = {action.key: action.label for action in PROTOCOL.actions_taken}
_DAYS = {interval.key: timedelta(days=interval.days) for interval in PROTOCOL.intervals}
SCREENING_VALIDITY = _DAYS["validity"]
STEADY_INTERVAL = _DAYS["steady"]
LATE_AFTER = _DAYS["late"]
SUSTAINED_AFTER = _DAYS["sustained"]
PROPOSED_AGAIN_AFTER = _DAYS["declined"]
