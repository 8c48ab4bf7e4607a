"""Queries for a client's safety record: current state, screenings, holds and flags, and whose clients have a hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVarTuple

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, page_in_memory
from caseapp.core.permissions import Action, Role
from caseapp.core.vault import DataKey, SealBroken, tag_of
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import (
    LockedClient,
    has_role,
    is_visible_to,
    lock_client,
    take_lock_of_owner,
)
from caseapp.domain.followups.queries import has_episode_result, list_hold_tasks
from caseapp.domain.followups.rules import list_unfinished
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_key
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.screening.corrections import correction_blockers
from caseapp.domain.screening.events import RecordedEvent, ScreeningRecorded
from caseapp.domain.screening.models import ClientSafety, SafetyEvent
from caseapp.domain.screening.proposals import list_proposals
from caseapp.domain.screening.protocol import FEAR_AT_HOME, ITEMS, ITEMS_BY_KEY, SAFETY_ITEMS
from caseapp.domain.screening.rules import (
    HoldScreenings,
    highest_level,
    list_authors,
    list_episodes,
    release_blockers,
)
from caseapp.domain.screening.sealing import NO_TAG, CurrentSafety, open_event, open_state
from caseapp.domain.screening.state import (
    DerivedState,
    change_flags,
    change_holds,
    find_errors,
    fold,
    make_screening,
)
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.screening.proposals import Proposal
    from caseapp.domain.screening.schemas import Answer, Flag, Hold, Raised, ScreeningRecord

Columns = TypeVarTuple("Columns")


@dataclass(frozen=True)
class SafetyHistory:
    """All safety events of a client in their order, and what they add up to; `tag` is that of the last event."""

    key: DataKey
    events: tuple[RecordedEvent, ...]
    tag: bytes

    @property
    def client_id(self) -> UUID:
        """Return the id of the client."""
        return self.key.client_id

    @cached_property
    def screenings(self) -> list[ScreeningRecord]:
        """List the screenings that count, newest first."""
        return [screening for screening in self.all_screenings if screening.in_error is None]

    @cached_property
    def all_screenings(self) -> list[ScreeningRecord]:
        """List the screenings, newest first, also those that were recorded in error."""
        errors = find_errors(self.events)
        return [
            replace(
                make_screening(event, errors),
                recorded_by_name=event.recorded_by_name,
                in_error=errors.get(event.id),
            )
            for event in reversed(self.events)
            if isinstance(event.fact, ScreeningRecorded)
        ]

    @cached_property
    def holds(self) -> dict[UUID, Hold]:
        """Return open and released holds by id, oldest first."""
        none: dict[UUID, Hold] = {}
        return reduce(change_holds, self.events, none)

    @cached_property
    def flags(self) -> dict[UUID, Flag]:
        """Return active and cleared flags by id, oldest first."""
        none: dict[UUID, Flag] = {}
        return reduce(change_flags, self.events, none)

    def find_hold_screenings(self, hold: Hold) -> HoldScreenings:
        """Find the screenings that the release of a hold depends on."""
        ids = list_episodes(hold)
        raising = [screening for screening in self.screenings if screening.id in ids]
        if not raising:
            return HoldScreenings((), (), {})
        withdrawn = [each for each in self.all_screenings if each.id in ids and each.in_error]
        restored_at = hold.restored_at
        opened_at = max(screening.session_at for screening in raising)
        since = [
            screening
            for screening in self.screenings
            if screening.seq > raising[0].seq
            and not screening.is_late
            and not screening.is_older_than(opened_at)
            and not (restored_at and screening.session_at < restored_at)
        ]
        answers = fold(self.events).answers
        levels = {item: answer.level for item, answer in answers.items()}
        return HoldScreenings(
            tuple(raising), tuple(since), levels, tuple(withdrawn), restored_at=restored_at
        )


def _select_histories(*where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """Select the events of clients in their order; of a client without any, one row without an event."""
    return (
        sa.select(
            ClientKey.client_id,
            ClientKey.wrapped,
            ClientSafety.seq.label("last_seq"),
            ClientSafety.tag.label("last_tag"),
            SafetyEvent.id,
            SafetyEvent.seq,
            SafetyEvent.recorded_at,
            SafetyEvent.recorded_by,
            SafetyEvent.sealed,
            User.name,
        )
        .outerjoin(ClientSafety, ClientSafety.client_id == ClientKey.client_id)
        .outerjoin(SafetyEvent, SafetyEvent.client_id == ClientKey.client_id)
        .outerjoin(User, User.id == SafetyEvent.recorded_by)
        .where(*where)
        .order_by(ClientKey.client_id, SafetyEvent.seq)
    )


def _history_from_rows(
    rows: Sequence[Any], kind: str, object_id: UUID, *, without_state: bool = False
) -> SafetyHistory:
    """Open the events of one client; the log will name the record of this kind and id as read.

    Raises SealBroken when an event was changed, moved or removed.
    """
    client_id = rows[0].client_id
    key = open_key(rows[0].wrapped, client_id, kind, object_id)
    events: list[RecordedEvent] = []
    tag = NO_TAG
    for row in rows if rows[0].id is not None else ():
        if row.seq != len(events) + 1:
            raise SealBroken("A safety event is missing.")
        events.append(open_event(row, tag, key))
        tag = tag_of(row.sealed)
    last = (rows[0].last_seq or 0, rows[0].last_tag or NO_TAG)
    if last != (len(events), tag) and not without_state:
        raise SealBroken("The newest safety events are missing, or newer than the state.")
    return SafetyHistory(key, tuple(events), tag)


def get_safety_history(client_id: UUID) -> SafetyHistory:
    """Load all safety events of a client in one statement; access was already checked.

    Raises NotFound when the client does not exist, and SealBroken when an event was changed, moved or removed.
    """
    rows = run(HISTORY_QUERY, client=client_id).all()
    if not rows:
        raise NotFound
    return _history_from_rows(rows, "client", client_id)


HISTORY_QUERY = _select_histories(ClientKey.client_id == sa.bindparam("client"))


def list_safety_histories(
    client_ids: Collection[UUID], *, without_state: bool = False
) -> dict[UUID, SafetyHistory]:
    """Load all safety events of many clients in one statement, by client; access was already checked.

    A client whose key was destroyed is left out. `without_state` is for clients whose state is still to be derived, so
    that it can't show whether the newest events are missing. Raises SealBroken.
    """
    rows = db.session.execute(_select_histories(ClientKey.client_id.in_(client_ids)))
    return {
        client_id: _history_from_rows([*found], "client", client_id, without_state=without_state)
        for client_id, found in groupby(rows, lambda row: row.client_id)
    }


def _get_history(where: sa.ColumnElement[bool], kind: str, object_id: UUID) -> SafetyHistory:
    rows = db.session.execute(_select_histories(where)).all()
    if not rows:
        raise NotFound
    return _history_from_rows(rows, kind, object_id)


def _get_visible_history(actor: Actor, client_id: UUID) -> SafetyHistory:
    is_visible = is_visible_to(actor, ClientKey.client_id)
    return _get_history(sa.and_(ClientKey.client_id == client_id, is_visible), "client", client_id)


def _get_history_with(actor: Actor, event_id: UUID, kind: str) -> SafetyHistory:
    """Load the history that an event belongs to; `kind` is what the event began: a screening or a hold."""
    owner = sa.select(SafetyEvent.client_id).where(SafetyEvent.id == event_id).scalar_subquery()
    is_visible = is_visible_to(actor, ClientKey.client_id)
    return _get_history(sa.and_(ClientKey.client_id == owner, is_visible), kind, event_id)


def list_screenings(
    actor: Actor, client_id: UUID, cursor: str | None, limit: int
) -> Page[ScreeningRecord]:
    """List a client's screenings, newest first.

    Raises NotFound, and Invalid for a cursor that this application did not create.
    """
    require(actor, Action.SCREENING_READ)
    return page_screenings(_get_visible_history(actor, client_id), cursor, limit)


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
    history = _get_history_with(actor, screening_id, "screening")
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
    return sort_holds(_get_visible_history(actor, client_id))


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
        history = _get_history_with(actor, hold_id, "hold")
    except NotFound:
        history = _get_history_of_named(actor, hold_id)
        found = history.holds.get(hold_id)
        if found is None or found.released_at or found.second_person_id != actor.id:
            raise
    if hold_id not in history.holds:
        raise NotFound
    return history.holds[hold_id], history


def _get_history_of_named(actor: Actor, hold_id: UUID) -> SafetyHistory:
    owner = sa.select(SafetyEvent.client_id).where(SafetyEvent.id == hold_id).scalar_subquery()
    is_named = has_role(actor, SECOND_PERSON, ClientKey.client_id, now())
    return _get_history(sa.and_(ClientKey.client_id == owner, is_named), "hold", hold_id)


def list_flags(actor: Actor, client_id: UUID) -> list[Flag]:
    """List a client's active flags, oldest first.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    flags = _get_visible_history(actor, client_id).flags.values()
    return [flag for flag in flags if flag.cleared_at is None]


