"""What may come in about assignments, and what goes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, pre_load, validate

from caseapp.core.clock import week_of
from caseapp.core.schemas import ReasonView
from caseapp.domain.handouts.library import STOP_BOX, Handout
from caseapp.domain.handouts.schemas import OfHandout, ReviewView

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.core.vault import DataKey
    from caseapp.domain.assignments.suitability import Situation, Verdict
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.handouts.models import Review
    from caseapp.domain.practice.queries import Office


CHANNEL_WORDS = {
    "portal": "Portal: the client reads it there",
    "print": "Print: handed over on paper",
    "in_person": "Read together, in the room",
}
OUTCOME_WORDS = {"give": "Suits", "careful": "Be careful", "refuse": "Not now"}
LONGEST_LINE = 500
MOST_AT_ONCE = 12
MOST_REPLACED = 100
ORDER = "Number the order from 1 to 99."


@dataclass(frozen=True)
class NewAssignment:
    """Hold a wish to give some handouts, in their order: by which channel, with which line, for which weeks."""

    slugs: tuple[str, ...]
    channel: str
    line: str
    language: str
    confirmed: bool
    due_on: date | None = None
    spread: bool = False


class AssignSeveralSchema(Schema):
    """Check a wish to give some handouts in their order; with `spread`, one after another over the weeks."""

    slugs = fields.List(
        fields.String(validate=validate.Length(3, 60)),
        required=True,
        validate=validate.Length(1, MOST_AT_ONCE, error="Choose at least one handout."),
    )
    channel = fields.String(
        required=True,
        validate=validate.OneOf(CHANNEL_WORDS, error="Choose how the client gets it."),
        error_messages={"required": "Choose how the client gets it."},
    )
    line = fields.String(load_default="", validate=validate.Length(max=LONGEST_LINE))
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))
    confirmed = fields.Boolean(load_default=False)
    due_on = fields.Date(
        load_default=None, allow_none=True, error_messages={"invalid": "Choose a day."}
    )
    spread = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewAssignment:
        """Give the plain value."""
        return NewAssignment(
            tuple(dict.fromkeys(data["slugs"])),
            data["channel"],
            data["line"].strip(),
            data["language"],
            data["confirmed"],
            data["due_on"],
            data["spread"],
        )


class AssignSchema(AssignSeveralSchema):
    """Check the form, where each sheet may bring its number in the order."""

    order = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(
            validate=validate.Range(1, 99, error=ORDER), error_messages={"invalid": ORDER}
        ),
        load_default=dict,
    )

    @pre_load
    def without_blanks(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Leave out the numbers that nobody wrote."""
        order = {slug: text for slug, text in data.get("order", {}).items() if text.strip()}
        return data | {"order": order}

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewAssignment:
        """Give the plain value; sheets without a number follow in the order of the page."""
        order, last = data.pop("order"), len(data["slugs"]) + 99
        slugs = sorted(data["slugs"], key=lambda slug: order.get(slug, last))
        made: NewAssignment = super().make(data | {"slugs": slugs})
        return made


@dataclass(frozen=True)
class OneAssignment:
    """Hold a wish to give one handout."""

    slug: str
    channel: str
    line: str
    language: str
    confirmed: bool
    due_on: date | None


