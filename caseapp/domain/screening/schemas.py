"""Data about screenings, holds and flags, and their request and response schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.core.schemas import ReasonResponseSchema
from caseapp.domain.screening.protocol import (
    ACTIONS_TAKEN,
    ITEMS,
    LATE_AFTER,
    MANUAL_FLAGS,
    SCREENING_VALIDITY,
    Level,
)

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

# The clocks of two servers may differ by so much.
CLOCK_SKEW = timedelta(minutes=5)
LEVEL_NAMES = {level.name.lower(): level for level in Level}


@dataclass(frozen=True)
class NewScreening:
    """The answers of a screening; None means not asked."""

    levels: dict[str, int | None]
    asked_alone: bool = False
    actions_taken: tuple[str, ...] = ()
    comment: str = ""


def is_valid(session_at: datetime, moment: datetime) -> bool:
    """Tell whether a session was at most 14 days before a moment, and not in its future."""
    return -CLOCK_SKEW <= moment - session_at <= SCREENING_VALIDITY


class LevelField(fields.String):
    """A level by name; an empty value or `not_asked` is None."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        name = super()._deserialize(value, *args, **kwargs)
        if name not in {"", "not_asked", *LEVEL_NAMES}:
            raise ValidationError("Choose a level, or Not asked.")
        return LEVEL_NAMES.get(name)

    def _serialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:  # noqa: ANN401
        return "not_asked" if value is None else Level(value).name.lower()


def _level_field() -> LevelField:
    return LevelField(
        load_default=None, allow_none=True, metadata={"enum": ["not_asked", *LEVEL_NAMES, None]}
    )


class _Answers(Schema):
    asked_alone = fields.Boolean(load_default=False)
    actions_taken = fields.List(
        fields.String(validate=validate.OneOf(ACTIONS_TAKEN)), load_default=list
    )
    comment = fields.String(load_default="", validate=validate.Length(max=2000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewScreening:
        """Build the dataclass."""
        return NewScreening(
            levels={item.key: data[item.key] for item in ITEMS},
            asked_alone=data["asked_alone"],
            actions_taken=tuple(data["actions_taken"]),
            comment=data["comment"].strip(),
        )


ScreeningSchema = _Answers.from_dict(
    {item.key: _level_field() for item in ITEMS}, name="ScreeningSchema"
)


@dataclass(frozen=True)
class ScreeningRecord:
    """A screening. `session_at` is when it was asked, `seq` its place among the client's safety events.

    `protocol` is the version of the protocol that was asked.
    """

    id: UUID
    client_id: UUID
    recorded_at: datetime
    recorded_by: UUID
    levels: dict[str, int | None]
    asked_alone: bool
    actions_taken: list[str]
    comment: str = field(repr=False)
    session_at: datetime
    seq: int
    protocol: int
    recorded_by_name: str = ""

    @property
    def is_late(self) -> bool:
        """Tell whether the session was so long before the recording that it says nothing about now."""
        return self.recorded_at - self.session_at > LATE_AFTER

    def is_current(self, moment: datetime) -> bool:
        """Tell whether the session was at most 14 days before a moment, not in its future, and recorded in time."""
        return not self.is_late and is_valid(self.session_at, moment)

    def is_older_than(self, session_at: datetime) -> bool:
        """Tell whether the session was before another one.

        One that lay in the future when this screening was recorded is of a clock that ran ahead, so it doesn't count.
        """
        return self.session_at < session_at <= self.recorded_at

    @property
    def full(self) -> bool:
        """Tell whether every question was asked that the protocol had then."""
        return all(
            self.levels[item.key] is not None for item in ITEMS if item.since <= self.protocol
        )

    @property
    def above_watch(self) -> bool:
        """Tell whether an answer is concern or urgent."""
        return any((level or 0) > Level.WATCH for level in self.levels.values())

    @property
    def steady(self) -> bool:
        """Tell whether every question was asked in time and every answer is none or watch."""
        return not self.is_late and self.full and not self.above_watch


@dataclass(frozen=True)
class Answer:
    """The answer to an item that counts now: its level, the time of the session and whether the client was alone.

    `asked_at` is the time of the newest session in which the item was asked and recorded in time. It is later than
    `session_at` when an older session has raised the level, and None when there was only a session of long ago.
    """

    level: int
    session_at: datetime
    asked_alone: bool
    screening_id: UUID
    asked_at: datetime | None = None

    def is_current(self, moment: datetime) -> bool:
        """Tell whether the item was asked at most 14 days before a moment, and not in its future."""
        return self.asked_at is not None and is_valid(self.asked_at, moment)


@dataclass(frozen=True)
class Hold:
    """A pause of the coaching, `care` or `safety`; a client has at most one open hold of each kind.

    A reason is an answer: `item`, `level` and the id of the `screening`. `seq` is the place of the opening among the
    client's safety events.
    """

    id: UUID
    client_id: UUID
    kind: str
    opened_at: datetime
    opened_by: UUID
    reasons: list[dict[str, Any]]
    version: int
    seq: int
    renewed_at: datetime | None = None
    released_at: datetime | None = None
    released_by: UUID | None = None
    release_reason: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Flag:
    """A lasting mark that decides which handouts are suitable; a client has at most one active flag of each kind.

    `source` says what set it: `person`, `screening` or `facts`.
    """

    id: UUID
    client_id: UUID
    kind: str
    source: str
    set_at: datetime
    set_by: UUID
    cleared_at: datetime | None = None
    cleared_by: UUID | None = None
    clear_reason: str | None = field(default=None, repr=False)


class LevelsSchema(Schema):
    """The level of each item."""


LevelsResponseSchema = LevelsSchema.from_dict(
    {item.key: _level_field() for item in ITEMS}, name="LevelsResponseSchema"
)


class ScreeningResponseSchema(Schema):
    """A screening."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    recorded_at = fields.AwareDateTime(required=True)
    recorded_by = fields.UUID(required=True)
    levels = fields.Nested(LevelsResponseSchema, required=True)
    asked_alone = fields.Boolean(required=True)
    actions_taken = fields.List(fields.String(), required=True)
    comment = fields.String(required=True)
    protocol = fields.Integer(required=True)


class HoldResponseSchema(Schema):
    """A hold."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    kind = fields.String(required=True)
    opened_at = fields.AwareDateTime(required=True)
    opened_by = fields.UUID(required=True)
    reasons = fields.List(fields.Dict(), required=True)
    released_at = fields.AwareDateTime(required=True, allow_none=True)
    released_by = fields.UUID(required=True, allow_none=True)
    version = fields.Integer(required=True)


class HoldDetailResponseSchema(HoldResponseSchema):
    """A hold with what still blocks its release."""

    blockers = fields.List(fields.Nested(ReasonResponseSchema), required=True)


class FlagResponseSchema(Schema):
    """An active flag."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    source = fields.String(required=True)
    set_at = fields.AwareDateTime(required=True)


class ReasonSchema(Schema):
    """Input of a written reason."""

    reason = fields.String(required=True, validate=validate.Length(10, 2000))


class FlagSchema(Schema):
    """Input of a flag that a person sets."""

    kind = fields.String(required=True, validate=validate.OneOf(MANUAL_FLAGS))
