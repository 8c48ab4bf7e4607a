"""What goes out: the parts of Today, and the happenings of a timeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marshmallow import Schema, fields

from caseapp.domain.screening.protocol import Level

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.stages import Stage
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.notes.schemas import DraftListItem, CoachDraft


@dataclass(frozen=True)
class NextTask:
    """Show the next open task of a client whose coaching is paused."""

    title: str = field(repr=False)
    due_at: datetime


@dataclass(frozen=True)
class HeldClient:
    """Show an open hold: whose it is, why, and what comes next."""

    id: UUID
    client_id: UUID
    client: str = field(repr=False)
    number: str
    coach: str
    kind: str
    since: datetime
    levels: dict[str, int]
    next: NextTask | None


@dataclass(frozen=True)
class CaseToday:
    """Show one case of the caseload."""

    id: UUID
    number: str
    client_id: UUID
    client: str = field(repr=False)
    stage: Stage
    hold: str | None
    last_session: datetime | None
    levels: dict[str, int]
    screened: bool
    given: int
    read: int


@dataclass(frozen=True)
class StageCount:
    """Count the open cases of a stage; `capped` when there are more than are counted."""

    stage: Stage
    cases: int
    capped: bool


@dataclass(frozen=True)
class Today:
    """Hold what needs one person at one moment; an admin's holds nothing about clients.

    `resting` counts the sheets that rest in all open cases, or in the `resting_in` newest of them.
    """

    at: datetime
    drafts: list[DraftListItem] = field(default_factory=list)
    waiting: list[CoachDraft] = field(default_factory=list)
    holds: list[HeldClient] = field(default_factory=list)
    more_holds: bool = False
    followups: list[FollowUpRecord] = field(default_factory=list)
    more_followups: bool = False
    cases: list[CaseToday] = field(default_factory=list)
    by_stage: list[StageCount] = field(default_factory=list)
    numbers: dict[UUID, str] = field(default_factory=dict)
    suspended: int = 0
    suspended_scope: int | None = None

    @property
    def grave_drafts(self) -> list[DraftListItem]:
        """List the drafts whose concern or urgent nobody has recorded yet: they come before everything else."""
        return [line for line in self.drafts if (line.unrecorded_level or 0) >= Level.CONCERN]

    @property
    def open_cases(self) -> int:
        """Count the open cases, up to the cap of each stage."""
        return sum(count.cases for count in self.by_stage)

    @property
    def capped(self) -> bool:
        """Tell whether there are more open cases than were counted."""
        return any(count.capped for count in self.by_stage)


@dataclass(frozen=True)
class TimelineEvent:
    """Be one thing that happened in a case.

    `link_kind` and `link_id` name the record to open: note, screening, hold, assignment, case or followup;
    for `answers` it is the assignment that was answered.
    """

    id: UUID
    occurred_at: datetime
    kind: str
    title: str
    byline: str
    text: str = field(repr=False)
    badge: str
    levels: dict[str, int | None] | None
    link_kind: str
    link_id: UUID


class TimelineEventResponseSchema(Schema):
    """Show one thing that happened in a case."""

    id = fields.UUID(required=True)
    occurred_at = fields.AwareDateTime(required=True)
    kind = fields.String(required=True)
    title = fields.String(required=True)
    byline = fields.String(required=True)
    text = fields.String(required=True)
    badge = fields.String(required=True)
    levels = fields.Dict(required=True, allow_none=True)
    link_kind = fields.String(required=True)
    link_id = fields.UUID(required=True)
