"""Queries for Today."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.pagination import in_any, literal_limit
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.domain.alerts.queries import list_waiting_alerts
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import select_assignments
from caseapp.domain.assignments.reading import SUSPENDED_PAGE_SIZE, find_suspended
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import list_case_contexts, select_newest_open_cases
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.clients.care_team import get_arrangements
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import unseal_client
from caseapp.domain.clients.visibility import looked_after_by, looks_after_client
from caseapp.domain.dashboard.emergencies import list_reads
from caseapp.domain.dashboard.listed_clients import (
    IS_OPEN,
    MAX_WITHDRAWN,
    ListedCase,
    ListedClient,
    list_clients,
    newest_case_number,
)
from caseapp.domain.dashboard.no_shows import are_more_missed, choose_unanswered, list_at_risk
from caseapp.domain.dashboard.portal_items import MAX_PORTAL_ITEMS, list_portal_items
from caseapp.domain.dashboard.rules import is_overdue_action, is_pressing, sort_by_urgency
from caseapp.domain.dashboard.schemas import (
    LastMet,
    NamedHold,
    OpenHold,
    ProposedConcerns,
    RecentCase,
    StageCount,
    Today,
    WithdrawnConsent,
)
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import IS_REQUIRED, is_own_task, unseal_followup
from caseapp.domain.followups.rules import DueState, get_due_state
from caseapp.domain.intakes.queries import count_notices, select_notices
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.notes.amendment_queries import list_waiting_amendments
from caseapp.domain.notes.cosign_queries import list_reviews
from caseapp.domain.notes.queries import list_own_drafts
from caseapp.domain.notes.unsigned import list_coaches_drafts
from caseapp.domain.screening.marks import HOLD_KINDS, PROPOSED, list_marks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.screening.marks import Mark
    from caseapp.domain.screening.records import Hold

MAX_HOLDS = 25
"""Today lists so many holds and proposals at the most, but every pressing hold that it finds."""
MAX_DRAFTS = 50
MAX_REVIEWS = 25
MAX_FOLLOWUPS = 8
MAX_OVERDUE = 100
"""Today looks for overdue actions among so many that are required and due, however many other tasks a person has."""
MAX_COMPLETED = 100
"""Today looks at so many completed follow-ups of clients who did not come."""
MAX_CASES_PER_STAGE = 200
DUE_WITHIN = timedelta(days=7)
INTAKES = "intakes"
"""The row that counts intakes among those that count the cases of each stage."""


def get_today(actor: Actor) -> Today:
    """Return what needs the actor's attention now, with a fixed number of statements.

    A coach sees their own drafts, follow-ups and clients; a supervisor also those of their coaches, but only the age of
    a coach's draft. An admin sees no clients.
    """
    require(actor, Action.TODAY_READ)
    moment = now()
    if not actor.may(Action.CASE_READ):
        return Today(moment)
    portal_items, reads = list_portal_items(actor), list_reads(actor, moment)
    arranged = get_arrangements(actor.id)
    covered = {cover.coach_id for cover in arranged.covers}
    kinds = (*HOLD_KINDS, PROPOSED)
    marks = list_marks(actor.id, kinds, MAX_HOLDS + 1, covered=covered, until=moment)
    listed = list_clients(actor, {mark.client_id for mark in marks}, moment)
    clients = [client for client in listed if client.is_seen]
    held = {client.id for client in clients if client.safety.holds}
    missed = list_at_risk(clients)
    found = _list_followups(actor, covered, moment, held, missed)
    completed = [task.record for task in found if task.record.completed_at]
    tasks = [task for task in found if not task.record.completed_at]
    holds = _list_open_holds(actor, clients, tasks, moment)
    shown = max(MAX_HOLDS, sum(is_pressing(hold, moment) for hold in holds))
    proposed = _list_proposed(marks, clients)
    withdrawn = _list_withdrawn(clients)
    due = [task for task in tasks if task.is_due]
    cases_by_stage, intakes = _count_by_stage(actor)
    recent = _list_recent_cases(clients)
    note_shown(item.client_id for item in portal_items)
    suspended, counts = _assess_handouts(actor, {case.id for _, case in recent})
    more_cases = sum(count.cases for count in cases_by_stage) > SUSPENDED_PAGE_SIZE
    return Today(
        now=moment,
        covers=arranged.covers,
        lost_covers=arranged.lost_covers,
        intakes=count_notices(actor, intakes),
        waiting_transfers=arranged.waiting_transfers,
        handed_over=arranged.handed_over,
        alerts=list_waiting_alerts(actor),
        named_holds=[
            NamedHold(hold.id, hold.kind, hold.opened_at, client.name)
            for client in listed
            for hold in client.safety.holds
            if not client.is_seen and hold.second_person_id == actor.id
        ],
        portal_items=portal_items[:MAX_PORTAL_ITEMS],
        more_portal_items=len(portal_items) > MAX_PORTAL_ITEMS,
        drafts=list_own_drafts(actor, MAX_DRAFTS),
        coaches_drafts=list_coaches_drafts(actor) if actor.role is Role.SUPERVISOR else [],
        reviews=list_reviews(actor, None, MAX_REVIEWS).items,
        amendments=list_waiting_amendments(actor, None, MAX_REVIEWS).items,
        read_records=[read for read in reads if not read.is_own],
        reading_until=max((read.ends_at for read in reads if read.is_own), default=None),
        holds=holds[:shown],
        more_holds=len(holds) > shown,
        no_shows=choose_unanswered(clients, missed, completed),
        more_no_shows=are_more_missed(clients),
        withdrawn=withdrawn[:MAX_WITHDRAWN],
        more_withdrawn=len(withdrawn) > MAX_WITHDRAWN,
        proposed=proposed[:MAX_HOLDS],
        more_proposed=len(proposed) > MAX_HOLDS,
        followups=[task.record for task in due[:MAX_FOLLOWUPS]],
        more_followups=len(due) > MAX_FOLLOWUPS,
        overdue=[task.record for task in due if is_overdue_action(task.record, moment)],
        recent_cases=[
            _build_recent_case(client, case, counts.get(case.id, (0, 0))) for client, case in recent
        ],
        cases_by_stage=cases_by_stage,
        case_numbers={task.record.client_id: task.number for task in due if task.number},
        suspended=suspended,
        suspended_scope=SUSPENDED_PAGE_SIZE if more_cases else None,
    )


def get_case_numbers(client_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the number of each client's newest case. The caller has already found the clients for this actor."""
    rows = db.session.execute(
        sa.select(Case.client_id, Case.number)
        .where(Case.client_id.in_(set(client_ids)))
        .order_by(Case.opened_at, Case.id)
    )
    return {row.client_id: row.number for row in rows}


