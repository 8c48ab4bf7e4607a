"""Races of legal holds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.audit.tombstones import Tombstone
from caseapp.domain.cases.models import Case
from caseapp.domain.erasure.operations import (
    erase_record,
    repeat_erasure,
    request_erasure,
)
from caseapp.domain.erasure.queries import lock_erasure, lock_record_of
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.legal_holds.models import LegalHold
from caseapp.domain.legal_holds.operations import (
    lift_legal_hold,
    place_legal_hold,
    review_legal_hold,
)
from caseapp.domain.legal_holds.queries import lock_legal_hold, lock_legal_holds
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.operations import discard_draft
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.practice.queries import today
from tests.guarantees.races.race import Race, Team, count
from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.core.actor import Actor


def _placing(actor: Actor, number: str) -> Callable[[], UUID]:
    day = today() + timedelta(days=90)
    return lambda: place_legal_hold(actor, lock_legal_holds(actor, number), "court", day)


def _requested(team: Team) -> tuple[builders.CaseIds, UUID]:
    coach = team["coach"]
    made = builders.case(coach)
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    with transaction():
        return made, request_erasure(coach, lock_record_of(coach, made.client_id), "client")


def placing(team: Team) -> Race:
    """Place a legal hold while the record is being erased: it is too late."""
    supervisor = team["supervisor"]
    made, erasure_id = _requested(team)
    return Race(
        lambda: erase_record(supervisor, lock_erasure(supervisor, erasure_id)),
        _placing(team["admin"], made.number),
        "record_erased",
    )


def erasing(team: Team) -> Race:
    """Erase a record on which a legal hold is being placed: it is kept."""
    supervisor = team["supervisor"]
    made, erasure_id = _requested(team)
    return Race(
        _placing(team["admin"], made.number),
        lambda: erase_record(supervisor, lock_erasure(supervisor, erasure_id)),
        "legal_hold",
        lambda: count(ClientKey, ClientKey.client_id == made.client_id) == 1,
    )


def repeating(team: Team) -> Race:
    """Erase a record again that has come back, while a legal hold is being placed on it: it is kept."""
    supervisor, admin = team["supervisor"], team["admin"]
    made, erasure_id = _requested(team)
    is_of_client = ClientKey.client_id == made.client_id
    key = db.session.execute(
        sa.select(ClientKey.wrapped, ClientKey.wrapped_by).where(is_of_client)
    ).one()
    db.session.rollback()
    with transaction():
        erase_record(supervisor, lock_erasure(supervisor, erasure_id))
    with transaction():
        db.session.add(ClientKey(client_id=made.client_id, **key._mapping))  # noqa: SLF001
    tombstone = Tombstone(erasure_id, made.client_id, now(), "ab" * 32, None, [])
    return Race(
        _placing(admin, made.number),
        lambda: repeat_erasure(admin, tombstone),
        "held_since",
        lambda: count(ClientKey, is_of_client) == 1,
    )


def discarding(team: Team) -> Race:
    """Discard a draft in a record on which a legal hold is being placed: it stays."""
    coach = team["coach"]
    made = builders.case(coach)
    draft = builders.draft(coach, made.case_id)
    return Race(
        _placing(team["admin"], made.number),
        lambda: discard_draft(coach, lock_note(coach, draft), 1),
        "legal_hold",
        lambda: count(Note, Note.id == draft) == 1,
    )


def _placed(team: Team) -> UUID:
    made = builders.case(team["coach"])
    with transaction():
        return _placing(team["supervisor"], made.number)()


def _lifting(team: Team, hold_id: UUID) -> Callable[[], None]:
    admin = team["admin"]
    return lambda: lift_legal_hold(admin, lock_legal_hold(admin, hold_id), "ended")


def lifting(team: Team) -> Race:
    """Lift a legal hold that is being lifted."""
    hold_id = _placed(team)
    return Race(
        _lifting(team, hold_id),
        _lifting(team, hold_id),
        "legal_hold_lifted",
        lambda: count(LegalHold, LegalHold.lifted_at.is_not(None)) >= 1,
    )


def reviewing(team: Team) -> Race:
    """Review a legal hold that is being lifted."""
    hold_id, supervisor = _placed(team), team["supervisor"]
    day = today() + timedelta(days=9)
    return Race(
        _lifting(team, hold_id),
        lambda: review_legal_hold(supervisor, lock_legal_hold(supervisor, hold_id), day),
        "legal_hold_lifted",
    )


LEGAL_HOLDS = {
    "place_legal_hold": placing,
    "lift_legal_hold": lifting,
    "review_legal_hold": reviewing,
    "repeat_erasure": repeating,
}
MORE_LEGAL_HOLDS = {"erase_record, held": erasing, "discard_draft, held": discarding}
