"""Schemas and dataclasses for worksheet answers and uploads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.core.i18n import lazy_gettext
from caseapp.domain.handouts.blocks import READERS
from caseapp.domain.handouts.fields import SCALE, SIGNED, Long, Text, Ticks
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.worksheets.codes import UNREAD_REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.handouts.fields import Answer, Field, Input
    from caseapp.domain.handouts.library import Handout

# A handout's field ids are free text; the prefix keeps them apart from form fields such as `version`.
FIELD_PREFIX = "answer_"
UPLOAD_RETENTION = timedelta(days=90)
"""How long an unreadable upload is kept, so that the client can send it or write the answers instead.

Personal data is kept no longer than needed (UK GDPR, Article 5(1)(e)). The law does not set a period. This one allows
for a few weeks without a session. The practice's lawyer should confirm it.
"""


def normalize_text(text: str) -> str:
    """Normalize line endings and strip surrounding whitespace."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def normalize_line(text: str) -> str:
    """Join the lines of a text with spaces."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


class MultilineText(fields.String):
    """Text of several lines, with normalized line endings."""

    normalize = staticmethod(normalize_text)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:  # noqa: ANN401
        return self.normalize(super()._deserialize(value, attr, data, **kwargs))


class SingleLineText(MultilineText):
    """Text on one line."""

    normalize = staticmethod(normalize_line)


class TickedItem(fields.Integer):
    """The position of an item of a tick list; its words, as the first edition sent them, are read too."""

    def __init__(self, field: Ticks) -> None:
        """Take the tick list."""
        super().__init__()
        self.field = field

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401
        position = self.field.find_position(value)
        if position is None:
            raise ValidationError(lazy_gettext("Choose one of the options."))
        return position


class PartsOfAnswer(fields.Dict):
    """The texts of a field with several inputs, by their keys; a blank one is left out."""

    def __init__(self, field: Field) -> None:
        """Take the field."""
        super().__init__()
        self.field = field

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, str]:  # noqa: ANN401
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        known = {one.key: one for one in self.field.inputs}
        found: dict[str, str] = {}
        errors: dict[str, Any] = {}
        for key, text in value.items():
            try:
                found[key] = _read_part(known.get(key), normalize_line(str(text)))
            except ValidationError as error:
                errors[key] = error.messages
        if errors:
            raise ValidationError(errors)
        return {one.key: found[one.key] for one in self.field.inputs if found.get(one.key)}


def _read_part(found: Input | None, text: str) -> str:
    """Check the text of one input.

    Raises ValidationError.
    """
    if found is None:
        raise ValidationError(lazy_gettext("Unknown field."))
    if text and found.kind == "scale" and text not in SCALE:
        raise ValidationError(lazy_gettext("Choose a number from 0 to 10."))
    if text and found.kind == "tick":
        return SIGNED
    validate.Length(max=found.longest)(text)
    return text


class AnswersSchema(Schema):
    """The answers to one worksheet; no answer is required."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> dict[str, Answer]:
        """Return the answers by field id, without blank ones."""
        return {name.removeprefix(FIELD_PREFIX): value for name, value in data.items() if value}


@lru_cache(maxsize=256)
def build_answers_schema(handout: Handout) -> Schema:
    """Build the schema of a handout's fields; it validates both the web form and PDFs."""
    by_name = {
        f"{FIELD_PREFIX}{field.id}": _build_field(field) for field in handout.fields if field.inputs
    }
    return AnswersSchema.from_dict(by_name)()


def _build_field(field: Field) -> fields.Field[Any]:
    if isinstance(field, Ticks):
        at_most = validate.Length(
            max=len(field.items), error=lazy_gettext("Choose one of the options.")
        )
        return fields.List(TickedItem(field), validate=at_most)
    if has_parts(field):
        return PartsOfAnswer(field)
    (only,) = field.inputs
    longest = validate.Length(max=only.longest)
    one_line = isinstance(field, Text) and field.lines == 1
    return (SingleLineText if one_line else MultilineText)(validate=longest)


def has_parts(field: Field) -> bool:
    """Return whether a field has several inputs, each with a control of its own."""
    return not isinstance(field, (Text, Long, Ticks))


def name_control(field: Field, found: Input) -> str:
    """Return the name of an input's control in the form; the items of a tick list share one."""
    name = f"{FIELD_PREFIX}{field.id}"
    return f"{name}.{found.key}" if has_parts(field) else name


def name_controls(field: Field) -> list[str]:
    """Return the names of a field's controls in the form."""
    return [*dict.fromkeys(name_control(field, one) for one in field.inputs)]