def _list_open_holds(
    actor: Actor,
    clients: Iterable[ListedClient],
    tasks: Iterable[ListedFollowUp],
    moment: datetime,
) -> list[OpenHold]:
    """List the open holds of clients by urgency, each with the next required action of the client's holds."""
    following: dict[UUID, FollowUpRecord] = {}
    for task in tasks:
        if task.record.origin_id is not None:
            following.setdefault(task.record.origin_id, task.record)
    found = []
    for client in clients:
        actions = [following[hold.id] for hold in client.safety.holds if hold.id in following]
        # The required actions belong to the strictest hold, and are those of the other one too.
        action = min(actions, key=lambda record: (record.due_at, record.id), default=None)
        found += [_build_hold(actor, client, hold, action, moment) for hold in client.safety.holds]
    return sort_by_urgency(found, moment)


def _list_proposed(
    marks: Iterable[Mark], clients: Iterable[ListedClient]
) -> list[ProposedConcerns]:
    """List the clients in coaching with items that are proposed as concerns, the first proposed first."""
    marked = {mark.client_id for mark in marks if mark.kind == PROPOSED}
    found = [
        ProposedConcerns(client.id, client.name, client.number or "", client.coach or "", proposals)
        for client in clients
        if client.id in marked and client.has_open_case
        if (proposals := client.safety.proposals)
    ]
    return sorted(found, key=lambda each: (each.proposals[0].proposed_at, each.client_id))


