"""Rules about consent: how it stands, and what an entry must say. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.consent.codes import EARLIER_TEXT, GIVEN, MISSING, WITHDRAWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from uuid import UUID

    from caseapp.domain.clients.queries import ClientRecord, LockedClient
    from caseapp.domain.consent.queries import LockedConsent, LockedTexts
    from caseapp.domain.consent.schemas import (
        ConsentTextRecord,
        ConsentWithdrawal,
        NewConsent,
        NewConsentText,
    )

ALREADY_WITHDRAWN = Reason(
    "consent_already_withdrawn",
    "This client’s withdrawal is already recorded.",
    "If they have agreed again since, record that first.",
)
NO_VERSION = Reason(
    "no_consent_text",
    "There is no published text that this could be a translation of.",
    "Publish it as a new version.",
)
ALREADY_IN_ERROR = Reason(
    "already_in_error",
    "This entry is already marked as recorded in error.",
    "Record what is right as a new entry.",
)
IN_FUTURE = "This day is in the future."
TOO_LONG_AGO = "This day is more than ten years ago. Check the year."
LONGEST_AGO = timedelta(days=3653)


@dataclass(frozen=True)
class ConsentState:
    """How a client's consent stands: one of `STATES`, and for a withdrawal the day of it."""

    state: str
    withdrawn_on: date | None = None

    @property
    def is_given(self) -> bool:
        """Tell whether nothing is missing."""
        return self.state == GIVEN


def derive_consent(client: ClientRecord, published: int) -> ConsentState:
    """Derive how a client's consent stands; `published` is the practice's newest version, 0 when it has none.

    What intake recorded counts until the practice publishes a text.
    """
    if client.consent_withdrawn_on is not None:
        return ConsentState(WITHDRAWN, client.consent_withdrawn_on)
    if client.consent_version is None and client.consent_on is None:
        return ConsentState(MISSING)
    return ConsentState(EARLIER_TEXT if (client.consent_version or 0) < published else GIVEN)


def find_consent_faults(
    new: NewConsent, client: ClientRecord, published: Mapping[UUID, date], today: date
) -> dict[str, list[str]]:
    """Find what is wrong with a consent to record: messages by field, empty when all is right.

    `published` has the day on which each text was published, by its id: nobody agreed to it before. What was given
    before a withdrawal doesn't end it.
    """
    faults = {}
    if published and new.text_id is None:
        faults["text_id"] = ["Choose the text that the client agreed to."]
    elif new.text_id is not None and new.text_id not in published:
        faults["text_id"] = ["Choose one of the published texts."]
    if wrong := _find_day_fault(new.given_on, today):
        faults["given_on"] = [wrong]
    elif client.consent_withdrawn_on is not None and new.given_on < client.consent_withdrawn_on:
        faults["given_on"] = [
            "The client withdrew consent after this day. Enter the day on which they gave it again."
        ]
    elif new.text_id is not None and new.given_on < published.get(new.text_id, new.given_on):
        faults["given_on"] = [
            "The chosen text was published after this day. Enter a later day, or choose an earlier text."
        ]
    return faults


def find_withdrawal_faults(
    new: ConsentWithdrawal, last_given_on: date | None, today: date
) -> dict[str, list[str]]:
    """Find what is wrong with a withdrawal to record: messages by field, empty when all is right.

    `last_given_on` is the newest day on which the client gave consent: an older withdrawal doesn't end that.
    """
    wrong = _find_day_fault(new.withdrawn_on, today)
    if wrong is None and last_given_on is not None and new.withdrawn_on < last_given_on:
        wrong = (
            "The client gave consent after this day. Enter the day on which they withdrew it since."
        )
    return {"withdrawn_on": [wrong]} if wrong else {}


def derive_standing(entries: Iterable[tuple[bool, int, date]]) -> tuple[int | None, date | None]:
    """Derive the version that a client has agreed to, and the day of a withdrawal that stands, from what counts.

    `entries` are in the order of recording: whether each gives consent, the version of its text (0 for none), and its
    day. An older text counts only after a withdrawal.
    """
    version: int | None = None
    withdrawn_on: date | None = None
    for gives, of_text, day in entries:
        if gives:
            version = of_text if withdrawn_on else max(of_text, version or 0)
        withdrawn_on = None if gives else day
    return version, withdrawn_on


def check_consent_error(consent: LockedConsent) -> None:
    """Check that an entry can be marked as recorded in error.

    Raises RuleBroken when it is already.
    """
    if consent.record.in_error_at is not None:
        refuse_for([ALREADY_IN_ERROR])


def _find_day_fault(day: date, today: date) -> str | None:
    if day > today:
        return IN_FUTURE
    return TOO_LONG_AGO if day < today - LONGEST_AGO else None


def check_withdraw(client: LockedClient) -> None:
    """Check that a withdrawal can be recorded for a client.

    Raises RuleBroken when one is already.
    """
    if client.record.consent_withdrawn_on is not None:
        refuse_for([ALREADY_WITHDRAWN])


def check_publish(texts: LockedTexts, new: NewConsentText) -> int:
    """Check that a text can be published, and return the number of its version.

    Raises RuleBroken for a translation when there is no version, or when the newest one has a text in that language.
    """
    if not new.is_translation:
        return texts.newest + 1
    if not texts.newest:
        refuse_for([NO_VERSION])
    if new.language in texts.languages:
        refuse_for(
            [
                Reason(
                    "consent_text_published",
                    f"Version {texts.newest} already has a text in this language.",
                    "A published text never changes. Publish another one as a new version.",
                )
            ]
        )
    return texts.newest


def choose_text(texts: Sequence[ConsentTextRecord], language: str) -> ConsentTextRecord | None:
    """Choose the text that a form proposes: the newest version, in a client's language if it has one.

    `texts` are those published, the newest version first.
    """
    newest = [text for text in texts if text.version == texts[0].version]
    same = [text for text in newest if text.language == language]
    return next(iter((*same, *newest)), None)
