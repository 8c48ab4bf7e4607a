"""Data about screenings, holds and flags, and their request and response schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates

from caseapp.core.schemas import ReasonResponseSchema
from caseapp.core.text import count_visible
from caseapp.domain.screening.protocol import (
    ACTIONS_TAKEN,
    CIRCUMSTANCES,
    ITEMS,
    LASTING_ITEMS,
    LATE_AFTER,
    MANUAL_FLAGS,
    SCREENING_VALIDITY,
    Level,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date
    from uuid import UUID

# The clocks of two servers may differ by so much.
CLOCK_SKEW = timedelta(minutes=5)
MONTH_LENGTH = len("2026-03")
# Characters that can be seen.
LEAST_REASON, LEAST_ERROR_REASON = 10, 20
LEVEL_NAMES = {level.name.lower(): level for level in Level}


@dataclass(frozen=True)
class NewScreening:
    """The answers of a screening; None means not asked. A circumstance that isn't ticked was not said."""

    levels: dict[str, int | None]
    asked_alone: bool = False
    actions_taken: tuple[str, ...] = ()
    comment: str = ""
    circumstances: tuple[str, ...] = ()
    below_reason: str = ""
    lasting_since: Mapping[str, date] = field(default_factory=dict)

    @property
    def reported_days(self) -> dict[str, date]:
        """Return since when each item at watch or above has lasted, as far as the client said."""
        return {
            item: day
            for item, day in self.lasting_since.items()
            if (self.levels.get(item) or Level.NONE) >= Level.WATCH
        }


@dataclass(frozen=True)
class Decisions:
    """What a coach decides about items that are proposed as concerns: which are, and why others are none."""

    concerns: tuple[str, ...] = ()
    declined: Mapping[str, str] = field(default_factory=dict, repr=False)
    comment: str = ""


def merge_levels(*found: Mapping[str, int | None]) -> dict[str, int]:
    """Return the highest level of each item that has one."""
    merged: dict[str, int] = {}
    for levels in found:
        for item, level in levels.items():
            if level is not None:
                merged[item] = max(level, merged.get(item, level))
    return merged


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


class DayField(fields.Date):
    """A day, or a month (`2026-03`), which stands for its first day; an empty value is none."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if value == "":
            return None
        is_month = isinstance(value, str) and len(value) == MONTH_LENGTH
        return super()._deserialize(f"{value}-01" if is_month else value, *args, **kwargs)


def lasting_since_field() -> fields.Dict:
    """Build the field of since when items at watch or above have lasted; of the others it says nothing."""
    return fields.Dict(
        keys=fields.String(validate=validate.OneOf(LASTING_ITEMS)),
        values=DayField(allow_none=True),
        load_default=dict,
    )


def keep_days(days: Mapping[str, date | None]) -> dict[str, date]:
    """Leave out the items without a day, in the order of the items, so that equal days are equal texts."""
    return {item: day for item in LASTING_ITEMS if (day := days.get(item)) is not None}


def _codes_field(codes: Iterable[str]) -> fields.List[Any]:
    return fields.List(fields.String(validate=validate.OneOf([*codes])), load_default=list)


class ScreeningBase(Schema):
    """What is entered besides the levels."""

    asked_alone = fields.Boolean(load_default=False)
    actions_taken = _codes_field(ACTIONS_TAKEN)
    circumstances = _codes_field(CIRCUMSTANCES)
    comment = fields.String(load_default="", validate=validate.Length(max=2000))
    below_reason = fields.String(load_default="", validate=validate.Length(max=500))
    lasting_since = lasting_since_field()


class _Answers(ScreeningBase):
    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewScreening:
        """Build the dataclass."""
        return NewScreening(
            levels={item.key: data[item.key] for item in ITEMS},
            asked_alone=data["asked_alone"],
            actions_taken=tuple(data["actions_taken"]),
            comment=data["comment"].strip(),
            lasting_since=keep_days(data["lasting_since"]),
            circumstances=tuple(key for key in CIRCUMSTANCES if key in data["circumstances"]),
            below_reason=data["below_reason"].strip(),
        )


ScreeningSchema = _Answers.from_dict(
    {item.key: _level_field() for item in ITEMS}, name="ScreeningSchema"
)


@dataclass(frozen=True)
class InError:
    """That a screening was recorded in error: when and by whom this was marked, and why."""

    marked_at: datetime
    marked_by: UUID
    reason: str = field(repr=False)
    marked_by_name: str = ""


@dataclass(frozen=True)
class ScreeningRecord:
    """A screening. `session_at` is when it was asked, `seq` its place among the client's safety events.

    `protocol` is the version of the protocol that was asked. `levels` are the answers; those of `at_least` count at
    least because of circumstances, also for an item that was not asked. One that was recorded `in_error` is shown and
    counts for nothing.
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
    circumstances: list[str]
    at_least: dict[str, int]
    below_reason: str = field(repr=False)
    recorded_by_name: str = ""
    lasting_since: dict[str, date] = field(default_factory=dict)
    in_error: InError | None = None
    note_id: UUID | None = None

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
    def counting(self) -> dict[str, int | None]:
        """Return the levels that count, by item: the answers, raised by circumstances."""
        return self.levels | merge_levels(self.levels, self.at_least)

    @property
    def above_watch(self) -> bool:
        """Tell whether a level that counts is concern or urgent."""
        return any((level or 0) > Level.WATCH for level in self.counting.values())

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
class Raised:
    """Since when an item has been at watch or above without an answer of none in between.

    `began_at` is the first session of that time. It is not before `ended_at`, the session of the last none or the
    release of the last hold about the item, if any. `reported_since` is since when the client said that it has lasted.
    The rest is who last wrote why this is no concern, when and why.
    """

    began_at: datetime
    ended_at: datetime | None = None
    reported_since: date | None = None
    declined_at: datetime | None = None
    declined_by: UUID | None = None
    declined_because: str = field(default="", repr=False)