def list_client_proposals(actor: Actor, client_id: UUID) -> list[Proposal]:
    """List the items of a client that are proposed as concerns, what was proposed first before the others.

    Raises NotFound.
    """
    require(actor, Action.SCREENING_READ)
    return list_proposals(fold(_get_visible_history(actor, client_id).events), now())


def get_flag(client_id: UUID, flag_id: UUID) -> Flag:
    """Load a client's flag, active or cleared; access was already checked.

    Raises NotFound.
    """
    flag = get_safety_history(client_id).flags.get(flag_id)
    if flag is None:
        raise NotFound
    return flag


@dataclass(frozen=True)
class SafetyState:
    """A client's open holds, active flags and the answers that count, as derived from their safety events.

    Each answer has its own date: a check that asked a few questions changes nothing about the others.
    `last_full_protocol` is the version of the protocol of which every question was last asked, `circumstances` are
    those that were ever ticked, with the time of the newest session.
    """

    holds: tuple[Hold, ...]
    flags: frozenset[str]
    as_of: datetime
    answers: dict[str, Answer]
    last_full_protocol: int | None = None
    raised: dict[str, Raised] = field(default_factory=dict)
    circumstances: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def proposals(self) -> list[Proposal]:
        """List the items that are proposed as concerns, what was proposed first before the others."""
        return list_proposals(self, self.as_of)

    @property
    def levels(self) -> dict[str, int]:
        """Return the level of each item that was ever asked, by the answer that counts now."""
        return {item: answer.level for item, answer in self.answers.items()}

    def list_allowed(self, case_id: UUID | None) -> frozenset[str]:
        """List the handouts, by slug, that a supervisor has allowed in a case during an open care hold."""
        return frozenset(
            hold.allowed_handout
            for hold in self.holds
            if hold.allowed_case_id is not None and hold.allowed_case_id == case_id
        )

    @property
    def hold(self) -> str | None:
        """Return the kind of the strictest open hold."""
        kinds = {hold.kind for hold in self.holds}
        return "safety" if "safety" in kinds else "care" if kinds else None

    @property
    def fear_known(self) -> bool:
        """Tell whether the answer about fear at home that counts was given alone; content map, section (e), 4c."""
        answer = self.answers.get(FEAR_AT_HOME)
        return answer is not None and answer.asked_alone

    @property
    def safety_known(self) -> bool:
        """Tell whether each safety item has an answer, fear at home one that was given alone.

        A question that is newer than the last full screening changes nothing before the next one.
        """
        known_by = self.last_full_protocol or PROTOCOL.version
        return self.fear_known and all(
            key in self.answers for key in SAFETY_ITEMS if ITEMS_BY_KEY[key].since <= known_by
        )

    @property
    def safety_recent(self) -> bool:
        """Tell whether safety items have answers and each of these was asked within the past 14 days."""
        return not self.answers.keys().isdisjoint(SAFETY_ITEMS) and not any(
            key in SAFETY_ITEMS for key in self.outdated
        )

    @property
    def unasked(self) -> list[str]:
        """List the items that have no answer."""
        return [item.key for item in ITEMS if item.key not in self.answers]

    @property
    def outdated(self) -> list[str]:
        """List the items that have an answer and were not asked within the past 14 days."""
        return [
            item.key
            for item in ITEMS
            if (answer := self.answers.get(item.key)) and not answer.is_current(self.as_of)
        ]

    @property
    def is_complete(self) -> bool:
        """Tell whether every item was asked within the past 14 days, fear at home alone."""
        return self.fear_known and not self.unasked and not self.outdated

    @property
    def highest_level(self) -> int | None:
        """Return the highest level of the answers that count now."""
        return highest_level(self.levels)


