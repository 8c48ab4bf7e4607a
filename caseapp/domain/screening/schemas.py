"""What people enter about screenings, proposals, holds and flags: request schemas and what they load into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import WrittenReason
from caseapp.domain.screening.protocol import (
    ACTIONS_TAKEN,
    CIRCUMSTANCES,
    ITEMS,
    LASTING_ITEMS,
    MANUAL_FLAGS,
    Level,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime
    from uuid import UUID

MONTH_LENGTH = len("2026-03")
LEAST_REASON, LEAST_ERROR_REASON, MAX_REASON = 10, 20, 2000
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


class LevelField(fields.String):
    """A level by name; an empty value or `not_asked` is None."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        name = super()._deserialize(value, *args, **kwargs)
        if name not in {"", "not_asked", *LEVEL_NAMES}:
            raise ValidationError("Choose a level, or Not asked.")
        return LEVEL_NAMES.get(name)

    def _serialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:  # noqa: ANN401
        return "not_asked" if value is None else Level(value).name.lower()


def level_field() -> LevelField:
    """Build the field of the level of one item."""
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
    {item.key: level_field() for item in ITEMS}, name="ScreeningSchema"
)
MIN_REASON = 20
"""The least length of a reason why a lasting watch is no concern, a circumstance has ended or a handout is allowed.

Awaiting sign-off.
"""
_ITEM = validate.OneOf(LASTING_ITEMS)
_DECLINED_BECAUSE = WrittenReason(
    lazy_gettext("Write why this is not a concern"), MIN_REASON, MAX_REASON
)


class DecisionsSchema(Schema):
    """Input of decisions about items that are proposed as concerns."""

    concerns = fields.List(fields.String(validate=_ITEM), load_default=list)
    declined = fields.Dict(
        keys=fields.String(validate=_ITEM),
        values=_DECLINED_BECAUSE,
        load_default=dict,
    )
    comment = fields.String(load_default="", validate=validate.Length(max=2000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Decisions:
        """Build the dataclass.

        Raises ValidationError when nothing is decided, or one item twice.
        """
        concerns = tuple(item for item in LASTING_ITEMS if item in data["concerns"])
        declined = data["declined"]
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
        declines = [item for item in LASTING_ITEMS if chosen.get(item) == "declined"]
        if not concerns and not declines:
            raise ValidationError("Decide about at least one item.", "decision")
        declined, problems = {}, {}
        for item in declines:
            try:
                declined[item] = _DECLINED_BECAUSE.deserialize(reasons.get(item, ""))
            except ValidationError as error:
                problems[f"reason.{item}"] = error.messages
        if problems:
            raise ValidationError(problems)
        notes = [text for item in concerns if (text := reasons.get(item, "").strip())]
        return Decisions(concerns, declined, "\n".join(notes))


@dataclass(frozen=True)
class CircumstanceEnd:
    """A circumstance that is said to have ended, and why; `mentioned_at` is what the person saw as its last mention."""

    circumstance: str
    mentioned_at: datetime | None
    reason: str = field(repr=False)


class _EndBase(Schema):
    circumstance = fields.String(
        required=True,
        validate=validate.OneOf([*CIRCUMSTANCES], error="Choose a circumstance."),
        error_messages={"required": "Choose a circumstance."},
    )
    reason = WrittenReason(lazy_gettext("Write how it ended"), MIN_REASON, MAX_REASON)


class CircumstanceEndSchema(_EndBase):
    """Input of the end of a circumstance."""

    mentioned_at = fields.AwareDateTime(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> CircumstanceEnd:
        """Build the dataclass."""
        return CircumstanceEnd(**data)


class CircumstanceEndFormSchema(_EndBase):
    """Input of the form for the end of a circumstance; the page sends when each was mentioned last."""

    mentioned_at = fields.Dict(
        keys=fields.String(validate=validate.OneOf([*CIRCUMSTANCES])),
        values=fields.AwareDateTime(format="iso"),
        load_default=dict,
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> CircumstanceEnd:
        """Build the dataclass."""
        key = data["circumstance"]
        return CircumstanceEnd(key, data["mentioned_at"].get(key), data["reason"])


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
    reason = WrittenReason(lazy_gettext("Write why the handout is allowed"), MIN_REASON, MAX_REASON)


class ExceptionSchema(ExceptionFormSchema):
    """Input of a handout that is allowed in a case during a care hold."""

    case_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewException:
        """Build the dataclass."""
        return NewException(**data)


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

    reason = WrittenReason(lazy_gettext("Write the reason"), LEAST_REASON, MAX_REASON)


class ErrorReasonSchema(Schema):
    """Input of the reason why a screening was recorded in error."""

    reason = WrittenReason(
        lazy_gettext("Write what is wrong with the answers"), LEAST_ERROR_REASON, MAX_REASON
    )


class FlagSchema(Schema):
    """Input of a flag that a person sets."""

    kind = fields.String(required=True, validate=validate.OneOf(MANUAL_FLAGS))
