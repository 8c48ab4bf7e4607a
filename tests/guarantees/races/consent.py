"""Races of changes of consent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.consent.models import Consent, ConsentText
from caseapp.domain.consent.operations import (
    mark_consent_in_error,
    publish_text,
    record_consent,
    withdraw_consent,
)
from caseapp.domain.consent.queries import lock_consent, lock_texts
from caseapp.domain.consent.schemas import ConsentWithdrawal, NewConsent, NewConsentText
from caseapp.domain.practice.queries import today
from tests.guarantees.races.race import Race, Team, count
from tests.support import builders

if TYPE_CHECKING:
    from uuid import UUID


def withdrawing(team: Team) -> Race:
    """Record a withdrawal while somebody else does: it is recorded once."""
    coach = team["coach"]
    client_id: UUID = builders.client(coach)

    def withdraw() -> None:
        told = ConsentWithdrawal(today(), "spoken", "She told me.")
        withdraw_consent(coach, lock_client(coach, client_id), told)

    return Race(
        withdraw,
        withdraw,
        "consent_already_withdrawn",
        lambda: count(Consent, Consent.client_id == client_id) == 1,
    )


def consenting(team: Team) -> Race:
    """Record consent while the same is being recorded: both are kept, since each may be on its own paper."""
    coach = team["coach"]
    client_id: UUID = builders.client(coach)

    def give() -> None:
        record_consent(coach, lock_client(coach, client_id), NewConsent(today(), "written"))

    return Race(give, give, holds=lambda: count(Consent, Consent.client_id == client_id) == 2)


def publishing(team: Team) -> Race:
    """Publish a text while somebody else does: they are two versions."""
    supervisor = team["supervisor"]

    def publish() -> None:
        new = NewConsentText("en-GB", "We keep notes about what you tell us.")
        publish_text(supervisor, lock_texts(supervisor), new)

    def are_two() -> bool:
        return count(ConsentText, ConsentText.version.in_((1, 2))) == 2

    return Race(publish, publish, holds=are_two)


def marking_in_error(team: Team) -> Race:
    """Mark an entry as recorded in error while somebody else does: it is marked once."""
    coach = team["coach"]
    client_id: UUID = builders.client(coach)
    with transaction():
        new = NewConsent(today(), "written")
        consent_id = record_consent(coach, lock_client(coach, client_id), new)

    def mark() -> None:
        mark_consent_in_error(coach, lock_consent(coach, consent_id), "Another client.")

    return Race(mark, mark, "already_in_error")


CONSENT = {
    "mark_consent_in_error": marking_in_error,
    "withdraw_consent": withdrawing,
    "record_consent": consenting,
    "publish_text": publishing,
}