_newer = sa.exists().where(
    SafetyEvent.client_id == Client.id,
    SafetyEvent.seq > sa.func.coalesce(ClientSafety.seq, 0),
)
SAFETY_COLUMNS = (
    ClientSafety.seq.label("safety_seq"),
    ClientSafety.tag.label("safety_tag"),
    ClientSafety.last_full_at.label("safety_last_full_at"),
    ClientSafety.sealed.label("safety_sealed"),
    _newer.correlate(Client, ClientSafety).label("safety_is_behind"),
)
"""The columns that a statement must select before it is passed to `join_safety`."""


def join_safety(query: sa.Select[*Columns]) -> sa.Select[*Columns]:
    """Join the current state to a statement about clients; it returns a row for each client, as before."""
    return query.outerjoin(ClientSafety, ClientSafety.client_id == Client.id)


def safety_from_row(row: sa.Row[*tuple[Any, ...]], key: DataKey) -> SafetyState:
    """Build the safety state of one client from a row of a statement made with `join_safety`.

    Raises SealBroken when the state was changed, or is older than the client's events.
    """
    state = _open_current(row, key).state
    flags = frozenset(flag.kind for flag in state.flags)
    return SafetyState(
        state.holds,
        flags,
        now(),
        state.answers,
        state.last_full_protocol,
        state.raised,
        state.circumstances,
    )


