"""Queries for safety plans: a client's versions, the plan to change, and what the portal shows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.core.vault import keyed_hash, unseal_text
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import (
    LockedClient,
    lock_client,
    open_visible_key,
    unseal_client,
)
from caseapp.domain.followups.codes import PLAN_REVIEW
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.practice.queries import local_day, local_now
from caseapp.domain.protocol.rules import due_at
from caseapp.domain.safety_plans.codes import FORMS, SAFETY, WORKED_ON
from caseapp.domain.safety_plans.models import SafetyPlan
from caseapp.domain.safety_plans.rules import find_current, list_asked_kinds, list_portal_blockers
from caseapp.domain.safety_plans.schemas import PlanVersion
from caseapp.domain.screening.current import SafetyState, get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from caseapp.core.vault import DataKey
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.followups.models import FollowUp

VERSIONS = (
    sa.select(*SafetyPlan.__table__.c, User.name)
    .outerjoin(User, User.id == SafetyPlan.created_by)
    .where(SafetyPlan.client_id == sa.bindparam("client"))
    .order_by(SafetyPlan.seq)
)


def get_usual_review_day() -> date:
    """Return the day of the next review when nobody chooses one, as the protocol says."""
    return local_day(due_at(PLAN_REVIEW, local_now()))


def get_plan_id(kind: str, key: DataKey) -> UUID:
    """Return the id of a client's plan of a kind, for addresses: only whoever opens the client's key can tell which."""
    return UUID(keyed_hash(f"safety_plan\x1f{kind}", key)[:32])


def find_kind(plan_id: UUID, key: DataKey) -> str:
    """Find the kind of a client's plan.

    Raises NotFound.
    """
    for kind in FORMS:
        if get_plan_id(kind, key) == plan_id:
            return kind
    raise NotFound


def list_versions(client_id: UUID, key: DataKey) -> tuple[PlanVersion, ...]:
    """List every version of a client's plans, oldest first, in one statement; access was already checked."""
    counts: Counter[str] = Counter()
    worked_on: dict[str, datetime] = {}
    found = []
    for row in run(VERSIONS, client=client_id):
        content = json.loads(unseal_text("safety_plan", "content", row.id, row.content, key) or "")
        kind, shown_on = content["kind"], content["shown_on"]
        counts[kind] += 1
        if content["change"] in WORKED_ON:
            worked_on[kind] = row.created_at
        found.append(
            PlanVersion(
                id=row.id,
                plan_id=get_plan_id(kind, key),
                client_id=client_id,
                seq=row.seq,
                kind=kind,
                number=counts[kind],
                change=content["change"],
                answers=content["answers"],
                note=content["note"],
                shown_on=date.fromisoformat(shown_on) if shown_on else None,
                review_on=row.review_on,
                created_at=row.created_at,
                created_by=row.created_by,
                worked_on_at=worked_on[kind],
                created_by_name=row.name or "",
            )
        )
    return tuple(found)


def list_plan_versions(actor: Actor, client_id: UUID) -> list[PlanVersion]:
    """List every version of a client's plans, newest first.

    Raises NotFound.
    """
    require(actor, Action.PLAN_READ)
    key = open_visible_key(actor, client_id)
    return [*reversed(list_versions(client_id, key))]


def get_plan_version(actor: Actor, client_id: UUID, version_id: UUID) -> PlanVersion:
    """Load one version of a client's plans.

    Raises NotFound.
    """
    for version in list_plan_versions(actor, client_id):
        if version.id == version_id:
            return version
    raise NotFound


@dataclass(frozen=True)
class LockedPlan:
    """A client's plan of one kind, whose client is locked until the transaction ends, as read after the lock.

    Only `lock_plan` makes one. `versions` are those of this plan, oldest first; `others` the newest version of the
    client's other plan, if there is one. `seq` counts the versions of both.
    """

    client: LockedClient
    kind: str
    versions: tuple[PlanVersion, ...]
    others: tuple[PlanVersion, ...]
    seq: int
    safety: SafetyState

    @property
    def version(self) -> int:
        """Return the number of the newest version, 0 before the first."""
        return len(self.versions)

    @property
    def current(self) -> PlanVersion | None:
        """Return the newest version."""
        return self.versions[-1] if self.versions else None


def lock_plan(actor: Actor, client_id: UUID, plan: UUID | str) -> LockedPlan:
    """Lock a client that the actor may see, then load one of their plans, given by its id or its kind.

    Raises Forbidden, NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.PLAN_WRITE)
    client = lock_client(actor, client_id)
    kind = plan if isinstance(plan, str) else find_kind(plan, client.key)
    versions = list_versions(client_id, client.key)
    others = (find_current(versions, other) for other in FORMS if other != kind)
    return LockedPlan(
        client,
        kind,
        tuple(version for version in versions if version.kind == kind),
        tuple(other for other in others if other),
        len(versions),
        get_safety_state(client_id),
    )


def list_asked_plans(task: FollowUp) -> set[str]:
    """List the kinds of plan that a required follow-up asks for: by the answers of its episode, else of its hold."""
    history = get_safety_history(task.client_id)
    reasons = [reason for hold in history.holds.values() for reason in hold.reasons]
    own = [reason for reason in reasons if reason["screening"] == str(task.episode_id)]
    if not own and task.origin_id in history.holds:
        own = history.holds[task.origin_id].reasons
    return list_asked_kinds(own)


def find_shown_plan(client: ClientRecord, key: DataKey, safety: SafetyState) -> PlanVersion | None:
    """Find the plan that a client's portal shows now; None when there is none, or it may not be shown."""
    found = find_current(list_versions(client.id, key), SAFETY)
    if found is None or found.shown_on is None:
        return None
    blockers = list_portal_blockers(
        found.kind, client, safety.flags, safety.answers.get("fear_at_home")
    )
    return None if blockers else found


def find_own_plan(actor: Actor) -> tuple[ClientRecord, PlanVersion | None]:
    """Load the client who acts, and find the plan that their portal shows now.

    Raises NotFound when the client is gone.
    """
    require(actor, Action.PORTAL_READ)
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == actor.id)
    ).first()
    if row is None:
        raise NotFound
    key = open_client_key(row.wrapped, actor.id, "client", actor.id)
    client = unseal_client(row.Client, key)
    return client, find_shown_plan(client, key, get_safety_state(actor.id))
