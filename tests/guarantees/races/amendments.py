"""Races of changes of clients' requests to correct a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.transaction import transaction
from caseapp.domain.notes.amendment_operations import (
    accept_request,
    decline_request,
    record_request,
)
from caseapp.domain.notes.amendment_schemas import NewAmendmentRequest
from caseapp.domain.notes.models import AmendmentRequest
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.practice.queries import today
from tests.guarantees.races.race import Race, Team, count
from tests.support import builders

if TYPE_CHECKING:
    from uuid import UUID

REASON = "It is in the log of that week."


def _ask(team: Team, note_id: UUID) -> None:
    coach = team["coach"]
    new = NewAmendmentRequest(today(), "I never said that.")
    record_request(coach, lock_note(coach, note_id), new)


def _asked(team: Team) -> UUID:
    note_id: UUID = builders.note(team["coach"], builders.case(team["coach"]).case_id)
    with transaction():
        _ask(team, note_id)
    return note_id


def _decline(team: Team, note_id: UUID) -> None:
    supervisor = team["supervisor"]
    decline_request(supervisor, lock_note(supervisor, note_id), REASON, 1)


def _accept(team: Team, note_id: UUID) -> None:
    coach = team["coach"]
    accept_request(coach, lock_note(coach, note_id), "She slept four hours.", 1)


def asking(team: Team) -> Race:
    """Record a request while another one about the same note is being recorded."""
    note_id: UUID = builders.note(team["coach"], builders.case(team["coach"]).case_id)
    return Race(
        lambda: _ask(team, note_id),
        lambda: _ask(team, note_id),
        "amendment_open",
        lambda: count(AmendmentRequest, AmendmentRequest.note_id == note_id) == 1,
    )


def accepting(team: Team) -> Race:
    """Accept a request while somebody declines it."""
    note_id = _asked(team)
    return Race(
        lambda: _decline(team, note_id), lambda: _accept(team, note_id), "no_open_amendment"
    )


def declining(team: Team) -> Race:
    """Decline a request while somebody accepts it."""
    note_id = _asked(team)
    return Race(
        lambda: _accept(team, note_id), lambda: _decline(team, note_id), "no_open_amendment"
    )


AMENDMENTS = {
    "record_request": asking,
    "accept_request": accepting,
    "decline_request": declining,
}
