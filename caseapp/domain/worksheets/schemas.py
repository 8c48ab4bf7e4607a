"""Schemas and dataclasses for worksheet answers and uploads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.core.i18n import lazy_gettext
from caseapp.domain.handouts.blocks import READERS
from caseapp.domain.handouts.fields import Text, Ticks
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.worksheets.codes import UNREAD_REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.handouts.fields import Answer, Field
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


class AnswersSchema(Schema):
    """The answers to one worksheet; no answer is required."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> dict[str, Answer]:
        """Return the answers by field id, without blank ones."""
        return {name.removeprefix(FIELD_PREFIX): value for name, value in data.items() if value}


@lru_cache(maxsize=256)
def build_answers_schema(handout: Handout) -> Schema:
    """Build the schema of a handout's fields; it validates both the web form and PDFs."""
    by_name = {f"{FIELD_PREFIX}{field.id}": _build_field(field) for field in handout.fields}
    return AnswersSchema.from_dict(by_name)()


def _build_field(field: Field) -> fields.Field[Any]:
    if isinstance(field, Ticks):
        at_most = validate.Length(
            max=len(field.items), error=lazy_gettext("Choose one of the options.")
        )
        return fields.List(TickedItem(field), validate=at_most)
    (only,) = field.inputs
    longest = validate.Length(max=only.longest)
    one_line = isinstance(field, Text) and field.lines == 1
    return (SingleLineText if one_line else MultilineText)(validate=longest)


def name_controls(field: Field) -> list[str]:
    """Return the names of a field's controls in the form."""
    return [f"{FIELD_PREFIX}{field.id}"]


def label_controls(handout: Handout) -> dict[str, str]:
    """Return what a worksheet's form calls its controls, by their names."""
    return {
        name: plain_text(field.label) for field in handout.fields for name in name_controls(field)
    }


def get_form_values(handout: Handout, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Return what a worksheet's form sends for some answers, by the names of its controls."""
    return {
        f"{FIELD_PREFIX}{field.id}": [str(n) for n in answers.get(field.id, [])]
        if isinstance(field, Ticks)
        else answers.get(field.id, "")
        for field in handout.fields
    }


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
class AnsweredField:
    """One field with its answer: text, or the words of the ticked items."""

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
    is_unread: bool
    answers: tuple[AnsweredField, ...]


class AnsweredFieldResponseSchema(Schema):
    """One answered field; `text` is empty for ticks, which use `chosen`; both are empty when left blank."""

    id = fields.String(required=True)
    label = fields.String(required=True)
    type = fields.String(required=True, metadata={"enum": [*READERS]})
    text = fields.String(required=True)
    chosen = fields.List(fields.String(), required=True)


class SharedAnswersResponseSchema(Schema):
    """The answers a client has shared, as of `shared_at`."""

    assignment_id = fields.UUID(required=True)
    shared_at = fields.AwareDateTime(required=True)
    answers = fields.List(fields.Nested(AnsweredFieldResponseSchema), required=True)
