"""Rules for clients' requests to correct a signed note: when one is recorded, by when and by whom it is answered.

Pure functions.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.core.permissions import Role
from caseapp.domain.notes.rules import NOT_RESPONSIBLE, NOT_SIGNED, NOTE_IN_ERROR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.notes.amendment_records import AmendmentRequest
    from caseapp.domain.notes.amendment_schemas import NewAmendmentRequest
    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import NoteRecord

ANSWER_DAYS = 30
"""Days within which a request is answered: one month in the GDPR (article 12, 3), 60 days in HIPAA (45 CFR 164.526);
the shorter one. Awaiting legal sign-off."""
ASKED_ALREADY = Reason(
    "amendment_open",
    "A request to correct this note is waiting for an answer.",
    "Answer it first. Then the client can ask for something else.",
)
NOTHING_OPEN = Reason(
    "no_open_amendment",
    "No request to correct this note is waiting for an answer.",
    "There is nothing to do. The note shows whether it was accepted or declined.",
)


def find_due(requested_on: date, zone: str) -> datetime:
    """Find when a request has to be answered: at the end of the last day, in the time zone `zone`."""
    day = requested_on + timedelta(days=ANSWER_DAYS)
    return datetime.combine(day, time(23, 59, 59), ZoneInfo(zone)).astimezone(UTC)


def find_open(requests: Sequence[AmendmentRequest]) -> AmendmentRequest | None:
    """Find the request of a note that waits for an answer; there is one at most."""
    return next((each for each in requests if each.state == "open"), None)


def list_request_blockers(note: NoteRecord, requests: Sequence[AmendmentRequest]) -> list[Reason]:
    """List why a client's request to correct a note can't be recorded; empty when it can.

    Whether the note is as it was signed doesn't matter: that the client finds it wrong is recorded all the same.
    """
    if note.status != "signed":
        return [NOT_SIGNED]
    if note.in_error:
        return [NOTE_IN_ERROR]
    return [ASKED_ALREADY] if find_open(requests) else []


def find_request_faults(
    new: NewAmendmentRequest, session_on: date, today: date
) -> dict[str, list[str]]:
    """Find what is wrong with a request: messages by field, empty when all is right."""
    if new.requested_on > today:
        return {"requested_on": ["This day is in the future."]}
    if new.requested_on < session_on:
        return {"requested_on": ["This day is before the session."]}
    return {}


def list_answer_blockers(
    note: NoteRecord,
    requests: Sequence[AmendmentRequest],
    actor_id: UUID,
    coach_id: UUID | None,
    *,
    is_supervisor: bool,
) -> list[Reason]:
    """List why somebody who may read a note can't answer the open request; empty when they can.

    Its author answers, the client's coach (`coach_id`), or a supervisor. Product proposal, awaiting sign-off.
    """
    if find_open(requests) is None:
        return [NOTHING_OPEN]
    return [] if is_supervisor or actor_id in {note.author_id, coach_id} else [NOT_RESPONSIBLE]


def check_request(
    note: LockedNote,
    found: NoteRecord,
    requests: Sequence[AmendmentRequest],
    new: NewAmendmentRequest,
    session_on: date,
    today: date,
) -> None:
    """Check that a request to correct a note can be recorded, as note and requests were `found` after the lock.

    Raises RuleBroken, and Invalid naming what is wrong with it.
    """
    assert found.id == note.row.id  # noqa: S101 - the caller has read the note that it has locked
    refuse_for(list_request_blockers(found, requests))
    if faults := find_request_faults(new, session_on, today):
        raise Invalid(faults)


def check_answer(
    actor: Actor,
    note: LockedNote,
    found: NoteRecord,
    requests: Sequence[AmendmentRequest],
    coach_id: UUID | None,
) -> None:
    """Check that somebody can answer the open request, as note and requests were `found` after the lock.

    Raises RuleBroken.
    """
    assert found.id == note.row.id  # noqa: S101 - the caller has read the note that it has locked
    is_supervisor = actor.role is Role.SUPERVISOR
    refuse_for(
        list_answer_blockers(found, requests, actor.id, coach_id, is_supervisor=is_supervisor)
    )