@dataclass(frozen=True)
class Hold:
    """A pause of the coaching, `care` or `safety`; a client has at most one open hold of each kind.

    A reason is an answer: `item`, `level` and the id of the `screening`; one with `in_error` was recorded in error and
    is none any more. A hold without any reason left ended `in_error` at `released_at`, and nobody released it. `seq` is
    the place of the opening among the client's safety events. `second_person_id` is the supervisor who was named to
    release it. `allowed_handout` is the slug of the handout that a supervisor has allowed in a case during a care hold.
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
    in_error: bool = False
    second_person_id: UUID | None = None
    allowed_handout: str = ""
    allowed_case_id: UUID | None = None
    allowed_reason: str = field(default="", repr=False)
    allowed_by: UUID | None = None

    @property
    def standing(self) -> list[dict[str, Any]]:
        """List the reasons that were not recorded in error."""
        return [reason for reason in self.reasons if not reason.get("in_error")]

    @property
    def restored_at(self) -> datetime | None:
        """Return when the last reason began to count again that does so after a correction, or None."""
        times = (reason["restored_at"] for reason in self.standing if "restored_at" in reason)
        return max(map(datetime.fromisoformat, times), default=None)


@dataclass(frozen=True)
class Flag:
    """A lasting mark that decides which handouts are suitable; a client has at most one active flag of each kind.

    `source` says what set it: `person`, `screening` or `facts`. It `stands_alone` when a person or facts have set it
    after answers had. One that ended `in_error` at `cleared_at` was set by answers that were recorded in error.
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
    stands_alone: bool = False
    in_error: bool = False


class LevelsSchema(Schema):
    """The level of each item."""


LevelsResponseSchema = LevelsSchema.from_dict(
    {item.key: _level_field() for item in ITEMS}, name="LevelsResponseSchema"
)


class InErrorResponseSchema(Schema):
    """That a screening was recorded in error: none of its answers counts."""

    marked_at = fields.AwareDateTime(required=True)
    marked_by = fields.UUID(required=True)
    reason = fields.String(required=True)


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
    circumstances = fields.List(fields.String(), required=True)
    at_least = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    below_reason = fields.String(required=True)
    protocol = fields.Integer(required=True)
    lasting_since = fields.Dict(keys=fields.String(), values=fields.Date(), required=True)
    in_error = fields.Nested(InErrorResponseSchema, required=True, allow_none=True)


