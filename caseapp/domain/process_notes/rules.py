"""The rule of process notes: who may write and read any. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import require
from caseapp.core.errors import InsufficientScope
from caseapp.core.permissions import Action

if TYPE_CHECKING:
    from caseapp.core.actor import Actor


def require_writer(actor: Actor) -> None:
    """Require somebody who may write notes and acts themselves: a token opens no process note, whatever its scopes.

    Raises Forbidden, and InsufficientScope for a token.
    """
    require(actor, Action.NOTE_WRITE)
    if actor.scopes is not None:
        raise InsufficientScope