def _open_current(row: Any, key: DataKey) -> CurrentSafety:  # noqa: ANN401 - a result row
    if row.safety_is_behind:
        raise SealBroken("A client's safety state is older than their safety events.")
    if row.safety_seq is None:
        return CurrentSafety(0, NO_TAG, DerivedState())
    return open_state(
        row.safety_sealed, row.safety_seq, row.safety_tag, row.safety_last_full_at, key
    )


CLIENT_SAFETY_QUERY = join_safety(
    sa.select(ClientKey.wrapped, *SAFETY_COLUMNS)
    .select_from(Client)
    .join(ClientKey, ClientKey.client_id == Client.id)
    .where(Client.id == sa.bindparam("client"))
)


def get_safety_state(client_id: UUID) -> SafetyState:
    """Load a client's safety state; access was already checked.

    Raises NotFound when the client does not exist, and SealBroken.
    """
    row = run(CLIENT_SAFETY_QUERY, client=client_id).first()
    if row is None:
        raise NotFound
    return safety_from_row(row, open_key(row.wrapped, client_id, "client", client_id))


def get_current_safety(key: DataKey) -> CurrentSafety:
    """Load the state of a client who is locked, for the next event.

    Raises SealBroken.
    """
    return _open_current(run(CLIENT_SAFETY_QUERY, client=key.client_id).one(), key)


def list_release_blockers(hold: Hold, actor: Actor) -> list[Reason]:
    """List what still has to happen before this actor can release a hold; empty when they can."""
    history = get_safety_history(hold.client_id)
    screenings, open_kinds = history.find_hold_screenings(hold), list_open_kinds(hold, history.key)
    return release_blockers(hold, screenings, open_kinds, actor.id, now())


def list_open_kinds(hold: Hold, key: DataKey) -> list[str]:
    """List the kinds of the tasks of a hold that still need a result."""
    return list_unfinished(list_hold_tasks(key, {hold.id: list_episodes(hold)}))


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
    history = _get_history_with(actor, screening_id, "screening")
    return LockedScreening(
        _find_screening(history, screening_id),
        history,
        lock_client(actor, history.client_id),
        has_episode_result(screening_id),
    )


def list_correction_blockers(screening: ScreeningRecord, actor: Actor) -> list[Reason]:
    """List why this actor can't mark a screening as recorded in error; empty when they can."""
    return correction_blockers(
        screening,
        actor.id,
        now(),
        is_supervisor=actor.may(Action.HOLD_RELEASE),
        has_result=has_episode_result(screening.id),
    )


def list_possible_second_people(
    holds: Mapping[UUID, HoldScreenings],
) -> dict[UUID, dict[UUID, str]]:
    """List for each of some holds the active supervisors who recorded none of its screenings, names by id."""
    supervisors = {
        user.id: user.name
        for user in list_users()
        if user.role == Role.SUPERVISOR and user.disabled_at is None
    }
    return {
        hold_id: {
            user_id: name
            for user_id, name in supervisors.items()
            if user_id not in list_authors(screenings)
        }
        for hold_id, screenings in holds.items()
    }
