"""Queries for merging clients: the locks of both, what a merge depends on, and what is left of a merged record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Stale
from caseapp.core.permissions import Action
from caseapp.core.transaction import locked_clients
from caseapp.core.vault import unseal_text
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.bulk_assignments.models import WAITING, BulkAssignmentItem
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.matches import identify, list_match_reasons
from caseapp.domain.clients.models import (
    AccessDenial,
    CareTeamMember,
    EmergencyAccess,
    PossibleConflict,
)
from caseapp.domain.clients.queries import (
    LockedClient,
    get_client_record,
    get_client_under_key,
    lock_client,
    open_visible_key,
    take_client_lock,
)
from caseapp.domain.clients.visibility import in_role, is_responsible_for, is_visible_to
from caseapp.domain.consent.queries import list_counting
from caseapp.domain.consent.rules import derive_standing
from caseapp.domain.contacts.models import Contact
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.legal_holds.queries import has_legal_hold
from caseapp.domain.merges.models import ClientMerge
from caseapp.domain.merges.rules import MergedRecord, MergeFacts, list_merge_blockers
from caseapp.domain.notes.models import Note
from caseapp.domain.safety_plans.models import SafetyPlan
from caseapp.domain.safety_plans.queries import list_versions
from caseapp.domain.screening.history import list_safety_histories
from caseapp.domain.screening.state import fold
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import get_user_names
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.safety_plans.schemas import PlanVersion
    from caseapp.domain.screening.history import SafetyHistory
    from caseapp.domain.screening.records import Flag, Hold

# Erasures belong to a package above this one; here only what waits is read.
ERASURE = sa.table("erasure", sa.column("client_id", sa.Uuid), sa.column("state", sa.String))
COUNTED: dict[str, type[Note | Contact | Assignment | SafetyPlan]] = {
    "Notes": Note,
    "Entries in the contact log": Contact,
    "Handouts": Assignment,
    "Safety plans": SafetyPlan,
}


@dataclass(frozen=True)
class LockedMerge:
    """The client whose record goes and the one whose record stays, both locked; only `lock_merge` makes one."""

    gone: LockedClient
    stays: LockedClient


def lock_merge(actor: Actor, gone: UUID | str, stays: UUID | str) -> LockedMerge:
    """Lock two clients in the order of their ids, then load both; each is given by their id or a case's number.

    Raises NotFound, also for a client whom the actor doesn't see, Stale when a case was moved by another merge while
    this waited, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CLIENT_MERGE)
    locked_clients()
    wanted = [find_owner(gone), find_owner(stays)]
    for client_id in sorted({*wanted}):
        take_client_lock(client_id)
    if [find_owner(gone), find_owner(stays)] != wanted:
        raise Stale
    return LockedMerge(*(lock_client(actor, client_id) for client_id in wanted))


def find_owner(ref: UUID | str) -> UUID:
    """Return the id of a client that is given by it, or by a case's number.

    Raises NotFound for a number that there isn't; whether the actor sees the client isn't checked.
    """
    if not isinstance(ref, str):
        return ref
    found = db.session.scalar(sa.select(Case.client_id).where(Case.number == ref))
    if found is None:
        raise NotFound
    return found


def find_merge_facts(actor: Actor, gone: ClientRecord, stays: ClientRecord) -> MergeFacts:
    """Find what the merge of one client's record into another one's depends on; the actor was found to see both."""
    histories = list_safety_histories({gone.id, stays.id})
    states = {client_id: fold(history.events) for client_id, history in histories.items()}

    def find(client: ClientRecord, other: ClientRecord) -> MergedRecord:
        answers = _ask(actor, client.id, other.id)
        return MergedRecord(client, states[client.id], **answers)

    reasons = list_match_reasons(identify(gone), stays.id)
    _, withdrawn_on = derive_standing(list_counting(gone.id, stays.id))
    return MergeFacts(
        find(gone, stays),
        find(stays, gone),
        frozenset(reasons),
        is_decided=_is_decided(gone.id, stays.id),
        withdrawn_on=withdrawn_on,
    )


def _is_decided(*pair: UUID) -> bool:
    decided = sa.exists().where(
        PossibleConflict.client_id.in_(pair),
        PossibleConflict.other_id.in_(pair),
        PossibleConflict.decided_at.is_not(None),
    )
    return db.session.scalar(sa.select(decided)) or False


