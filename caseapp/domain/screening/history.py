"""A client's safety events, opened in their order, and the screenings, holds and flags that they add up to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.vault import DataKey, SealBroken, tag_of
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.visibility import has_role, is_visible_to
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.screening.events import CircumstanceEnded
from caseapp.domain.screening.models import ClientSafety, SafetyEvent
from caseapp.domain.screening.records import CircumstanceRecord, EndedRecord
from caseapp.domain.screening.rules import HoldScreenings, list_episodes
from caseapp.domain.screening.sealing import NO_TAG, open_event
from caseapp.domain.screening.state import (
    change_flags,
    change_holds,
    find_errors,
    fold,
    list_delays,
    list_screenings,
)
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.screening.events import RecordedEvent
    from caseapp.domain.screening.records import Flag, Hold, ScreeningRecord


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
                screening,
                recorded_by_name=event.recorded_by_name,
                in_error=errors.get(event.id),
            )
            for event, screening in reversed(list_screenings(self.events, errors))
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

    @cached_property
    def circumstances(self) -> list[CircumstanceRecord]:
        """List the circumstances: those that are current first, then those that have ended, the last first."""
        current = [
            CircumstanceRecord(key, moment)
            for key, moment in fold(self.events).circumstances.items()
        ]
        ended = [
            CircumstanceRecord(
                event.fact.circumstance,
                event.fact.mentioned_at,
                EndedRecord(
                    event.recorded_at, event.recorded_by, event.fact.reason, event.recorded_by_name
                ),
                event.seq,
            )
            for event in reversed(self.events)
            if isinstance(event.fact, CircumstanceEnded)
        ]
        return current + ended

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
            tuple(raising),
            tuple(since),
            levels,
            tuple(withdrawn),
            restored_at=restored_at,
            delays=list_delays(self.events, now()),
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
    key = open_client_key(rows[0].wrapped, client_id, kind, object_id)
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


def get_visible_history(actor: Actor, client_id: UUID) -> SafetyHistory:
    """Load the history of a client whom the actor sees.

    Raises NotFound, and SealBroken when an event was changed, moved or removed.
    """
    is_visible = is_visible_to(actor, ClientKey.client_id)
    return _get_history(sa.and_(ClientKey.client_id == client_id, is_visible), "client", client_id)


def get_history_with(actor: Actor, event_id: UUID, kind: str) -> SafetyHistory:
    """Load the history that an event belongs to; `kind` is what the event began: a screening or a hold."""
    owner = sa.select(SafetyEvent.client_id).where(SafetyEvent.id == event_id).scalar_subquery()
    is_visible = is_visible_to(actor, ClientKey.client_id)
    return _get_history(sa.and_(ClientKey.client_id == owner, is_visible), kind, event_id)


def get_history_of_named(actor: Actor, hold_id: UUID) -> SafetyHistory:
    """Load the history that a hold belongs to, for whoever is named to release it."""
    owner = sa.select(SafetyEvent.client_id).where(SafetyEvent.id == hold_id).scalar_subquery()
    is_named = has_role(actor, SECOND_PERSON, ClientKey.client_id)
    return _get_history(sa.and_(ClientKey.client_id == owner, is_named), "hold", hold_id)