class HoldResponseSchema(Schema):
    """A hold; one that ended `in_error` at `released_at` had no reason left and was not released."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    kind = fields.String(required=True)
    opened_at = fields.AwareDateTime(required=True)
    opened_by = fields.UUID(required=True)
    reasons = fields.List(fields.Dict(), required=True)
    released_at = fields.AwareDateTime(required=True, allow_none=True)
    released_by = fields.UUID(required=True, allow_none=True)
    in_error = fields.Boolean(required=True)
    second_person_id = fields.UUID(required=True, allow_none=True)
    allowed_handout = fields.String(required=True)
    allowed_case_id = fields.UUID(required=True, allow_none=True)
    version = fields.Integer(required=True)


class HoldDetailResponseSchema(HoldResponseSchema):
    """A hold with what still blocks its release."""

    blockers = fields.List(fields.Nested(ReasonResponseSchema), required=True)


MIN_REASON = 20
"""Visible characters of a reason why a lasting watch is no concern; a plain limit, awaiting sign-off."""
_ITEM = validate.OneOf(LASTING_ITEMS)


def _require_reason(reason: str) -> None:
    if count_visible(reason) < MIN_REASON:
        raise ValidationError(f"Write at least {MIN_REASON} characters.")


class DecisionsSchema(Schema):
    """Input of decisions about items that are proposed as concerns."""

    concerns = fields.List(fields.String(validate=_ITEM), load_default=list)
    declined = fields.Dict(
        keys=fields.String(validate=_ITEM),
        values=fields.String(validate=[validate.Length(max=2000), _require_reason]),
        load_default=dict,
    )
    comment = fields.String(load_default="", validate=validate.Length(max=2000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Decisions:
        """Build the dataclass.

        Raises ValidationError when nothing is decided, or one item twice.
        """
        concerns = tuple(item for item in LASTING_ITEMS if item in data["concerns"])
        declined = {item: reason.strip() for item, reason in data["declined"].items()}
        if not concerns and not declined:
            raise ValidationError("Decide about at least one item.", "concerns")
        if {*concerns} & {*declined}:
            raise ValidationError("Decide about each item once.", "concerns")
        return Decisions(concerns, declined, data["comment"].strip())


class DecisionsFormSchema(Schema):
    """Input of the form for decisions: a choice and a reason for each item that is proposed."""

    decision = fields.Dict(
        keys=fields.String(validate=_ITEM),
        values=fields.String(validate=validate.OneOf(["", "concern", "declined"])),
        load_default=dict,
    )
    reason = fields.Dict(
        keys=fields.String(validate=_ITEM),
        values=fields.String(validate=validate.Length(max=2000)),
        load_default=dict,
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Decisions:
        """Build the dataclass; what was written about a concern becomes the comment of its screening.

        Raises ValidationError when nothing is decided, or a reason is missing.
        """
        chosen, reasons = data["decision"], data["reason"]
        concerns = tuple(item for item in LASTING_ITEMS if chosen.get(item) == "concern")
        declined = {
            item: reasons.get(item, "").strip()
            for item in LASTING_ITEMS
            if chosen.get(item) == "declined"
        }
        if not concerns and not declined:
            raise ValidationError("Decide about at least one item.", "decision")
        problems = {}
        for item, reason in declined.items():
            try:
                _require_reason(reason)
            except ValidationError as error:
                problems[f"reason.{item}"] = error.messages
        if problems:
            raise ValidationError(problems)
        notes = [text for item in concerns if (text := reasons.get(item, "").strip())]
        return Decisions(concerns, declined, "\n".join(notes))


class ProposalResponseSchema(Schema):
    """An item that is proposed as a concern."""

    item = fields.String(required=True)
    lasts_since = fields.AwareDateTime(required=True)
    proposed_at = fields.AwareDateTime(required=True)


class FlagResponseSchema(Schema):
    """An active flag."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    source = fields.String(required=True)
    set_at = fields.AwareDateTime(required=True)


@dataclass(frozen=True)
class NewException:
    """A handout, by its slug, that is allowed in a case during a care hold, and why."""

    handout: str
    case_id: UUID
    reason: str = field(repr=False)


class ExceptionFormSchema(Schema):
    """Input of the form that allows a handout; the case is that of the page."""

    handout = fields.String(
        required=True,
        validate=validate.Length(1, 60, error="Choose a handout."),
        error_messages={"required": "Choose a handout."},
    )
    reason = fields.String(required=True, validate=[validate.Length(max=2000), _require_reason])


class ExceptionSchema(ExceptionFormSchema):
    """Input of a handout that is allowed in a case during a care hold."""

    case_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewException:
        """Build the dataclass."""
        return NewException(**data | {"reason": data["reason"].strip()})


@dataclass(frozen=True)
class SecondPerson:
    """Who is named to release a hold."""

    user_id: UUID


class SecondPersonSchema(Schema):
    """Input of who is named to release a hold."""

    user_id = fields.UUID(
        required=True,
        error_messages={"required": "Choose a supervisor.", "invalid_uuid": "Choose a supervisor."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> SecondPerson:
        """Build the dataclass."""
        return SecondPerson(**data)


class ReasonSchema(Schema):
    """Input of a written reason."""

    reason = fields.String(required=True, validate=validate.Length(max=2000))

    @validates("reason")
    def _check_length(self, value: str, **_: object) -> None:
        if count_visible(value) < LEAST_REASON:
            raise ValidationError(f"Write the reason in {LEAST_REASON} characters or more.")


class ErrorReasonSchema(Schema):
    """Input of the reason why a screening was recorded in error."""

    reason = fields.String(required=True, validate=validate.Length(max=2000))

    @validates("reason")
    def _check_length(self, value: str, **_: object) -> None:
        if count_visible(value) < LEAST_ERROR_REASON:
            raise ValidationError(
                f"Write what is wrong with the answers, in {LEAST_ERROR_REASON} characters or more."
            )


class FlagSchema(Schema):
    """Input of a flag that a person sets."""

    kind = fields.String(required=True, validate=validate.OneOf(MANUAL_FLAGS))
