"""Data about follow-ups, their schemas, and the labels of the protocol's tasks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import RequiredText
from caseapp.domain.followups.codes import METHOD_LABELS, RESULT_LABELS, TASK_KINDS

if TYPE_CHECKING:
    from uuid import UUID

# A time outside these years is a typing error, and some cannot be converted to UTC.
PLAUSIBLE_TIME = validate.Range(
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2100, 1, 1, tzinfo=UTC),
    error="Enter a date between 2000 and 2099.",
)


@dataclass(frozen=True)
class NewFollowUp:
    """A task that a person adds."""

    title: str
    due_at: datetime


class NewFollowUpSchema(Schema):
    """Input of a task that a person adds."""

    title = RequiredText(lazy_gettext("Write what needs doing"), 160)
    due_at = fields.AwareDateTime(required=True, validate=PLAUSIBLE_TIME)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewFollowUp:
        """Build the dataclass."""
        return NewFollowUp(**data)


@dataclass(frozen=True)
class ClientFollowUp:
    """A new task and its client."""

    client_id: UUID
    task: NewFollowUp


class ClientFollowUpSchema(NewFollowUpSchema):
    """Input of a new task and its client."""

    client_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ClientFollowUp:
        """Build the dataclass."""
        return ClientFollowUp(data.pop("client_id"), super().make(data))


@dataclass(frozen=True)
class NewResult:
    """What a task led to; `occurred_at` is None for just now, `told` names whoever was told."""

    result: str
    method: str | None = None
    occurred_at: datetime | None = None
    told: str = field(default="", repr=False)
    note: str = field(default="", repr=False)


class ResultSchema(Schema):
    """Input of a result; which fields it needs depends on the kind of task, see `rules.find_result_faults`."""

    result = fields.String(
        required=True,
        validate=validate.OneOf(RESULT_LABELS),
        error_messages={"required": "Choose a result."},
    )
    method = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(METHOD_LABELS)
    )
    occurred_at = fields.AwareDateTime(load_default=None, allow_none=True, validate=PLAUSIBLE_TIME)
    told = fields.String(load_default="", validate=validate.Length(max=200))
    note = fields.String(load_default="", validate=validate.Length(max=2000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewResult:
        """Build the dataclass; surrounding blanks don't count as text."""
        texts = {name: data[name].strip() for name in ("told", "note")}
        return NewResult(**data | texts)


@dataclass(frozen=True)
class TaskFacts:
    """What the rules need to know about a task, with its kind opened."""

    kind: str
    due_at: datetime
    not_before_at: datetime | None
    attempt: int
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True)
class HoldTask:
    """What the release of a hold needs to know about one of its tasks."""

    id: UUID
    kind: str
    previous_id: UUID | None
    episode_id: UUID | None
    created_at: datetime
    completed_at: datetime | None
    result: str | None


@dataclass(frozen=True)
class FollowUpRecord:
    """A task with its sealed texts opened.

    `result`, `method`, `occurred_at`, `told` and `note` say what a completed task led to. One that was completed before
    results had codes is "done", by an unknown method. `phone` is where the client may be called.
    """

    id: UUID
    client_id: UUID
    client: str
    kind: str
    title: str
    due_at: datetime
    not_before_at: datetime | None
    attempt: int
    previous_id: UUID | None
    assigned_to: UUID
    completed_at: datetime | None
    completed_by: UUID | None
    result: str | None
    method: str | None
    occurred_at: datetime | None
    told: str
    note: str | None
    created_at: datetime
    version: int
    origin_id: UUID | None
    episode_id: UUID | None
    completed_by_name: str = ""
    assigned_to_name: str = ""
    phone: str | None = field(default=None, repr=False)

    @property
    def minutes(self) -> int:
        """Return about how long the task takes, in minutes."""
        return TASK_KINDS[self.kind].minutes

    @property
    def contacts_client(self) -> bool:
        """Tell whether the task is to speak with the client."""
        return "reached" in TASK_KINDS[self.kind].results

    @property
    def tel(self) -> str:
        """Return the number at which the client may be called, as a `tel:` link has it; empty without one."""
        return re.sub(r"[^0-9+]", "", self.phone or "")

    @property
    def allowed_results(self) -> tuple[str, ...]:
        """Return the codes of the results that the task can have."""
        return TASK_KINDS[self.kind].list_results(self.attempt)

    @property
    def allowed_methods(self) -> tuple[str, ...]:
        """Return the codes of the ways in which the task can be done; none for a decision."""
        return TASK_KINDS[self.kind].methods


class FollowUpResponseSchema(Schema):
    """A task."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    client = fields.String(required=True)
    kind = fields.String(required=True)
    title = fields.String(required=True)
    due_at = fields.AwareDateTime(required=True)
    not_before_at = fields.AwareDateTime(required=True, allow_none=True)
    attempt = fields.Integer(required=True)
    previous_id = fields.UUID(required=True, allow_none=True)
    episode_id = fields.UUID(required=True, allow_none=True)
    assigned_to = fields.UUID(required=True)
    allowed_results = fields.List(fields.String(), required=True)
    allowed_methods = fields.List(fields.String(), required=True)
    completed_at = fields.AwareDateTime(required=True, allow_none=True)
    result = fields.String(required=True, allow_none=True)
    method = fields.String(required=True, allow_none=True)
    occurred_at = fields.AwareDateTime(required=True, allow_none=True)
    told = fields.String(required=True)
    note = fields.String(required=True, allow_none=True)
    version = fields.Integer(required=True)
