"""Queries that assess a handout for many cases at once and show the progress of a bulk assignment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_text
from caseapp.domain.assignments.queries import list_assigned_client_ids
from caseapp.domain.assignments.rules import WantedHandout, list_assignment_blockers
from caseapp.domain.bulk_assignments.models import (
    SKIPPED,
    WAITING,
    BulkAssignment,
    BulkAssignmentItem,
)
from caseapp.domain.bulk_assignments.schemas import BulkAssignmentItemRecord, BulkAssignmentRecord
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import CaseContext, list_case_contexts
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.rules import CONTACT_FROZEN
from caseapp.domain.clients.visibility import visible_to
from caseapp.domain.handouts.bars import GENERAL_WORDING, get_bars
from caseapp.domain.handouts.queries import get_handout_version_by_id
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.practice.queries import HelpLines, get_practice_info
from caseapp.domain.suitability.rules import ALLOWED_IN_HOLD_BY_NAME, PORTAL_NOT_SAFE, WAYS_OUT
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION, ELIGIBLE
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import select_visible_coaches

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.handouts.queries import LibraryItem

# Items store the codes; these are the messages for codes without a wording in the handout itself.
REASON_LABELS = GENERAL_WORDING | {
    ALLOWED_IN_HOLD_BY_NAME.code: ALLOWED_IN_HOLD_BY_NAME.message,
    "already_assigned": "The client already has this handout through this channel.",
    "by_hand_only": "There is no confirmed safe way to send anything to this client, so use it only in a session.",
    "case_closed": "The case is closed.",
    "case_not_found": "The coach no longer has access to this case.",
    "channel_not_available": "This handout isn’t available through this channel.",
    CONTACT_FROZEN.code: CONTACT_FROZEN.message,
    "failed": "Something went wrong and nothing was assigned. Try again from the case.",
    "hidden": "The practice has hidden this handout.",
    "help_lines_empty": "The handout needs help lines that the practice hasn’t listed.",
    "hold_open": "A hold is open.",
    "in_session_only": "Use it only in a session, together with the client.",
    "later_stage": "The handout belongs to a later stage.",
    "never_screened": "There is no screening yet.",
    "not_confirmed": "This handout needs caution, and nobody confirmed that they had read the reasons.",
    PORTAL_NOT_SAFE.code: PORTAL_NOT_SAFE.message,
    "recalled": "The practice has recalled this version.",
    "creator_inactive": "The person who started this can no longer assign handouts.",
}


@dataclass(frozen=True)
class Candidate:
    """A case with the suitability of one handout for it now, and the reasons."""

    context: CaseContext
    outcome: str
    reasons: tuple[Reason, ...]

    @property
    def codes(self) -> list[str]:
        """Give the codes of the reasons, as they are stored."""
        return list(dict.fromkeys(reason.code for reason in self.reasons))


def list_candidates(
    actor: Actor, item: LibraryItem, channel: str, case_ids: Iterable[UUID]
) -> list[Candidate]:
    """Assess a handout for many cases, sorted by client name, in a fixed number of statements.

    Cases that the actor can't see are left out.
    """
    require(actor, Action.ASSIGNMENT_CREATE)
    heads = sorted(
        list_case_contexts(actor, case_ids),
        key=lambda context: (context.client.name, context.case.id),
    )
    having = list_assigned_client_ids(item, channel, {context.case.client_id for context in heads})
    help_lines = get_practice_info().help_lines
    return [
        assess_candidate(
            context, item, help_lines, channel, already_assigned=context.case.client_id in having
        )
        for context in heads
    ]


def assess_candidate(
    context: CaseContext,
    item: LibraryItem,
    help_lines: HelpLines,
    channel: str,
    *,
    already_assigned: bool,
) -> Candidate:
    """Assess a handout for one case; a pure function."""
    wanted = WantedHandout(item, channel, already_assigned=already_assigned, confirmed=False)
    found = list_assignment_blockers(context, wanted, help_lines)
    if not found:
        return Candidate(context, ELIGIBLE, ())
    if found[0].code == "confirmation_required":
        return Candidate(context, CAUTION, tuple(found[1:]))
    return Candidate(context, BLOCKED, tuple(found))


def describe_reason(code: str, handout: Handout) -> Reason:
    """Turn a stored code into a reason, with the handout's own wording where it has one."""
    own = {bar.tag: bar.because for bar in get_bars(handout).conditions}
    return Reason(
        code,
        own.get(code) or REASON_LABELS.get(code, "It doesn’t suit the client now."),
        WAYS_OUT.get(code, "Open the case to see what the client can get now."),
    )


