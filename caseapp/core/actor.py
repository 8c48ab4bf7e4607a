"""The one who acts: a plain value that outlives a rollback, made by a door, a job or the command line."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from caseapp.core.errors import Forbidden
from caseapp.core.permissions import ACTIONS_OF, STAFF, Action, Role


@dataclass(frozen=True)
class Actor:
    """Say who acts; `via` tells the door (web, api, portal, cli) for the audit log."""

    id: UUID
    role: Role
    name: str
    via: str
    session_id: UUID | None = None

    @property
    def staff(self) -> bool:
        """Tell staff from clients."""
        return self.role in STAFF

    def may(self, action: Action) -> bool:
        """Tell whether the role has this action."""
        return action in ACTIONS_OF[self.role]


def require(actor: Actor, action: Action) -> None:
    """Refuse an actor whose role lacks the action.

    Raises Forbidden; whether the record is theirs to see is asked separately and answered with NotFound.
    """
    if not actor.may(action):
        raise Forbidden("Your role does not include this.")


SYSTEM_ID = UUID(int=0)


def operator(name: str = "operator") -> Actor:
    """Make the actor of the command line, which acts with an admin's rights."""
    return Actor(SYSTEM_ID, Role.ADMIN, name, via="cli")
