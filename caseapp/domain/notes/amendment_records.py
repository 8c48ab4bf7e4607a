"""Clients' requests to correct signed notes as they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID


@dataclass(frozen=True)
class AmendmentRequest:
    """A client's request to correct a signed note, unsealed; `answer` is why it was declined."""

    id: UUID
    seq: int
    requested_on: date
    due_at: datetime
    recorded_at: datetime
    recorded_by: UUID
    recorded_by_name: str
    state: str
    answered_at: datetime | None
    answered_by: UUID | None
    answered_by_name: str
    addendum_id: UUID | None
    words: str = field(repr=False)
    answer: str = field(repr=False)


@dataclass(frozen=True)
class NoteAmendments:
    """What a client wants corrected in a note, in order; `version` is another one after each request."""

    note_id: UUID
    requests: tuple[AmendmentRequest, ...]
    version: int


@dataclass(frozen=True)
class WaitingAmendment:
    """A request to correct a note that waits for an answer, without its words; `id` is that of the request."""

    id: UUID
    note_id: UUID
    client_id: UUID
    number: str
    client: str = field(repr=False)
    author: str
    session_at: datetime
    requested_on: date
    due_at: datetime
