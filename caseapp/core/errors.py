"""Domain errors, one class for each HTTP outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.i18n import lazy_gettext

if TYPE_CHECKING:
    from collections.abc import Iterable


class DomainError(Exception):
    """A request that is refused; `http.errors` turns it into a page or JSON."""

    code = "refused"

    def __init__(self, message: str) -> None:
        """Take the message that the person reads."""
        super().__init__(message)
        self.message = message


class Unauthenticated(DomainError):
    """Nobody is signed in, or the session has ended (401)."""

    code = "unauthenticated"

    def __init__(self, message: str = lazy_gettext("Sign in to continue.")) -> None:
        """Use one message for every reason, so that nothing is revealed about accounts."""
        super().__init__(message)


class Forbidden(DomainError):
    """The actor's role doesn't include this action (403)."""

    code = "forbidden"


class InsufficientScope(Forbidden):
    """The actor's role includes this action, and the scopes of the token don't (403)."""

    code = "insufficient_scope"

    def __init__(self, message: str = "The scopes of this token don’t include this.") -> None:
        """Take the message, which only programs get."""
        super().__init__(message)


class FactorNeeded(Forbidden):
    """The practice requires a second factor of the token's owner, who has none (403)."""

    code = "second_factor_needed"

    def __init__(self) -> None:
        """Say how the owner gets a token that works; only programs read it."""
        super().__init__(
            "The practice requires the owner of this token to have a second factor, and they have none. "
            "They need to set one up under Account, then make a new token."
        )


class NotFound(DomainError):
    """The record doesn't exist or isn't visible to the actor: both look the same (404)."""

    code = "not_found"

    def __init__(self, message: str = lazy_gettext("We could not find that.")) -> None:
        """Use one message for both cases."""
        super().__init__(message)


class Invalid(DomainError):
    """The submitted data is invalid; each invalid field is named (422)."""

    code = "invalid"

    def __init__(
        self,
        fields: dict[str, list[str]],
        message: str = lazy_gettext("Check your answers."),
    ) -> None:
        """Take messages by field name; each is shown beside its field."""
        super().__init__(message)
        self.fields = fields


@dataclass(frozen=True)
class Reason:
    """An unmet condition of a rule: a code for programs, a message for people, and what they can do about it."""

    code: str
    message: str
    way_out: str


class RuleBroken(DomainError):
    """A rule refuses the change; the reasons name the unmet conditions and how to meet them (409)."""

    code = "rule_broken"

    def __init__(self, *reasons: Reason) -> None:
        """Take at least one reason; the first becomes the message."""
        super().__init__(reasons[0].message)
        self.reasons = reasons


def refuse_for(reasons: Iterable[Reason]) -> None:
    """Raise RuleBroken with these reasons; do nothing when there are none."""
    if found := tuple(reasons):
        raise RuleBroken(*found)


class Stale(DomainError):
    """Somebody has saved a newer version; nothing was overwritten (412)."""

    code = "stale"

    def __init__(
        self,
        message: str = lazy_gettext(
            "This was changed after you opened it. Nothing was overwritten."
        ),
    ) -> None:
        """Take the message; the record is never merged automatically."""
        super().__init__(message)


class VersionMissing(DomainError):
    """The request doesn't say which version it starts from (428)."""

    code = "version_missing"

    def __init__(self, message: str = "Send If-Match with the ETag you read.") -> None:
        """Take the message, which names the missing header."""
        super().__init__(message)


class TooManyAttempts(DomainError):
    """A sign-in limit is reached (429)."""

    code = "too_many_attempts"

    def __init__(self, message: str, retry_after: int) -> None:
        """Take the message and the waiting time in whole seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class RenderFailed(DomainError):
    """A document could not be rendered; nothing was changed (503)."""

    code = "render_failed"
    retry_after = 60

    def __init__(self, message: str, cause: str) -> None:
        """Take a message for the person and a cause for the log."""
        super().__init__(
            lazy_gettext(
                "%(what_happened)s Nothing was changed. Try again in a minute. If it happens again, tell whoever "
                "runs this application.",
                what_happened=message,
            )
        )
        self.cause = cause
