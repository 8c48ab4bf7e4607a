"""Recording that a circumstance has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.errors import refuse_for
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record_safety
from caseapp.domain.screening.circumstances import list_end_blockers
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.events import CircumstanceEnded
from caseapp.domain.screening.records import CircumstanceRecord, EndedRecord
from caseapp.domain.screening.stream import append

if TYPE_CHECKING:
    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.schemas import CircumstanceEnd


def end_circumstance(
    actor: Actor, client: LockedClient, end: CircumstanceEnd
) -> CircumstanceRecord:
    """Record that a client's circumstance has ended, with a written reason.

    It is no longer current. Levels, holds, flags and follow-ups stay as they are: they have rules of their own. Raises
    RuleBroken when it isn't current, can't end, or was mentioned again meanwhile.
    """
    require(actor, Action.CIRCUMSTANCE_END)
    current = get_current_safety(client.key)
    refuse_for(list_end_blockers(current.state.circumstances, end))
    mentioned_at = current.state.circumstances[end.circumstance]
    ended, event_id = CircumstanceEnded(end.circumstance, mentioned_at, end.reason), new_id()
    recorded_at = append(actor, client, current, [(event_id, ended)])
    record_safety(actor, Action.CIRCUMSTANCE_END, "circumstance", event_id, client.key)
    ended_record = EndedRecord(recorded_at, actor.id, end.reason)
    return CircumstanceRecord(end.circumstance, mentioned_at, ended_record, current.seq + 1)