def _list_withdrawn(clients: Iterable[ListedClient]) -> list[WithdrawnConsent]:
    """List the clients in coaching who have withdrawn consent, the last to do so first."""
    found = [
        WithdrawnConsent(client.id, client.name, client.number or "", client.consent_withdrawn_on)
        for client in clients
        if client.consent_withdrawn_on and client.has_open_case
    ]
    return sorted(found, key=lambda each: (each.since, each.client_id), reverse=True)


def _build_hold(
    actor: Actor,
    client: ListedClient,
    hold: Hold,
    action: FollowUpRecord | None,
    moment: datetime,
) -> OpenHold:
    return OpenHold(
        id=hold.id,
        client_id=client.id,
        client=client.name,
        number=client.number or "",
        coach=client.coach or "",
        kind=hold.kind,
        opened_at=hold.opened_at,
        urgent_since=hold.renewed_at or hold.opened_at,
        levels=_highest_levels(hold.standing),
        next_followup=action,
        is_overdue=action is not None and get_due_state(action, moment) is DueState.OVERDUE,
        is_named=hold.second_person_id == actor.id,
    )


def _highest_levels(reasons: list[dict[str, Any]]) -> dict[str, int]:
    """Return the highest level of each question in a hold's reasons, highest first."""
    levels: dict[str, int] = {}
    for reason in reasons:
        levels[reason["item"]] = max(levels.get(reason["item"], 0), reason["level"])
    return dict(sorted(levels.items(), key=lambda pair: -pair[1]))


@dataclass(frozen=True)
class ListedFollowUp:
    """An open task with its client's newest case number; `is_due` when it is the actor's own and due soon."""

    record: FollowUpRecord
    number: str | None
    is_due: bool


def _list_followups(
    actor: Actor,
    covered: Collection[UUID],
    moment: datetime,
    held_client_ids: Collection[UUID],
    missed: Mapping[UUID, datetime],
) -> list[ListedFollowUp]:
    """List the actor's own tasks that are due soon, and the next one that a client's hold requires, by due time.

    With them are the last completed ones of the clients who were `missed`: one may have reached the client since.
    Those of `covered` coaches about the clients whom the actor covers are among their own. Of the actor's own tasks
    these are the first ones, and all required actions that are due now, up to MAX_OVERDUE: which of them are overdue
    depends on their kinds, which are sealed.
    """
    until = moment + DUE_WITHIN
    own = (
        sa.select(FollowUp.id)
        .where(
            is_own_task(actor, covered),
            FollowUp.due_at <= until,
            FollowUp.completed_at.is_(None),
            looks_after_client(actor, FollowUp.client_id),
        )
        .order_by(FollowUp.due_at, FollowUp.id)
    )
    due = own.limit(literal_limit(MAX_FOLLOWUPS + 1))
    pressing = own.where(IS_REQUIRED, FollowUp.due_at <= moment).limit(literal_limit(MAX_OVERDUE))
    rank = (
        sa.func.row_number()
        .over(partition_by=FollowUp.client_id, order_by=(FollowUp.due_at, FollowUp.id))
        .label("rank")
    )
    ranked = (
        sa.select(FollowUp.id, rank)
        .where(
            FollowUp.client_id.in_(held_client_ids),
            FollowUp.completed_at.is_(None),
            FollowUp.origin_kind == "hold",
        )
        .subquery()
    )
    completed = (
        sa.select(FollowUp.id)
        .where(
            FollowUp.client_id.in_(missed),
            FollowUp.completed_at >= min(missed.values(), default=moment),
        )
        .order_by(FollowUp.completed_at.desc(), FollowUp.id.desc())
        .limit(literal_limit(MAX_COMPLETED))
    )
    next_ones = sa.select(ranked.c.id).where(ranked.c.rank == 1)
    rows = db.session.execute(
        sa.select(
            FollowUp,
            Client,
            ClientKey.wrapped,
            newest_case_number(FollowUp.client_id).label("number"),
            is_own_task(actor, covered).label("is_own"),
        )
        .join(Client, Client.id == FollowUp.client_id)
        .join(ClientKey, ClientKey.client_id == FollowUp.client_id)
        .where(in_any(FollowUp.id, due, pressing, next_ones, completed))
        .order_by(FollowUp.due_at, FollowUp.id)
    )
    found = []
    for task, client, wrapped, number, is_own in rows:
        key = open_client_key(wrapped, task.client_id, "followup", task.id)
        record = unseal_followup(task, unseal_client(client, key), key)
        found.append(ListedFollowUp(record, number, is_due=is_own and task.due_at <= until))
    return found