def _ask(actor: Actor, client_id: UUID, other_id: UUID) -> dict[str, Any]:
    """Ask, with one statement for all facts but the people, what else a merge depends on at a client."""
    moment = now()
    coaches = (
        sa.select(User.id)
        .join(CareTeamMember, CareTeamMember.user_id == User.id)
        .where(
            CareTeamMember.client_id == client_id,
            in_role(CareTeamMember, COACH),
            User.disabled_at.is_(None),
        )
    )
    denied = sa.select(AccessDenial.user_id).where(
        AccessDenial.client_id == client_id, AccessDenial.ended_at.is_(None)
    )
    pair = (PossibleConflict.client_id, PossibleConflict.other_id)
    facts = {
        "has_open_case": [Case.client_id == client_id, Case.status == "open"],
        "has_emergency": [
            EmergencyAccess.client_id == client_id,
            sa.or_(EmergencyAccess.reviewed_at.is_(None), EmergencyAccess.ends_at > moment),
        ],
        "has_erasure": [ERASURE.c.client_id == client_id, ERASURE.c.state == "requested"],
        "has_draft": [Note.client_id == client_id, Note.status == "draft"],
        "has_waiting_handout": [
            BulkAssignmentItem.client_id == client_id,
            BulkAssignmentItem.state == WAITING,
        ],
        "has_undecided": [
            PossibleConflict.decided_at.is_(None),
            sa.or_(*(one == client_id for one in pair)),
            *(one != other_id for one in pair),
        ],
    }
    private = (
        [WorksheetResponse.client_id == client_id],
        [WorksheetUpload.client_id == client_id, WorksheetUpload.sent_at.is_(None)],
        [FormDraft.client_id == client_id, FormDraft.author_id == client_id],
    )
    is_private = sa.or_(*(sa.exists().where(*where) for where in private))
    row = db.session.execute(
        sa.select(
            *(sa.exists().where(*where).label(name) for name, where in facts.items()),
            has_legal_hold(client_id).label("has_legal_hold"),
            is_private.label("has_private_writing"),
            sa.select(sa.func.max(SafetyPlan.created_at, type_=SafetyPlan.created_at.type))
            .where(SafetyPlan.client_id == client_id)
            .scalar_subquery()
            .label("plan_at"),
        )
    ).one()
    return {
        **row._asdict(),
        "coaches": frozenset(db.session.scalars(coaches)),
        "denied": frozenset(db.session.scalars(denied)),
        "is_responsible": is_responsible_for(actor.role, actor.id, client_id),
    }


@dataclass(frozen=True)
class CaseOfClient:
    """A case of one of the two clients, as the page of a merge shows it."""

    number: str
    status: str
    stage: str
    opened_at: datetime


@dataclass(frozen=True)
class MergeSide:
    """One of the two records as the page of a merge shows it: the details, the cases, the coaches, and counts."""

    client: ClientRecord
    cases: list[CaseOfClient]
    coaches: list[str]
    counts: dict[str, int]


@dataclass(frozen=True)
class Merge:
    """Two records side by side, and why the first can't be merged into the second; empty when it can.

    `is_decided` tells that somebody has decided that both can be coached here, so that the supervisor has to confirm
    that they know of it.
    """

    gone: MergeSide
    stays: MergeSide
    blockers: list[Reason]
    is_decided: bool


def get_merge(actor: Actor, gone: UUID, stays: str) -> Merge:
    """Load a client and that of a case side by side.

    Raises NotFound, also for a case that the actor doesn't see.
    """
    require(actor, Action.CLIENT_MERGE)
    records = [get_client_record(actor, find_owner(ref)) for ref in (gone, stays)]
    facts = find_merge_facts(actor, *records)
    first, second = map(_describe, records)
    blockers = list_merge_blockers(facts, despite_decision=True)
    return Merge(first, second, blockers, facts.is_decided)


def _describe(record: ClientRecord) -> MergeSide:
    cases = db.session.execute(
        sa.select(Case.number, Case.status, Case.stage, Case.opened_at)
        .where(Case.client_id == record.id)
        .order_by(Case.opened_at, Case.id)
    )
    coaches = db.session.scalars(
        sa.select(User.name)
        .join(CareTeamMember, CareTeamMember.user_id == User.id)
        .where(CareTeamMember.client_id == record.id, in_role(CareTeamMember, COACH))
        .order_by(User.name)
    )
    counts = {
        label: sa.select(sa.func.count()).select_from(table).where(table.client_id == record.id)
        for label, table in COUNTED.items()
    }
    counts["Open actions"] = (
        sa.select(sa.func.count())
        .select_from(FollowUp)
        .where(FollowUp.client_id == record.id, FollowUp.completed_at.is_(None))
    )
    found = db.session.execute(sa.select(*(one.scalar_subquery() for one in counts.values()))).one()
    return MergeSide(
        record,
        [CaseOfClient(*row) for row in cases],
        [*coaches],
        dict(zip(counts, found, strict=True)),
    )


