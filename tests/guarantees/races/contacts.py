"""Races of changes of the contact log and of the disclosure log, and of a copy for the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.operations import mark_contact_in_error, record_contact
from caseapp.domain.contacts.queries import lock_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.dashboard.copy_operations import record_copy
from caseapp.domain.dashboard.copy_schemas import MadeCopy, NewCopy, make_passphrase
from caseapp.domain.dashboard.timeline_filter import EVERYTHING
from caseapp.domain.disclosures.models import Disclosure
from caseapp.domain.disclosures.operations import record_disclosure
from caseapp.domain.disclosures.schemas import NewDisclosure
from caseapp.domain.practice.queries import today
from tests.guarantees.races.race import Race, Team, count, recording_urgent
from tests.support import builders

if TYPE_CHECKING:
    from uuid import UUID


def correcting(team: Team) -> Race:
    """Mark an entry as recorded in error while somebody else does: it is once."""
    coach = team["coach"]
    client_id: UUID = builders.client(coach)
    with transaction():
        entry_id = record_contact(coach, lock_client(coach, client_id), NewContact("no_show"))

    def mark() -> None:
        mark_contact_in_error(coach, lock_contact(coach, entry_id), "She came after all.")

    return Race(
        mark, mark, "already_in_error", lambda: count(Contact, Contact.corrects_id == entry_id) == 1
    )


def recording(team: Team) -> Race:
    """Record contact while the same is being recorded: both are kept, since it may have happened twice."""
    coach = team["coach"]
    client_id: UUID = builders.client(coach)

    def add() -> None:
        record_contact(coach, lock_client(coach, client_id), NewContact("contact", method="call"))

    return Race(add, add, holds=lambda: count(Contact, Contact.client_id == client_id) == 2)


def disclosing(team: Team) -> Race:
    """Record a disclosure while the same is being recorded: both are kept, since it may have happened twice."""
    coach = team["coach"]
    client_id: UUID = builders.client(coach)

    def add() -> None:
        given = NewDisclosure(today(), "The client", "Two notes.", "She asked.")
        record_disclosure(coach, lock_client(coach, client_id), given)

    return Race(add, add, holds=lambda: count(Disclosure, Disclosure.client_id == client_id) == 2)


def copying(team: Team) -> Race:
    """Record that a client gets a copy by email while an answer opens a safety hold."""
    coach = team["coach"]
    made = builders.case(coach, safe=SafeContact(("email",)))
    by_mail = NewCopy(EVERYTHING, "email", asked_alone=True, passphrase=make_passphrase())
    copy = MadeCopy(b"%PDF-2.0", 1, sha256="")
    return Race(
        recording_urgent(coach, made),
        lambda: record_copy(coach, lock_case(coach, made.case_id), by_mail, copy),
        "copy_only_in_person",
        lambda: count(Disclosure, Disclosure.client_id == made.client_id) == 0,
    )


CONTACTS = {
    "record_copy": copying,
    "record_contact": recording,
    "record_disclosure": disclosing,
    "mark_contact_in_error": correcting,
}
