"""Schemas and dataclasses for worksheet answers and uploads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from marshmallow import Schema, fields, post_load, validate

from caseapp.domain.handouts.labels import LABELS
from caseapp.domain.worksheets.codes import UNREAD_REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.handouts.labels import Labels
    from caseapp.domain.handouts.library import Field, Handout

Answer: TypeAlias = str | list[str]

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


class AnswersSchema(Schema):
    """The answers to one worksheet; no answer is required."""

    unstorable = ""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> dict[str, Answer]:
        """Return the answers by field id, without blank ones."""
        return {
            name.removeprefix(FIELD_PREFIX): value.isoformat()
            if hasattr(value, "isoformat")
            else value
            for name, value in data.items()
            if value
        }


@lru_cache(maxsize=256)
def build_answers_schema(handout: Handout) -> Schema:
    """Build the schema of a handout's fields, with error messages in its language.

    Validates both the web form and PDFs.
    """
    labels = LABELS[handout.language]
    by_name = {f"{FIELD_PREFIX}{field.id}": _build_field(field, labels) for field in handout.fields}
    schema = cast("AnswersSchema", AnswersSchema.from_dict(by_name)())
    schema.unstorable = labels.unstorable
    return schema


def _build_field(field: Field, labels: Labels) -> fields.Field[Any]:
    one = validate.OneOf(field.options, error=labels.invalid_choice)
    if field.type == "checkboxes":
        at_most = validate.Length(max=len(field.options), error=labels.invalid_choice)
        return fields.List(fields.String(validate=one), validate=at_most)
    if field.type == "choice":
        return fields.String(validate=one)
    if field.type == "date":
        return fields.Date(error_messages={"invalid": labels.invalid_date})
    longest = validate.Length(max=field.max_length, error=labels.too_long)
    return (SingleLineText if field.type == "text" else MultilineText)(validate=longest)


@dataclass(frozen=True)
class UploadRecord:
    """An upload that could not be read; the coach sees it once it is sent."""

    id: UUID
    size: int
    reason: str
    received_at: datetime
    sent_at: datetime | None

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
    """What a client sees of their worksheet; version 0 before it is first saved."""

    answers: Mapping[str, Answer]
    version: int
    saved_at: datetime | None
    shared_at: datetime | None
    changed_since: bool
    uploads: tuple[UploadRecord, ...]


@dataclass(frozen=True)
class SharedSummary:
    """When answers to an assignment were shared, and how many uploads were sent."""

    shared_at: datetime | None
    upload_count: int


@dataclass(frozen=True)
class AnsweredField:
    """One field with its answer: text, or the chosen options."""

    id: str
    label: str
    type: str
    text: str
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class SharedAnswers:
    """The shared answers of one worksheet, every field in order."""

    assignment_id: UUID
    shared_at: datetime
    answers: tuple[AnsweredField, ...]


class AnsweredFieldResponseSchema(Schema):
    """One answered field; `text` is empty for checkboxes, which use `chosen`; both are empty when left blank."""

    id = fields.String(required=True)
    label = fields.String(required=True)
    type = fields.String(
        required=True, metadata={"enum": ["text", "textarea", "checkboxes", "choice", "date"]}
    )
    text = fields.String(required=True)
    chosen = fields.List(fields.String(), required=True)


class SharedAnswersResponseSchema(Schema):
    """The answers a client has shared, as of `shared_at`."""

    assignment_id = fields.UUID(required=True)
    shared_at = fields.AwareDateTime(required=True)
    answers = fields.List(fields.Nested(AnsweredFieldResponseSchema), required=True)