class AssignOneSchema(Schema):
    """Check a wish to give one handout; `confirmed` says that the reasons for care were read."""

    slug = fields.String(required=True, validate=validate.Length(3, 60))
    channel = fields.String(required=True, validate=validate.OneOf(CHANNEL_WORDS))
    line = fields.String(load_default="", validate=validate.Length(max=LONGEST_LINE))
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))
    confirmed = fields.Boolean(load_default=False)
    due_on = fields.Date(load_default=None, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> OneAssignment:
        """Give the plain value."""
        return OneAssignment(**{**data, "line": data["line"].strip()})


@dataclass(frozen=True)
class Replacing:
    """Hold whose older versions to replace, and what to tell them."""

    ids: tuple[UUID, ...]
    line: str
    confirmed: bool


class ReplaceSchema(Schema):
    """Check a wish to replace older versions."""

    ids = fields.List(
        fields.UUID(),
        required=True,
        validate=validate.Length(1, MOST_REPLACED, error="Choose at least one client."),
    )
    line = fields.String(load_default="", validate=validate.Length(max=LONGEST_LINE))
    confirmed = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Replacing:
        """Give the plain value."""
        return Replacing(tuple(dict.fromkeys(data["ids"])), data["line"].strip(), data["confirmed"])


@dataclass(frozen=True)
class OneReplacing:
    """Hold what to tell one client whose older version is replaced."""

    line: str
    confirmed: bool


class ReplaceOneSchema(Schema):
    """Check a wish to replace one older version; `line` may be empty, and is never carried over from the old one."""

    line = fields.String(required=True, validate=validate.Length(max=LONGEST_LINE))
    confirmed = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> OneReplacing:
        """Give the plain value."""
        return OneReplacing(data["line"].strip(), data["confirmed"])


@dataclass(frozen=True)
class Offer:
    """Show one handout to a coach who chooses for a case: the verdict, and whether it is there already."""

    handout: Handout
    edition_id: UUID
    verdict: Verdict
    given: bool
    reviewed: Review | None


@dataclass(frozen=True)
class Recipient:
    """Hold the client for whom sheets are meant, with their key, and what decides about a sheet at this moment."""

    client: ClientRecord
    key: DataKey
    situation: Situation
    office: Office
    faith: bool


@dataclass(frozen=True)
class AssignmentRecord(OfHandout):
    """Show an assignment, opened, with what stops it at this moment."""

    id: UUID
    case_id: UUID
    case_number: str
    client_id: UUID
    edition_id: UUID
    place: int
    stage: str
    channel: str
    line: str
    levels: dict[str, Any]
    due_on: date | None
    assigned_at: datetime
    assigned_by: UUID
    giver: str
    opened_at: datetime | None
    read_at: datetime | None
    withdrawn_at: datetime | None
    stopped: tuple[Reason, ...]
    recipient: Recipient = field(repr=False)
    version: int

    @property
    def week(self) -> date | None:
        """Give the Monday of the week that it is meant for."""
        return week_of(self.due_on) if self.due_on else None

    @property
    def state(self) -> str:
        """Name the state: withdrawn, recalled, stopped, read, opened or given; the first that holds."""
        if self.withdrawn_at:
            return "withdrawn"
        if any(reason.code == "recalled" for reason in self.stopped):
            return "recalled"
        if self.read_at:
            return "read"
        if self.stopped:
            return "stopped"
        return "opened" if self.opened_at else "given"


class AssignmentView(Schema):
    """Show an assignment to staff; `stopped` says why it may not reach the client now."""

    id = fields.UUID(required=True)
    case_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    slug = fields.String(required=True)
    title = fields.String(required=True)
    outside_title = fields.String(required=True)
    language = fields.String(required=True)
    edition = fields.Integer(required=True)
    place = fields.Integer(required=True)
    stage = fields.String(required=True)
    channel = fields.String(required=True)
    line = fields.String(required=True)
    state = fields.String(required=True)
    due_on = fields.Date(required=True, allow_none=True)
    assigned_at = fields.AwareDateTime(required=True)
    assigned_by = fields.UUID(required=True)
    opened_at = fields.AwareDateTime(required=True, allow_none=True)
    read_at = fields.AwareDateTime(required=True, allow_none=True)
    withdrawn_at = fields.AwareDateTime(required=True, allow_none=True)
    stopped = fields.List(fields.Nested(ReasonView), required=True)
    version = fields.Integer(required=True)


class LeftOutView(Schema):
    """Show a handout of several that was not given, and why."""

    slug = fields.String(required=True)
    reasons = fields.List(fields.Nested(ReasonView), required=True)


class SeveralView(Schema):
    """Show what was given in one step, in its order, and what was left out."""

    items = fields.List(fields.Nested(AssignmentView), required=True)
    left_out = fields.List(fields.Nested(LeftOutView), required=True)


class RestingView(Schema):
    """Show one case and what of it may not reach the client now; `stopped` of each says why."""

    case_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    number = fields.String(required=True)
    assignments = fields.List(fields.Nested(AssignmentView), required=True)


class SuggestedView(Schema):
    """Show that a handout is among the next best, in which place and why."""

    rank = fields.Integer(required=True)
    why = fields.String(required=True)


class JudgedView(Schema):
    """Show whether a handout suits a case now, and why; `suggested` when it is among the next best."""

    outcome = fields.String(required=True, metadata={"enum": ["allowed", "warned", "refused"]})
    channels = fields.List(fields.String(), required=True)
    reasons = fields.List(fields.Nested(ReasonView), required=True)
    given = fields.Boolean(required=True)
    suggested = fields.Nested(SuggestedView, required=True, allow_none=True)


class HandoutView(Schema):
    """Show a handout's newest edition; `reviewed` is empty until a clinician has read it."""

    slug = fields.String(required=True)
    code = fields.String(required=True)
    title = fields.String(required=True)
    outside_title = fields.String(required=True)
    stage = fields.String(required=True)
    also_fits = fields.List(fields.String(), required=True)
    kind = fields.String(required=True)
    edition = fields.Integer(required=True)
    language = fields.String(required=True)
    summary = fields.String(required=True)
    minutes = fields.Integer(required=True)
    channels = fields.List(fields.String(), required=True)
    reviewed = fields.Nested(ReviewView, required=True, allow_none=True)
    for_case = fields.Nested(JudgedView, required=True, allow_none=True)


class HandoutWholeView(HandoutView):
    """Show a handout with its text as safe HTML."""

    html = fields.String(required=True)
