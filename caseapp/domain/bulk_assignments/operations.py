"""Changes to bulk assignments: start one, and process its cases one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal, seal_padded_json, unseal_column, unseal_json
from caseapp.domain.assignments.operations import create_assignment, validate_due_on
from caseapp.domain.assignments.queries import list_assigned_client_ids
from caseapp.domain.audit.operations import record
from caseapp.domain.bulk_assignments.models import (
    ASSIGNED,
    CASE_NOT_FOUND,
    CREATOR_INACTIVE,
    FAILED,
    SKIPPED,
    WAITING,
    BulkAssignment,
    BulkAssignmentItem,
)
from caseapp.domain.bulk_assignments.queries import (
    assess_candidate,
    describe_reason,
    list_candidates,
)
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.handouts.queries import get_handout_version, get_handout_version_by_id
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION
from caseapp.domain.users.queries import find_job_actor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from caseapp.core.vault import DataKey
    from caseapp.domain.bulk_assignments.queries import Candidate
    from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment

BULK_ASSIGNMENT = "bulk_assignment"
NOT_CONFIRMED = "not_confirmed"
MAX_ATTEMPTS = 3
BLOCK_SIZE = 512
"""Bytes: codes of reasons are filled up to a multiple of this, so that their length doesn't tell how many there are."""


def start_bulk_assignment(actor: Actor, slug: str, wanted: NewBulkAssignment) -> UUID:
    """Create a bulk assignment, assessed now, and queue its job; in a fixed number of statements.

    Cases that the actor can't see are ignored. Blocked cases, and those with cautions that were not confirmed, are
    skipped from the start. Raises NotFound, Invalid for a due day out of range, and RuleBroken when a newer version was
    published meanwhile or no case is left.
    """
    require(actor, Action.ASSIGNMENT_CREATE)
    item = get_handout_version(slug, wanted.language)
    if wanted.handout_version is not None and wanted.handout_version != item.handout.version:
        raise RuleBroken(
            Reason(
                "handout_version_changed",
                "There is a newer version of this handout.",
                "Read the newest version, then choose again.",
            )
        )
    due_on = validate_due_on(wanted.due_on)
    found = list_candidates(actor, item, wanted.channel, wanted.cases)
    if not found:
        raise NotFound
    bulk_assignment = BulkAssignment(
        id=new_id(),
        slug=slug,
        language=wanted.language,
        handout_version_id=item.handout_version_id,
        channel=wanted.channel,
        due_on=due_on,
        created_at=now(),
        created_by=actor.id,
    )
    decided = [(candidate, _find_skip_codes(candidate, wanted)) for candidate in found]
    if all(codes is not None for _, codes in decided):
        raise RuleBroken(
            Reason(
                "no_eligible_client",
                "None of the clients you chose can get this handout now.",
                "Choose other clients or another handout.",
            ),
            *{
                code: describe_reason(code, item.handout)
                for _, codes in decided
                for code in codes or ()
            }.values(),
        )
    db.session.add(bulk_assignment)
    db.session.flush()
    db.session.add_all(
        _build_item(bulk_assignment, candidate, skipped_for, wanted.message)
        for candidate, skipped_for in decided
    )
    db.session.flush()
    record(
        actor,
        Action.ASSIGNMENT_CREATE,
        "bulk_assignment",
        bulk_assignment.id,
        details={
            "slug": slug,
            "language": wanted.language,
            "number": item.handout.version,
            "channel": wanted.channel,
            "due_on": due_on.isoformat() if due_on else None,
            "cases": len(found),
        },
    )
    outbox.enqueue(BULK_ASSIGNMENT, {"bulk_assignment": bulk_assignment.id.hex})
    return bulk_assignment.id


def _find_skip_codes(candidate: Candidate, wanted: NewBulkAssignment) -> list[str] | None:
    """Return the codes for which a case is skipped from the start, or None when it waits."""
    if candidate.outcome == BLOCKED:
        return candidate.codes
    read = wanted.confirmed.get(candidate.context.case.id)
    if candidate.outcome == CAUTION and (read is None or not read.issuperset(candidate.codes)):
        return [NOT_CONFIRMED, *candidate.codes]
    return None


