"""Appending to a client's safety events, with the state, memberships and marks that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db, run, run_for_each
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.memberships import join_for, leave_for
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.history import list_safety_histories
from caseapp.domain.screening.marks import HOLD_KINDS, add_marks, list_marked, remove_marks
from caseapp.domain.screening.models import ClientSafety, SafetyEvent
from caseapp.domain.screening.sealing import CurrentSafety, seal_events, seal_state
from caseapp.domain.screening.state import fold
from caseapp.domain.users.queries import require_active

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.clients.queries import LockedClient, TeamAccounts
    from caseapp.domain.screening.events import Fact
    from caseapp.domain.screening.queries import LockedHold
    from caseapp.domain.screening.records import Hold
    from caseapp.domain.screening.state import DerivedState

INSERT_EVENTS = sa.insert(SafetyEvent.__table__)  # type: ignore[arg-type]
INSERT_STATES = sa.insert(ClientSafety.__table__)  # type: ignore[arg-type]
UPDATE_STATE = sa.update(ClientSafety.__table__).where(  # type: ignore[arg-type]
    ClientSafety.client_id == sa.bindparam("of")
)
DERIVED_AT_ONCE = 500


def mark_open_holds(client: LockedClient) -> None:
    """Mark a client's open holds and proposals for whoever has joined the care team, and for their supervisor."""
    if marked := list_marked(get_current_safety(client.key).state, client.id):
        add_marks(marked, client.id)


def remove_proposal_marks(client: LockedClient) -> None:
    """Remove the marks of what is proposed about a client whose case closes; `mark_open_holds` adds them again."""
    marked = list_marked(get_current_safety(client.key).state, client.id)
    if proposed := {each for each in marked if each.kind not in HOLD_KINDS}:
        remove_marks(proposed, client.id)


def derive_missing_states() -> int:
    """Derive the states of the next clients whose events have none, as a migration leaves them, and mark their holds.

    Returns the number of clients; 0 when none is left. Raises SealBroken when an event was changed, moved or removed.
    """
    has_state = sa.exists().where(ClientSafety.client_id == SafetyEvent.client_id)
    missing = (
        sa.select(SafetyEvent.client_id)
        .join(ClientKey, ClientKey.client_id == SafetyEvent.client_id)
        .where(SafetyEvent.seq == 1, ~has_state)
    )
    client_ids = db.session.scalars(missing.limit(DERIVED_AT_ONCE)).all()
    rows = []
    for history in list_safety_histories(client_ids, without_state=True).values():
        current = CurrentSafety(len(history.events), history.tag, fold(history.events))
        rows.append({"client_id": history.client_id, **seal_state(current, history.key)})
        if marked := list_marked(current.state, history.client_id):
            add_marks(marked, history.client_id)
    if rows:
        run_for_each(INSERT_STATES, rows)
    return len(rows)


def append(
    actor: Actor,
    client: LockedClient | LockedHold,
    current: CurrentSafety,
    facts: Sequence[tuple[UUID, Fact]],
    stored: DerivedState | None = None,
    team: TeamAccounts | None = None,
) -> datetime:
    """Append facts with their ids to the events of a locked client, whose state `current` was read after the lock.

    `stored` is the state that was stored, when the one to which the facts are added is another. `team` is the client's
    care team as this transaction has locked it. Returns when the facts are recorded. Raises Unauthenticated for
    somebody whose account has been disabled meanwhile: they couldn't be responsible.
    """
    if team is None or not team.has_active(actor.id):
        require_active(actor)
    key, moment = client.key, now()
    rows, after = seal_events(current, key, actor.id, moment, facts)
    run_for_each(INSERT_EVENTS, rows)
    if current.seq:
        run(UPDATE_STATE, of=key.client_id, **seal_state(after, key))
    else:
        run(INSERT_STATES, client_id=key.client_id, **seal_state(after, key))
    stood = stored or current.state
    _change_second_people(actor, stood.holds, after.state.holds, key.client_id)
    before = list_marked(stood, key.client_id)
    now_marked = list_marked(after.state, key.client_id)
    if new := now_marked - before:
        add_marks(new, key.client_id, team)
    if old := before - now_marked:
        remove_marks(old, key.client_id, team)
    return moment


def _change_second_people(
    actor: Actor, before: Iterable[Hold], after: Iterable[Hold], client_id: UUID
) -> None:
    """Let whoever is named for an open hold into the client's care team, and take whoever no longer is out of it."""
    were, are = (
        {hold.second_person_id for hold in holds if hold.second_person_id}
        for holds in (before, after)
    )
    for user_id in were - are:
        leave_for(client_id, user_id, SECOND_PERSON)
    for user_id in are - were:
        join_for(client_id, user_id, SECOND_PERSON, actor.id)
