"""The actor of a request, a job or a command: a plain value that outlives a rollback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from caseapp.core.errors import Forbidden, InsufficientScope
from caseapp.core.i18n import lazy_gettext
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action, Role, is_in_scope

if TYPE_CHECKING:
    from caseapp.core.vault import PrivateKey

INTERFACES = ("web", "api", "portal", "cli", "job")


@dataclass(frozen=True)
class Actor:
    """Who acts, in which role, and through which of the INTERFACES (`via`); for a program, within which scopes.

    `writing` is the key of what a client wrote for nobody else; only a session that began with the PIN has it.
    """

    id: UUID
    role: Role
    name: str
    via: str
    session_id: UUID | None = None
    scopes: frozenset[str] | None = None
    writing: PrivateKey | None = field(default=None, repr=False, compare=False)

    def may(self, action: Action) -> bool:
        """Return whether the role includes this action, and so do the scopes of a token."""
        return action in ACTIONS_BY_ROLE[self.role] and (
            self.scopes is None or is_in_scope(action, self.scopes)
        )


def require(actor: Actor, action: Action) -> None:
    """Check that the actor's role includes the action, and the scopes of a token too.

    Raises Forbidden or InsufficientScope. Whether a record is visible to the actor is a separate check, answered with
    NotFound.
    """
    if action in ACTIONS_BY_ROLE[actor.role] and not actor.may(action):
        raise InsufficientScope
    if not actor.may(action):
        raise Forbidden(lazy_gettext("Your role doesn’t include this."))


SYSTEM_ID = UUID(int=0)
# Why a column with the id of an actor has no foreign key.
OPERATOR_HAS_NO_ACCOUNT = "It may be someone using the command line, who has no user account."


def worker() -> Actor:
    """Return the actor of background work that nobody in particular asked for."""
    return Actor(SYSTEM_ID, Role.ADMIN, "worker", via="job")


def operator(name: str = "operator") -> Actor:
    """Return the actor of the command line, which has an admin's rights."""
    return Actor(SYSTEM_ID, Role.ADMIN, name, via="cli")
