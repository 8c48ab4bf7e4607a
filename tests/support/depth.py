"""How long the tests are that repeat themselves: short in the suite, long in `make soak`."""

from __future__ import annotations

import os

ROUNDS = int(os.environ.get("ROUNDS", "1"))
"""How many times longer than in the suite; `make soak` sets it."""


def times(usual: int) -> int:
    """Return how many rounds, tries or examples a test makes."""
    return usual * ROUNDS
