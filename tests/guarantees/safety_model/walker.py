"""Random histories: which steps they are made of, and how time goes by in them."""

from __future__ import annotations

from datetime import timedelta

from caseapp.core.clock import at
from tests.guarantees.safety_model.history import LAST, START
from tests.guarantees.safety_model.people import PeopleSteps

PROFILES: dict[str, tuple[int, dict[str, int]]] = {
    "holds": (6, {"raised": 10, "recover": 24, "release": 4, "clear": 6, "calm": 3, "name": 4}),
    "endings": (
        2,
        {"close": 10, "reopen": 10, "calm": 8, "raised": 3, "unreachable": 8},
    ),
    "contact": (4, {"prepare": 8, "forward": 4, "calm": 8, "assign": 10, "pack": 4}),
    "care": (2, {"concern": 10, "allow": 14, "facts": 4, "assign": 4, "recover": 4}),
    "handouts": (4, {"assign": 14, "pack": 5, "bulk": 8, "calm": 8, "worker": 4}),
    "errors": (3, {"raised": 8, "brief": 4, "error": 14, "one_action": 4, "take_back": 8}),
    "leaving": (
        2,
        {"staff": 16, "raised": 6, "acknowledge": 4, "worker": 6, "recover": 6, "name": 4},
    ),
    "trend": (2, {"watch": 12, "lasting": 10, "later": 8}),
    "notes": (4, {"draft": 10, "redraft": 6, "sign": 8, "earlier": 8, "ahead": 3}),
    "flags": (1, {"facts": 12, "clear": 20, "confirm": 3}),
    "fear": (2, {"fear": 8, "recover": 12, "assign": 10, "clear": 6, "confirm": 2, "later": 4}),
    "said": (2, {"tick": 14, "end": 14, "protocol": 4, "draft": 4, "redraft": 4, "error": 3}),
    "plans": (3, {"raised": 6, "plan": 14, "show_plan": 6, "one_action": 20}),
    "cases": (2, {"other_case": 8, "clear": 6, "facts": 4, "assign": 6, "reopen": 4}),
    "anything": (2, {}),
}
"""What histories are about: how often, and which steps are more frequent in them."""
BASE = {
    "calm": 5,
    "raised": 2,
    "concern": 1,
    "fear": 1,
    "brief": 3,
    "not_alone": 1,
    "earlier": 2,
    "watch": 1,
    "error": 2,
    "lasting": 1,
    "ahead": 1,
    "draft": 2,
    "redraft": 1,
    "sign": 2,
    "facts": 2,
    "flag": 1,
    "clear": 3,
    "confirm": 1,
    "actions": 2,
    "one_action": 3,
    "release": 2,
    "recover": 3,
    "take_back": 1,
    "move": 3,
    "forward": 1,
    "prepare": 1,
    "close": 1,
    "unreachable": 1,
    "reopen": 1,
    "assign": 4,
    "pack": 1,
    "allow": 2,
    "bulk": 1,
    "later": 6,
    "back": 1,
    "worker": 4,
    "write": 1,
    "acknowledge": 2,
    "staff": 1,
    "name": 1,
    "tick": 1,
    "end": 1,
    "plan": 1,
    "show_plan": 1,
}


class History(PeopleSteps):
    """A random history of one client."""

    def walk(self, steps: int, profile: str | None = None) -> None:
        """Take random steps, and compare after each; the profile is random unless it is given."""
        often = [weight for weight, _steps in PROFILES.values()]
        profile = profile or self.random.choices([*PROFILES], often)[0]
        names, weights = zip(*(BASE | PROFILES[profile][1]).items(), strict=True)
        with self.protocol:
            for _ in range(steps):
                if self.now > LAST or self.is_over:
                    break
                name = self.random.choices(names, weights)[0]
                with at(self.now):
                    getattr(self, f"step_{name}")()
                with at(self.now):
                    self.compare()

    def step_later(self) -> None:
        """Let time pass."""
        self.now += timedelta(
            hours=self.random.choice((1, 2, 5, 25, 49, 73, 24 * 4, 24 * 7 + 1, 24 * 8, 24 * 15))
        )
        self.say("time passes")

    def step_back(self) -> None:
        """Set the clock back."""
        self.now = max(START, self.now - timedelta(hours=self.random.choice((1, 5, 30))))
        self.say("the clock is set back")
        self.counts["clock: set back"] += 1