def list_merged(client_id: UUID) -> list[UUID]:
    """List the clients whose records were merged into that of a client, also through another one."""
    return [*find_merged([client_id])]


def find_merged(client_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Find the clients whose records were merged into those of some clients, each with which of them has it now."""
    found: dict[UUID, UUID] = {}
    waiting = {client_id: client_id for client_id in client_ids}
    while waiting:
        into = (
            sa.select(ClientMerge.client_id, ClientMerge.into_id)
            .where(ClientMerge.into_id.in_(waiting))
            .order_by(ClientMerge.merged_at)
        )
        waiting = {gone: waiting[stays] for gone, stays in db.session.execute(into)}
        found |= waiting
    return found


def list_survivors(client_id: UUID) -> list[UUID]:
    """List the clients into whose records that of a client was merged, one after the other; access isn't checked."""
    found = [client_id]
    into = sa.select(ClientMerge.into_id)
    while stays := db.session.scalar(into.where(ClientMerge.client_id == found[-1])):
        found.append(stays)
    return found[1:]


def find_survivor(actor: Actor, client_id: UUID) -> UUID | None:
    """Return the client into whose record that of another one was merged, where the actor sees that client."""
    require(actor, Action.CLIENT_READ)
    survivors = list_survivors(client_id)
    if not survivors:
        return None
    stays = survivors[-1]
    visible = sa.select(is_visible_to(actor, sa.literal(stays, ClientMerge.into_id.type)))
    return stays if db.session.scalar(visible) else None


def has_earlier_records(client_id: UUID) -> bool:
    """Tell whether a record was merged into that of a client; access was already checked."""
    found = sa.exists().where(ClientMerge.into_id == client_id)
    return db.session.scalar(sa.select(found)) or False


@dataclass(frozen=True)
class EarlierRecord:
    """A record that was merged into a client's: when, by whom and why, and everything that was not merged.

    That is the client's details in it, its safety events, and every version of its safety plans. `names` are those of
    the people whom the safety events name.
    """

    client: ClientRecord
    merged_at: datetime
    merged_by: str
    reason: str
    history: SafetyHistory
    plans: tuple[PlanVersion, ...]
    names: dict[UUID, str]

    @property
    def holds(self) -> list[Hold]:
        """List the holds, the oldest first."""
        return [*self.history.holds.values()]

    @property
    def flags(self) -> list[Flag]:
        """List the flags, the oldest first."""
        return [*self.history.flags.values()]


def list_earlier_records(actor: Actor, client_id: UUID) -> list[EarlierRecord]:
    """List the records that were merged into a client's, also through another one, the newest merge first.

    A record whose key was destroyed is left out. Raises NotFound when the actor doesn't see the client, and SealBroken
    when a safety event was changed.
    """
    for action in (Action.CLIENT_READ, Action.SCREENING_READ, Action.PLAN_READ):
        require(actor, action)
    keys = {client_id: open_visible_key(actor, client_id)}
    if not (gone := list_merged(client_id)):
        return []
    found = db.session.execute(
        sa.select(ClientMerge, User.name)
        .join(User, User.id == ClientMerge.merged_by)
        .where(ClientMerge.client_id.in_(gone))
        .order_by(ClientMerge.merged_at.desc())
    ).all()
    histories = list_safety_histories(gone)
    keys |= {one: history.key for one, history in histories.items()}
    names = get_user_names({*_list_people(histories.values())})
    return [
        EarlierRecord(
            get_client_under_key(history.key),
            merge.merged_at,
            name,
            unseal_text("client_merge", "reason", merge.id, merge.reason, keys[merge.into_id])
            or "",
            history,
            list_versions(merge.client_id, history.key),
            names,
        )
        for merge, name in found
        if (history := histories.get(merge.client_id))
    ]


def _list_people(histories: Iterable[SafetyHistory]) -> Iterator[UUID]:
    for history in histories:
        for hold in history.holds.values():
            yield from filter(None, (hold.opened_by, hold.released_by, hold.allowed_by))
        for flag in history.flags.values():
            yield from filter(None, (flag.set_by, flag.cleared_by))
