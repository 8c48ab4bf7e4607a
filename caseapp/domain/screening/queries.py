"""Queries for screenings, holds, flags and proposals, what bars their change, and the locks that changes need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, page_in_memory
from caseapp.core.permissions import Action, Role
from caseapp.domain.clients.queries import (
    LockedClient,
    lock_client,
    open_client,
    select_client_with_key,
    take_client_lock,
    take_lock_of_owner,
)
from caseapp.domain.clients.visibility import is_denied_to
from caseapp.domain.followups.queries import has_episode_result, list_hold_tasks
from caseapp.domain.followups.rules import list_unfinished
from caseapp.domain.screening.corrections import correction_blockers
from caseapp.domain.screening.current import SAFETY_COLUMNS, current_from_row, join_safety
from caseapp.domain.screening.history import (
    SafetyHistory,
    get_history_of_named,
    get_history_with,
    get_safety_history,
    get_visible_history,
)
from caseapp.domain.screening.models import SafetyEvent
from caseapp.domain.screening.proposals import list_proposals
from caseapp.domain.screening.rules import (
    HoldScreenings,
    list_authors,
    list_episodes,
    release_blockers,
)
from caseapp.domain.screening.state import fold
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.core.vault import DataKey
    from caseapp.domain.screening.proposals import Proposal
    from caseapp.domain.screening.records import CircumstanceRecord, Flag, Hold, ScreeningRecord
    from caseapp.domain.screening.sealing import CurrentSafety


def list_screenings(
    actor: Actor, client_id: UUID, cursor: str | None, limit: int
) -> Page[ScreeningRecord]:
    """List a client's screenings, newest first.

    Raises NotFound, and Invalid for a cursor that this application did not create.
    """
    require(actor, Action.SCREENING_READ)
    return page_screenings(get_visible_history(actor, client_id), cursor, limit)


def page_screenings(
    history: SafetyHistory, cursor: str | None, limit: int
) -> Page[ScreeningRecord]:
    """Return a page of screenings, newest first, also of those that were recorded in error.

    Raises Invalid for a cursor that this application did not create.
    """
    return page_in_memory(history.all_screenings, lambda found: (-found.seq,), cursor, limit)


def get_screening(actor: Actor, screening_id: UUID) -> ScreeningRecord:
    """Load a screening.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    history = get_history_with(actor, screening_id, "screening")
    return _find_screening(history, screening_id)


def _find_screening(history: SafetyHistory, screening_id: UUID) -> ScreeningRecord:
    for screening in history.all_screenings:
        if screening.id == screening_id:
            return screening
    raise NotFound


def list_holds(actor: Actor, client_id: UUID) -> list[Hold]:
    """List a client's holds: open ones first, then the newest.

    Raises NotFound.
    """
    require(actor, Action.HOLD_READ)
    return sort_holds(get_visible_history(actor, client_id))


def sort_holds(history: SafetyHistory) -> list[Hold]:
    """List the holds of a history: open ones first, then the newest."""
    newest_first = reversed(history.holds.values())
    return sorted(newest_first, key=lambda hold: hold.released_at is not None)


def get_hold(actor: Actor, hold_id: UUID) -> Hold:
    """Load a hold.

    Raises NotFound.
    """
    return get_hold_with_history(actor, hold_id)[0]


def get_hold_with_history(actor: Actor, hold_id: UUID) -> tuple[Hold, SafetyHistory]:
    """Load a hold with the client's safety events, for whoever sees the client or is named to release the hold.

    Raises NotFound.
    """
    require(actor, Action.HOLD_READ)
    try:
        history = get_history_with(actor, hold_id, "hold")
    except NotFound:
        history = get_history_of_named(actor, hold_id)
        found = history.holds.get(hold_id)
        if found is None or found.released_at or found.second_person_id != actor.id:
            raise
    if hold_id not in history.holds:
        raise NotFound
    return history.holds[hold_id], history


def list_flags(actor: Actor, client_id: UUID) -> list[Flag]:
    """List a client's active flags, oldest first.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    flags = get_visible_history(actor, client_id).flags.values()
    return [flag for flag in flags if flag.cleared_at is None]


def list_circumstances(actor: Actor, client_id: UUID) -> list[CircumstanceRecord]:
    """List a client's circumstances: those that are current first, then those that have ended, the last first.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    return get_visible_history(actor, client_id).circumstances


