"""How long the tests are that repeat themselves: short in the suite, long in `make soak`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

ROUNDS = int(os.environ.get("ROUNDS", "1"))
"""How many times longer than in the suite; `make soak` sets it."""


def times(usual: int) -> int:
    """Return how many rounds, tries or examples a test makes."""
    return usual * ROUNDS


def sample(found: Sequence[T], most: int) -> Sequence[T]:
    """Return at most `most` of the examples, spread over all of them; `make soak` takes every one."""
    return found if ROUNDS > 1 else found[:: -(-len(found) // most)]
