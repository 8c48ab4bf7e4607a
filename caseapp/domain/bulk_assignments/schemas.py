"""What may come in about giving one sheet to several cases, and what goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate

from caseapp.core.schemas import ReasonView
from caseapp.domain.assignments.schemas import CHANNEL_WORDS, LONGEST_LINE
from caseapp.domain.handouts.library import STOP_BOX
from caseapp.domain.handouts.schemas import OfHandout

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.core.errors import Reason

MOST_GIVEN = 500
CHOOSE_HOW = "Choose how the clients get it."


@dataclass(frozen=True)
class Choice:
    """Hold whom a coach has chosen for a sheet, before anything is confirmed."""

    cases: list[UUID]
    all: bool
    channel: str
    line: str
    due_on: date | None


class ChoiceSchema(Schema):
    """Check a choice of clients; `all` means everybody on the list that was shown."""

    cases = fields.List(fields.UUID(), load_default=list, validate=validate.Length(max=MOST_GIVEN))
    all = fields.Boolean(load_default=False)
    channel = fields.String(
        required=True,
        validate=validate.OneOf(CHANNEL_WORDS, error=CHOOSE_HOW),
        error_messages={"required": CHOOSE_HOW},
    )
    line = fields.String(load_default="", validate=validate.Length(max=LONGEST_LINE))
    due_on = fields.Date(
        load_default=None, allow_none=True, error_messages={"invalid": "Choose a day."}
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Choice:
        """Give the plain value.

        Raises ValidationError when nobody is chosen.
        """
        if not (data["cases"] or data["all"]):
            raise ValidationError("Choose at least one client.", "cases")
        return Choice(**{**data, "line": data["line"].strip()})


@dataclass(frozen=True)
class NewGiving:
    """Hold a wish to give one sheet to several cases; `confirmed` holds the reasons for care that were read."""

    edition: int | None
    language: str
    channel: str
    line: str
    due_on: date | None
    cases: tuple[UUID, ...]
    confirmed: dict[UUID, frozenset[str]]


class GivingSchema(Schema):
    """Check a wish to give one sheet to several cases; `edition` says which version was looked at."""

    edition = fields.Integer(load_default=None, allow_none=True, validate=validate.Range(1, 9999))
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))
    channel = fields.String(
        required=True,
        validate=validate.OneOf(CHANNEL_WORDS, error=CHOOSE_HOW),
        error_messages={"required": CHOOSE_HOW},
    )
    line = fields.String(load_default="", validate=validate.Length(max=LONGEST_LINE))
    due_on = fields.Date(
        load_default=None, allow_none=True, error_messages={"invalid": "Choose a day."}
    )
    cases = fields.List(
        fields.UUID(),
        required=True,
        validate=validate.Length(
            1, MOST_GIVEN, error=f"Choose at least one client, and at most {MOST_GIVEN}."
        ),
    )
    confirmed = fields.Dict(
        keys=fields.UUID(),
        values=fields.List(fields.String(validate=validate.Length(max=60))),
        load_default=dict,
        validate=validate.Length(max=MOST_GIVEN),
        metadata={"description": "For each case that asks for care, the codes that were read."},
    )

    @pre_load
    def as_lists(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Part the codes that a form's tick holds in one value."""
        sent = data.get("confirmed")
        if not isinstance(sent, dict):
            return data
        lists = {
            key: codes.split() if isinstance(codes, str) else codes for key, codes in sent.items()
        }
        return data | {"confirmed": lists}

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewGiving:
        """Give the plain value."""
        return NewGiving(
            data["edition"],
            data["language"],
            data["channel"],
            data["line"].strip(),
            data["due_on"],
            tuple(dict.fromkeys(data["cases"])),
            {case: frozenset(codes) for case, codes in data["confirmed"].items()},
        )


@dataclass(frozen=True)
class GivingItemRecord:
    """Show one case of a giving: waiting, given, or left out and why."""

    case_id: UUID
    number: str
    client: str
    state: str
    reasons: tuple[Reason, ...]
    assignment_id: UUID | None
    done_at: datetime | None


@dataclass(frozen=True)
class GivingRecord(OfHandout):
    """Show a giving and those of its cases that the reader may see."""

    id: UUID
    channel: str
    due_on: date | None
    made_at: datetime
    made_by: UUID
    sender: str
    items: list[GivingItemRecord]

    def of(self, state: str) -> list[GivingItemRecord]:
        """List the cases in a state."""
        return [item for item in self.items if item.state == state]

    @property
    def waiting(self) -> int:
        """Count the cases that wait."""
        return len(self.of("waiting"))

    @property
    def given(self) -> int:
        """Count the cases that got it."""
        return len(self.of("given"))

    @property
    def left_out(self) -> int:
        """Count the cases that were left out."""
        return len(self.of("left_out"))

    @property
    def done(self) -> bool:
        """Tell whether nobody waits any more."""
        return self.waiting == 0


class GivingItemView(Schema):
    """Show one case of a giving; `reasons` says why it was left out."""

    case_id = fields.UUID(required=True)
    number = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["waiting", "given", "left_out"]))
    reasons = fields.List(fields.Nested(ReasonView), required=True)
    assignment_id = fields.UUID(required=True, allow_none=True)
    done_at = fields.AwareDateTime(required=True, allow_none=True)


class GivingView(Schema):
    """Show how far a giving is; it is `done` when nobody waits any more."""

    id = fields.UUID(required=True)
    slug = fields.String(required=True)
    title = fields.String(required=True)
    language = fields.String(required=True)
    edition = fields.Integer(required=True)
    channel = fields.String(required=True)
    due_on = fields.Date(required=True, allow_none=True)
    made_at = fields.AwareDateTime(required=True)
    made_by = fields.UUID(required=True)
    done = fields.Boolean(required=True)
    waiting = fields.Integer(required=True)
    given = fields.Integer(required=True)
    left_out = fields.Integer(required=True)
    items = fields.List(fields.Nested(GivingItemView), required=True)