def list_client_proposals(actor: Actor, client_id: UUID) -> list[Proposal]:
    """List the items of a client that are proposed as concerns, what was proposed first before the others.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    return list_proposals(fold(get_visible_history(actor, client_id).events), now())


def get_flag(client_id: UUID, flag_id: UUID) -> Flag:
    """Load a client's flag, active or cleared; access was already checked.

    Raises NotFound.
    """
    flag = get_safety_history(client_id).flags.get(flag_id)
    if flag is None:
        raise NotFound
    return flag


def list_release_blockers(hold: Hold, actor: Actor) -> list[Reason]:
    """List what still has to happen before this actor can release a hold; empty when they can."""
    history = get_safety_history(hold.client_id)
    screenings, open_kinds = history.find_hold_screenings(hold), list_open_kinds(hold, history.key)
    return release_blockers(hold, screenings, open_kinds, actor.id, now())


def list_open_kinds(hold: Hold, key: DataKey) -> list[str]:
    """List the kinds of the tasks of a hold that still need a result."""
    return list_unfinished(list_hold_tasks(key, {hold.id: list_episodes(hold)}))


def lock_client_with_safety(actor: Actor, client_id: UUID) -> tuple[LockedClient, CurrentSafety]:
    """Lock a client that the actor may see, and read them with their safety state, in one statement after the lock.

    Raises NotFound, SealBroken, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CLIENT_READ)
    take_client_lock(client_id)
    row = run(_select_client_with_safety(actor.role), asks=actor.id, client=client_id).first()
    if row is None:
        raise NotFound
    client = LockedClient(*open_client(row))
    return client, current_from_row(row, client.key)


@cache
def _select_client_with_safety(role: Role) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the query for a visible client with their key and safety state."""
    return join_safety(select_client_with_key(role).add_columns(*SAFETY_COLUMNS))


@dataclass(frozen=True)
class LockedHold:
    """A hold whose client is locked until the transaction ends, with what its release depends on.

    Only `lock_hold` makes one, from what it reads after the lock. `open_kinds` are the kinds of the hold's tasks that
    still need a result.
    """

    hold: Hold
    key: DataKey
    screenings: HoldScreenings
    open_kinds: tuple[str, ...]


def lock_hold(actor: Actor, hold_id: UUID) -> LockedHold:
    """Lock the client of a hold that the actor sees or is named to release, then load the hold.

    Raises Forbidden, NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.HOLD_READ)
    take_lock_of_owner(SafetyEvent.id, hold_id)
    hold, history = get_hold_with_history(actor, hold_id)
    return LockedHold(
        hold,
        history.key,
        history.find_hold_screenings(hold),
        tuple(list_open_kinds(hold, history.key)),
    )


@dataclass(frozen=True)
class LockedScreening:
    """A screening whose client is locked until the transaction ends, with what its correction depends on.

    Only `lock_screening` makes one, from what it reads after the lock. `has_result` tells that a required action of its
    episode has a result, other than that the supervisor was told.
    """

    screening: ScreeningRecord
    history: SafetyHistory
    client: LockedClient
    has_result: bool


def lock_screening(actor: Actor, screening_id: UUID) -> LockedScreening:
    """Lock the client of a screening that the actor wants to mark as recorded in error, then load the screening.

    Raises Forbidden, NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.SCREENING_CORRECT)
    take_lock_of_owner(SafetyEvent.id, screening_id)
    history = get_history_with(actor, screening_id, "screening")
    return LockedScreening(
        _find_screening(history, screening_id),
        history,
        lock_client(actor, history.client_id),
        has_episode_result(history.key, screening_id),
    )


def list_correction_blockers(
    screening: ScreeningRecord, key: DataKey, actor: Actor
) -> list[Reason]:
    """List why this actor can't mark a screening as recorded in error; empty when they can."""
    return correction_blockers(
        screening,
        actor.id,
        now(),
        is_supervisor=actor.may(Action.HOLD_RELEASE),
        has_result=has_episode_result(key, screening.id),
    )


def list_possible_second_people(
    client_id: UUID,
    holds: Mapping[UUID, HoldScreenings],
) -> dict[UUID, dict[UUID, str]]:
    """List for each of some holds of a client the active supervisors who recorded none of its screenings, names by id.

    Whoever must not see the client is left out.
    """
    rows = db.session.execute(
        sa.select(User.id, User.name)
        .where(
            User.role == Role.SUPERVISOR,
            User.disabled_at.is_(None),
            ~is_denied_to(User.id, sa.literal(client_id, User.id.type)),
        )
        .order_by(User.name)
    )
    supervisors = {row.id: row.name for row in rows}
    return {
        hold_id: {
            user_id: name
            for user_id, name in supervisors.items()
            if user_id not in list_authors(screenings)
        }
        for hold_id, screenings in holds.items()
    }