def _build_item(
    bulk_assignment: BulkAssignment,
    candidate: Candidate,
    skipped_for: list[str] | None,
    message: str,
) -> BulkAssignmentItem:
    case, key, waits = candidate.context.case, candidate.context.key, skipped_for is None
    row = BulkAssignmentItem(
        id=new_id(),
        bulk_assignment_id=bulk_assignment.id,
        case_id=case.id,
        client_id=case.client_id,
        confirmed=waits and candidate.outcome == CAUTION,
        state=WAITING if waits else SKIPPED,
        attempts=0,
        done_at=None if waits else bulk_assignment.created_at,
    )
    row.codes = _seal_codes(row, candidate.codes if skipped_for is None else skipped_for, key)
    row.message = seal(row, "message", message or None, key) if waits else None
    return row


def _seal_codes(row: BulkAssignmentItem, codes: Iterable[str], key: DataKey) -> bytes:
    return seal_padded_json(row, "codes", [*codes], BLOCK_SIZE, key)


def process_item(item_id: UUID) -> None:
    """Assess one waiting case again with the creator's current rights, then assign or skip.

    A case that another worker is processing is left alone. Safe to repeat.
    """
    row = db.session.execute(
        sa.select(BulkAssignmentItem, BulkAssignment)
        .join(BulkAssignment, BulkAssignment.id == BulkAssignmentItem.bulk_assignment_id)
        .where(BulkAssignmentItem.id == item_id, BulkAssignmentItem.state == WAITING)
        .with_for_update(of=BulkAssignmentItem, skip_locked=True)
    ).first()
    if row is None:
        return
    item: BulkAssignmentItem = row.BulkAssignmentItem
    result = _assign_or_explain(item, row.BulkAssignment)
    item.state = ASSIGNED if result.assignment_id else SKIPPED
    item.assignment_id, item.codes = result.assignment_id, result.codes
    item.failure, item.message, item.done_at = result.failure, None, now()


@dataclass(frozen=True)
class _Result:
    """The new assignment's id, or the sealed codes of its blockers, or what has failed."""

    assignment_id: UUID | None = None
    codes: bytes | None = None
    failure: str | None = None


def _assign_or_explain(item: BulkAssignmentItem, bulk_assignment: BulkAssignment) -> _Result:
    """Assign the handout, or say why not; a confirmation only covers the reasons that were shown."""
    take_client_lock(item.client_id)
    actor = find_job_actor(bulk_assignment.created_by)
    if actor is None or not actor.may(Action.ASSIGNMENT_CREATE):
        return _Result(failure=CREATOR_INACTIVE)
    try:
        case = lock_case(actor, item.case_id)
    except NotFound:
        return _Result(failure=CASE_NOT_FOUND)
    version = get_handout_version_by_id(bulk_assignment.handout_version_id)
    already_assigned = bool(
        list_assigned_client_ids(version, bulk_assignment.channel, {item.client_id})
    )
    found = assess_candidate(
        case,
        version,
        get_practice_info().help_lines,
        bulk_assignment.channel,
        already_assigned=already_assigned,
    )
    if found.outcome == BLOCKED:
        return _Result(codes=_seal_codes(item, found.codes, case.key))
    if set(found.codes) - set(unseal_json(item, "codes", case.key) or ()):
        return _Result(codes=_seal_codes(item, [NOT_CONFIRMED, *found.codes], case.key))
    message = unseal_column(item, "message", case.key) or ""
    return _Result(
        create_assignment(
            actor, case, version, message, bulk_assignment.channel, bulk_assignment.due_on, now()
        )
    )


def count_failure(item_id: UUID) -> None:
    """Count a failed attempt to process a case; after MAX_ATTEMPTS the case is skipped."""
    here = (BulkAssignmentItem.id == item_id, BulkAssignmentItem.state == WAITING)
    db.session.execute(
        sa.update(BulkAssignmentItem).where(*here).values(attempts=BulkAssignmentItem.attempts + 1)
    )
    db.session.execute(
        sa.update(BulkAssignmentItem)
        .where(*here, BulkAssignmentItem.attempts >= MAX_ATTEMPTS)
        .values(state=SKIPPED, codes=None, failure=FAILED, message=None, done_at=now())
    )
