"""Rules about versions of handouts: which ones can no longer be assigned. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason

if TYPE_CHECKING:
    from caseapp.domain.handouts.queries import LibraryItem

RECALLED = Reason(
    "recalled",
    "The practice has recalled this version.",
    "The handout’s page explains why. Use a newer version or another handout.",
)
HIDDEN = Reason(
    "hidden",
    "The practice has hidden this handout.",
    "Choose another handout, or ask a supervisor or an admin to show it again.",
)


def list_version_blockers(item: LibraryItem) -> list[Reason]:
    """List why nobody can be assigned a handout version; empty when it is in use."""
    if item.recalled_at is not None:
        return [RECALLED]
    return [HIDDEN] if item.hidden else []