def label_controls(handout: Handout) -> dict[str, str]:
    """Return what a worksheet's form calls its controls, by their names."""
    return {
        name_control(field, one): ": ".join(
            plain_text(text) for text in (field.label, *([one.label] if has_parts(field) else []))
        )
        for field in handout.fields
        for one in field.inputs
    }


def get_form_values(handout: Handout, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Return what a worksheet's form sends for some answers, by the names of its controls."""
    values: dict[str, Any] = {}
    for field in handout.fields:
        answer = answers.get(field.id)
        if isinstance(field, Ticks):
            values[f"{FIELD_PREFIX}{field.id}"] = [str(n) for n in answer or ()]
        elif has_parts(field):
            parts = answer if isinstance(answer, dict) else {}
            values |= {name_control(field, one): parts.get(one.key, "") for one in field.inputs}
        else:
            values[f"{FIELD_PREFIX}{field.id}"] = answer or ""
    return values


@dataclass(frozen=True)
class UploadRecord:
    """An upload that could not be read; the coach sees it once it is sent."""

    id: UUID
    size: int
    reason: str
    received_at: datetime
    sent_at: datetime | None
    writing_key_id: UUID | None
    is_locked: bool = False
    """Whether only an earlier PIN opens it, so that it can be deleted, but not sent."""

    @property
    def reason_text(self) -> str:
        """Return why it could not be read."""
        return UNREAD_REASONS[self.reason]

    @property
    def expires_at(self) -> datetime:
        """Return when it is deleted unless it was sent."""
        return self.received_at + UPLOAD_RETENTION


@dataclass(frozen=True)
class ClientWorksheet:
    """What a client sees of their worksheet; version 0 before it is first saved.

    Answers that only an earlier PIN opens are locked: there are none here.
    """

    answers: Mapping[str, Answer]
    version: int
    saved_at: datetime | None
    shared_at: datetime | None
    changed_since: bool
    is_locked: bool
    uploads: tuple[UploadRecord, ...]

    @property
    def holds_something(self) -> bool:
        """Whether there are answers or files, locked or not."""
        return bool(self.answers or self.is_locked or self.uploads)

    @property
    def has_locked(self) -> bool:
        """Whether only an earlier PIN opens the answers or one of the files."""
        return self.is_locked or any(upload.is_locked for upload in self.uploads)

    @property
    def last_change(self) -> datetime:
        """Return when the client saved or uploaded something last, of a worksheet that has something."""
        times = [upload.received_at for upload in self.uploads]
        return max([*times, *([self.saved_at] if self.saved_at else [])])


@dataclass(frozen=True)
class SharedSummary:
    """When answers to an assignment were shared, and how many uploads were sent."""

    shared_at: datetime | None
    upload_count: int


@dataclass(frozen=True)
class AnsweredPart:
    """One input of a field that has several, with its text; empty when left blank."""

    key: str
    label: str
    text: str


@dataclass(frozen=True)
class AnsweredField:
    """One field with its answer: text, the words of the ticked items, or the parts of which it consists."""

    id: str
    label: str
    type: str
    text: str
    chosen: tuple[str, ...]
    parts: tuple[AnsweredPart, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the answer in lines, without parts that were left blank; empty when all is blank."""
        parts = (f"{part.label}: {part.text}" for part in self.parts if part.text)
        return (*([self.text] if self.text else []), *self.chosen, *parts)


@dataclass(frozen=True)
class SharedAnswers:
    """The shared answers of one worksheet, every field in order."""

    assignment_id: UUID
    shared_at: datetime
    is_unread: bool
    answers: tuple[AnsweredField, ...]
    by_field: Mapping[str, Answer]
    """The answers as they are stored, by field, without blank ones."""


class AnsweredPartResponseSchema(Schema):
    """One input of a field that has several; `key` is its place in the field, such as `before` or `2.1`."""

    key = fields.String(required=True)
    label = fields.String(required=True)
    text = fields.String(required=True)


class AnsweredFieldResponseSchema(Schema):
    """One answered field.

    A tick list has the words of its ticked items in `chosen`; a scale, a table, a list of people and a signature have
    `parts`; the others have `text`. All are empty when left blank.
    """

    id = fields.String(required=True)
    label = fields.String(required=True)
    type = fields.String(required=True, metadata={"enum": [*READERS]})
    text = fields.String(required=True)
    chosen = fields.List(fields.String(), required=True)
    parts = fields.List(fields.Nested(AnsweredPartResponseSchema), required=True)


class SharedAnswersResponseSchema(Schema):
    """The answers a client has shared, as of `shared_at`."""

    assignment_id = fields.UUID(required=True)
    shared_at = fields.AwareDateTime(required=True)
    answers = fields.List(fields.Nested(AnsweredFieldResponseSchema), required=True)
