"""The few ways in which the house says no, each told apart by its type."""

from __future__ import annotations

from dataclasses import dataclass


class DomainError(Exception):
    """Say no to a request; `http.errors` turns it into a page or a JSON answer."""

    code = "refused"

    def __init__(self, message: str) -> None:
        """Keep the sentence that the person will read."""
        super().__init__(message)
        self.message = message


class Unauthenticated(DomainError):
    """Nobody is signed in, or the session has ended."""

    code = "unauthenticated"

    def __init__(self, message: str = "Sign in to go on.") -> None:
        """Use one sentence for every reason, so that nothing is told about accounts."""
        super().__init__(message)


class Forbidden(DomainError):
    """The person is known and may not do this."""

    code = "forbidden"


class NotFound(DomainError):
    """The record does not exist, or is not theirs to see: both look the same."""

    code = "not_found"

    def __init__(self, message: str = "There is nothing here.") -> None:
        """Never say which of the two it was."""
        super().__init__(message)


class Invalid(DomainError):
    """What came in has the wrong shape or meaning; every field at fault is named."""

    code = "invalid"

    def __init__(
        self, fields: dict[str, list[str]], message: str = "Some answers need a look."
    ) -> None:
        """Take messages by field name, in the words shown beside that field."""
        super().__init__(message)
        self.fields = fields


@dataclass(frozen=True)
class Reason:
    """One condition that a rule found unmet: a code for machines, words and a way out for people."""

    code: str
    message: str
    how: str = ""


class RuleBroken(DomainError):
    """A rule of the practice refuses; the reasons say which condition fails and how to meet it."""

    code = "rule_broken"

    def __init__(self, *reasons: Reason) -> None:
        """Take at least one reason; the first is the headline."""
        super().__init__(reasons[0].message)
        self.reasons = reasons


class Stale(DomainError):
    """Somebody saved a newer version first; nothing was overwritten."""

    code = "stale"

    def __init__(
        self, message: str = "Somebody changed this in the meantime. Nothing was lost."
    ) -> None:
        """Ask for a reload rather than a merge that nobody has looked at."""
        super().__init__(message)


class VersionMissing(DomainError):
    """A change was sent without saying which version it starts from."""

    code = "version_missing"

    def __init__(self, message: str = "Send If-Match with the ETag you read.") -> None:
        """Name the header that is missing."""
        super().__init__(message)


class TooManyAttempts(DomainError):
    """The throttle is closed for a while."""

    code = "too_many_attempts"

    def __init__(self, message: str, retry_after: int) -> None:
        """Take the waiting time in whole seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class RenderFailed(DomainError):
    """A document could not be made, because of itself or of the machine; nothing was changed."""

    code = "render_failed"
    retry_after = 60

    def __init__(self, message: str, cause: str) -> None:
        """Take a sentence for the person, and a word for the log."""
        super().__init__(
            f"{message} Nothing was changed. Try again in a minute; if it happens again, tell whoever runs this "
            "program."
        )
        self.cause = cause