def _list_recent_cases(
    clients: Iterable[ListedClient],
) -> list[tuple[ListedClient, ListedCase]]:
    """List the recent cases with their clients, the most recent session or change first."""
    recent = [(client, client.recent) for client in clients if client.recent]
    return sorted(recent, key=lambda pair: (pair[1].last_activity, pair[1].id), reverse=True)


def _build_recent_case(
    client: ListedClient, case: ListedCase, handouts: tuple[int, int]
) -> RecentCase:
    """Build a recent case; its levels are those at watch or above that count now, highest first."""
    levels = {key: level for key, level in client.safety.levels.items() if level}
    assigned, read = handouts
    return RecentCase(
        id=case.id,
        number=case.number,
        client_id=client.id,
        client=client.name,
        stage=stage_by_id()[case.stage],
        hold=client.safety.hold,
        met=LastMet(case.last_session, case.last_contact, case.last_no_show),
        levels=dict(sorted(levels.items(), key=lambda pair: -pair[1])),
        screened=bool(client.safety.answers),
        handouts_assigned=assigned,
        handouts_read=read,
    )


def _assess_handouts(
    actor: Actor, recent_ids: Collection[UUID]
) -> tuple[int, dict[UUID, tuple[int, int]]]:
    """Count what is suspended in the newest open cases, and how much is assigned and read in the recent ones."""
    newest = select_newest_open_cases(actor, SUSPENDED_PAGE_SIZE)
    contexts = list_case_contexts(
        actor,
        newest.where(
            sa.exists().where(
                Assignment.case_id == newest.selected_columns.id, Assignment.withdrawn_at.is_(None)
            )
        ),
    )
    rows = db.session.execute(
        select_assignments(
            Assignment.case_id.in_({context.case.id for context in contexts} | {*recent_ids}),
            Assignment.withdrawn_at.is_(None),
        )
    ).all()
    assigned = Counter(row.case_id for row in rows)
    read = Counter(row.case_id for row in rows if row.read_at)
    suspended = find_suspended(contexts, rows)
    return sum(len(case.assignments) for case in suspended), {
        case_id: (assigned[case_id], read[case_id]) for case_id in recent_ids
    }


def _count_by_stage(actor: Actor) -> tuple[list[StageCount], int]:
    """Count the open cases in each stage: all of a coach's, a supervisor's up to MAX_CASES_PER_STAGE; and the intakes.

    They are counted in one statement, see `select_notices`.
    """
    intakes = sa.select(sa.literal(INTAKES).label("stage"), select_notices(actor).label("cases"))
    if actor.role is not Role.SUPERVISOR:
        own = sa.select(Case.stage, sa.func.count().label("cases")).where(
            IS_OPEN, Case.client_id.in_(looked_after_by(actor))
        )
        counted = sa.union_all(own.group_by(Case.stage), intakes)
        found = {row.stage: row.cases for row in db.session.execute(counted)}
        return [
            StageCount(stage, found.get(stage.id, 0), is_truncated=False) for stage in stages()
        ], found[INTAKES]
    capped_counts = sa.union_all(
        *(
            sa.select(
                sa.literal(stage.id).label("stage"), sa.func.count().label("cases")
            ).select_from(
                sa.select(Case.id)
                .where(IS_OPEN, Case.stage == stage.id, looks_after_client(actor, Case.client_id))
                .limit(literal_limit(MAX_CASES_PER_STAGE + 1))
                .subquery()
            )
            for stage in stages()
        ),
        intakes,
    )
    found = {row.stage: row.cases for row in db.session.execute(capped_counts)}
    return [
        StageCount(
            stage,
            min(found[stage.id], MAX_CASES_PER_STAGE),
            is_truncated=found[stage.id] > MAX_CASES_PER_STAGE,
        )
        for stage in stages()
    ], found[INTAKES]
