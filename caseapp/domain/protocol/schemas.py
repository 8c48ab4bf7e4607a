"""The schema of the protocol's file."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.domain.protocol.data import (
    CLAIM,
    CLINICAL,
    HOLDS,
    LEVEL_KEYS,
    PRODUCT,
    ActionTaken,
    Circumstance,
    FlagRule,
    HoldRule,
    ImmediateSteps,
    Interval,
    Item,
    LevelRule,
    Principle,
    Protocol,
    Raise,
    RequiredAction,
    Revision,
    SignOff,
    Span,
    WorkingDays,
)


def _text() -> fields.String:
    return fields.String(required=True, validate=validate.Length(2, 300))


def _texts() -> fields.List[Any]:
    return fields.List(_text(), required=True, validate=validate.Length(1))


def _count(low: int, high: int) -> fields.Integer:
    return fields.Integer(required=True, strict=True, validate=validate.Range(low, high))


class _SpanSchema(Schema):
    """A length of time, written as one unit with its number: `{hours: 24}`."""

    hours = fields.Integer(strict=True, validate=validate.Range(0, 1000))
    days = fields.Integer(strict=True, validate=validate.Range(0, 365))
    working_days = fields.Integer(strict=True, validate=validate.Range(0, 365))

    @validates_schema
    def check_units(self, data: dict[str, int], **_: object) -> None:
        """Refuse no unit or several."""
        if len(data) != 1:
            raise ValidationError("Write one length of time, such as {hours: 24}.")

    @post_load
    def make(self, data: dict[str, int], **_: object) -> Span:
        """Build the value."""
        [(unit, amount)] = data.items()
        return Span(amount, unit)


class _ValueSchema(Schema):
    """A mapping that loads into a frozen dataclass, with lists as tuples."""

    result: type[object]

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> object:
        """Build the value."""
        values = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return self.result(**values)


class _SignOffSchema(_ValueSchema):
    result = SignOff
    by = _text()
    date = fields.Date(required=True)
    digest = fields.String(required=True)


class _RuleSchema(_ValueSchema):
    key = fields.String(
        required=True,
        validate=validate.Regexp(
            r"^[a-z][a-z0-9_]{1,23}$",
            error="Use up to 24 lowercase letters, digits and _, starting with a letter.",
        ),
    )
    provenance = fields.List(
        fields.String(
            validate=validate.Regexp(
                rf"^({CLAIM.pattern}|{CLINICAL}|{PRODUCT})$",
                error=f"Name a claim such as REC-08, or “{CLINICAL}” or “{PRODUCT}”.",
            )
        ),
        required=True,
        validate=validate.Length(1),
    )
    sign_off = fields.Nested(_SignOffSchema, required=True, allow_none=True)


class _PrincipleSchema(_RuleSchema):
    result = Principle
    text = _text()


class _AnchorsSchema(Schema):
    none, watch, concern, urgent = _text(), _text(), _text(), _text()


class _ItemSchema(_RuleSchema):
    result = Item
    label = _text()
    icon = _text()
    safety = fields.Boolean(required=True)
    since = fields.Integer(load_default=1, strict=True, validate=validate.Range(1, 9999))
    question = _text()
    anchors = fields.Nested(_AnchorsSchema, required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> object:
        """Build the value, with the anchors in the order of the levels."""
        anchors = tuple(data["anchors"][name] for name in LEVEL_KEYS)
        return super().make({**data, "anchors": anchors})


class _RaiseSchema(Schema):
    item = fields.String(required=True)
    level = fields.String(required=True, validate=validate.OneOf([*LEVEL_KEYS][1:]))
    when = fields.String(load_default=None, validate=validate.OneOf([*LEVEL_KEYS][1:]))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Raise:
        """Build the value."""
        when = data["when"]
        return Raise(
            data["item"], LEVEL_KEYS[data["level"]], None if when is None else LEVEL_KEYS[when]
        )


class _CircumstanceSchema(_RuleSchema):
    result = Circumstance
    label = _text()
    raises = fields.List(fields.Nested(_RaiseSchema), load_default=list)
    never_expires = fields.Boolean(load_default=False)


class _LevelRuleSchema(_RuleSchema):
    result = LevelRule
    level = fields.String(required=True, validate=validate.OneOf(LEVEL_KEYS))
    items = fields.String(required=True, validate=validate.OneOf(["all", "safety", "other"]))
    summary = _text()
    time_limit = _text()
    hold = fields.String(required=True, allow_none=True, validate=validate.OneOf(HOLDS))
    actions = fields.List(fields.String(), required=True)
    told = _text()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> object:
        """Build the value."""
        return super().make({**data, "level": LEVEL_KEYS[data["level"]]})


class _RequiredActionSchema(_RuleSchema):
    result = RequiredAction
    label = _text()
    due = fields.Nested(_SpanSchema, required=True, allow_none=True)
    not_before = fields.Nested(_SpanSchema, load_default=None)


class _ImmediateStepsSchema(_RuleSchema):
    result = ImmediateSteps
    steps = _texts()


class _SetBySchema(Schema):
    item = fields.String(required=True)
    level = fields.String(required=True, validate=validate.OneOf([*LEVEL_KEYS][1:]))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> tuple[str, int]:
        """Build the value."""
        return data["item"], LEVEL_KEYS[data["level"]]


class _FlagRuleSchema(_RuleSchema):
    result = FlagRule
    label = _text()
    set_by = fields.List(fields.Nested(_SetBySchema), load_default=list)
    set_by_facts = fields.String(load_default="")
    set_by_hand = fields.Boolean(required=True)


class _HoldRuleSchema(_RuleSchema):
    result = HoldRule
    label = _text()
    pauses = _texts()
    release = _texts()


class _IntervalSchema(_RuleSchema):
    result = Interval
    label = _text()
    days = _count(1, 365)


class _WorkingDaysSchema(_RuleSchema):
    result = WorkingDays
    weekdays = fields.List(_count(1, 7), required=True, validate=validate.Length(1))


class _ActionTakenSchema(_RuleSchema):
    result = ActionTaken
    label = _text()


class _RevisionSchema(_ValueSchema):
    result = Revision
    version = _count(1, 9999)
    date = fields.Date(required=True)
    change = _text()


def _list_of(schema: type[Schema]) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True, validate=validate.Length(1))


class ProtocolSchema(_ValueSchema):
    """The protocol's file."""

    result = Protocol
    version = _count(1, 9999)
    history = _list_of(_RevisionSchema)
    principles = _list_of(_PrincipleSchema)
    items = _list_of(_ItemSchema)
    circumstances = _list_of(_CircumstanceSchema)
    levels = _list_of(_LevelRuleSchema)
    actions = _list_of(_RequiredActionSchema)
    immediate_steps = _list_of(_ImmediateStepsSchema)
    flags = _list_of(_FlagRuleSchema)
    holds = _list_of(_HoldRuleSchema)
    intervals = _list_of(_IntervalSchema)
    working_days = fields.Nested(_WorkingDaysSchema, required=True)
    actions_taken = _list_of(_ActionTakenSchema)
