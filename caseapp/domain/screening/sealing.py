"""How safety events and states are sealed: under the client's key, bound to their place.

An event is bound to its other columns and to the authentication tag of the client's event before, so that the events
are a chain: one that was changed, moved or removed doesn't open, nor do those after it. A state is bound to the number
and the tag of the event it was derived from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from caseapp.core.vault import DataKey, seal_bound, tag_of, unseal_bound
from caseapp.domain.screening.events import RecordedEvent, fact_from_json, fact_to_json
from caseapp.domain.screening.state import DerivedState, apply, state_from_json, state_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.screening.events import Fact

# Bytes: sealed texts have a multiple of this length, so that it doesn't tell one kind of event from another.
BLOCK_SIZE = 512
NO_TAG = b""
"""What the first event of a client is bound to instead of the tag of the event before."""


@dataclass(frozen=True)
class CurrentSafety:
    """A client's state with its place among the events: the number of the last one, and its tag."""

    seq: int
    tag: bytes
    state: DerivedState


def seal_events(
    current: CurrentSafety,
    key: DataKey,
    recorded_by: UUID,
    recorded_at: datetime,
    facts: Iterable[tuple[UUID, Fact]],
) -> tuple[list[dict[str, Any]], CurrentSafety]:
    """Seal facts with their ids as a client's next events; return the rows to store and the state after them."""
    seq, tag, state, rows = current.seq, current.tag, current.state, []
    for event_id, fact in facts:
        seq += 1
        place = (event_id, key.client_id, seq, recorded_at, recorded_by)
        sealed = seal_bound(_pad(fact_to_json(fact)), _event_binding(*place, tag), key)
        rows.append(
            {
                "id": event_id,
                "client_id": key.client_id,
                "seq": seq,
                "recorded_at": recorded_at,
                "recorded_by": recorded_by,
                "sealed": sealed,
            }
        )
        tag, state = tag_of(sealed), apply(state, RecordedEvent(*place, fact))
    return rows, CurrentSafety(seq, tag, state)


def open_event(row: Any, previous_tag: bytes, key: DataKey) -> RecordedEvent:  # noqa: ANN401
    """Open a stored event; `previous_tag` is that of the client's event before, NO_TAG for the first.

    Raises SealBroken when the event or its place was changed, and UnknownFact.
    """
    place = (row.id, key.client_id, row.seq, row.recorded_at, row.recorded_by)
    text = unseal_bound(row.sealed, _event_binding(*place, previous_tag), key)
    return RecordedEvent(*place, fact_from_json(json.loads(text)), row.name or "")


def seal_state(current: CurrentSafety, key: DataKey) -> dict[str, Any]:
    """Seal a client's state; return the columns to store."""
    state = current.state
    binding = _state_binding(key.client_id, current.seq, current.tag, state.last_full_at)
    return {
        "seq": current.seq,
        "tag": current.tag,
        "last_full_at": state.last_full_at,
        "sealed": seal_bound(_pad(state_to_json(state)), binding, key),
    }


def open_state(
    sealed: bytes, seq: int, tag: bytes, last_full_at: datetime | None, key: DataKey
) -> CurrentSafety:
    """Open a client's stored state.

    Raises SealBroken when it or another of its columns was changed.
    """
    text = unseal_bound(sealed, _state_binding(key.client_id, seq, tag, last_full_at), key)
    return CurrentSafety(seq, tag, state_from_json(json.loads(text)))


def _event_binding(
    event_id: UUID,
    client_id: UUID,
    seq: int,
    recorded_at: datetime,
    recorded_by: UUID,
    previous_tag: bytes,
) -> bytes:
    return _binding(
        "safety_event",
        event_id.hex,
        client_id.hex,
        seq,
        _text(recorded_at),
        recorded_by.hex,
        previous_tag.hex(),
    )


def _state_binding(client_id: UUID, seq: int, tag: bytes, last_full_at: datetime | None) -> bytes:
    return _binding("client_safety", client_id.hex, seq, tag.hex(), _text(last_full_at))


def _binding(*parts: object) -> bytes:
    return "\x1f".join(map(str, parts)).encode()


def _text(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment else ""


def _pad(data: dict[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // BLOCK_SIZE) * BLOCK_SIZE)