def get_bulk_assignment(actor: Actor, bulk_assignment_id: UUID) -> BulkAssignmentRecord:
    """Get a bulk assignment for its creator and their supervisor, with those of its cases that they may see.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    row = db.session.execute(
        sa.select(BulkAssignment, User.name)
        .join(User, User.id == BulkAssignment.created_by)
        .where(
            BulkAssignment.id == bulk_assignment_id,
            BulkAssignment.created_by.in_(select_visible_coaches(actor)),
        )
        .execution_options(populate_existing=True)
    ).first()
    if row is None:
        raise NotFound
    bulk_assignment: BulkAssignment = row.BulkAssignment
    handout = get_handout_version_by_id(bulk_assignment.handout_version_id).handout
    return BulkAssignmentRecord(
        id=bulk_assignment.id,
        handout=handout,
        channel=bulk_assignment.channel,
        due_on=bulk_assignment.due_on,
        created_at=bulk_assignment.created_at,
        created_by=bulk_assignment.created_by,
        created_by_name=row.name,
        items=[
            BulkAssignmentItemRecord(
                case_id=item.case_id,
                number=item.number,
                client=item.name,
                state=item.state,
                reasons=tuple(describe_reason(code, handout) for code in _shown_reasons(item)),
                assignment_id=item.assignment_id,
                done_at=item.done_at,
            )
            for item in _items(actor, bulk_assignment_id)
        ],
    )


def list_waiting_items(bulk_assignment_id: UUID, limit: int) -> Sequence[UUID]:
    """List the next cases of a bulk assignment that still wait, for the job that processes them."""
    return db.session.scalars(
        sa.select(BulkAssignmentItem.id)
        .where(
            BulkAssignmentItem.bulk_assignment_id == bulk_assignment_id,
            BulkAssignmentItem.state == WAITING,
        )
        .order_by(BulkAssignmentItem.id)
        .limit(limit)
    ).all()


def _shown_reasons(item: Any) -> list[str]:  # noqa: ANN401 - a result row
    """Give the codes to show; those of a waiting case are only what was confirmed."""
    if item.state != SKIPPED:
        return []
    if item.failure is not None:
        return [item.failure]
    key = open_listed_client_key(item.wrapped, item.client_id)
    table = BulkAssignmentItem.__tablename__
    return list(json.loads(unseal_text(table, "codes", item.id, item.codes, key) or "[]"))


def _items(actor: Actor, bulk_assignment_id: UUID) -> Sequence[Any]:
    rows = db.session.execute(
        sa.select(
            BulkAssignmentItem.id,
            BulkAssignmentItem.case_id,
            BulkAssignmentItem.client_id,
            Case.number,
            Client.name,
            BulkAssignmentItem.state,
            BulkAssignmentItem.codes,
            BulkAssignmentItem.failure,
            BulkAssignmentItem.assignment_id,
            BulkAssignmentItem.done_at,
            ClientKey.wrapped,
        )
        .join(Case, Case.id == BulkAssignmentItem.case_id)
        .join(Client, Client.id == BulkAssignmentItem.client_id)
        .join(ClientKey, ClientKey.client_id == BulkAssignmentItem.client_id)
        .where(
            BulkAssignmentItem.bulk_assignment_id == bulk_assignment_id,
            BulkAssignmentItem.client_id.in_(visible_to(actor)),
        )
        .order_by(Client.name, BulkAssignmentItem.id)
    ).all()
    note_shown(row.client_id for row in rows)
    return rows
