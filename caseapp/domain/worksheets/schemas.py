"""What comes in and goes out: answers in the shape that a sheet's own fields ask for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from marshmallow import Schema, fields, post_load, validate

from caseapp.domain.handouts.labels import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.handouts.labels import Words
    from caseapp.domain.handouts.library import Field, Handout

Answer: TypeAlias = str | list[str]

# A sheet may call its fields what it likes; in a form they must not meet `version` and the like.
PREFIX = "answer_"
KEPT_FOR = timedelta(days=90)
"""How long a file that could not be read waits for its client to send it on or to write the answers instead.

What is told about a person is kept no longer than it is needed (UK GDPR, Article 5(1)(e)). The law names no number;
this one leaves room for some weeks without a session, and is the practice's lawyer's to confirm.
"""
WHY_WORDS = {
    "no_form": "There are no form fields in this file: it may be a scan, a photo, or printed to PDF again.",
    "other_sheet": "The fields in this file are not those of this sheet: it may be an older version of it.",
    "broken": "This file is damaged, or made in a way that cannot be read here.",
}


def as_typed(text: str) -> str:
    """Give a text as it was typed, with one kind of line end and nothing around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def on_one_line(text: str) -> str:
    """Give a text on one line: a line break that was typed is a space."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


class Typed(fields.String):
    """Be text as it was typed."""

    tidy = staticmethod(as_typed)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:  # noqa: ANN401
        return self.tidy(super()._deserialize(value, attr, data, **kwargs))


class Line(Typed):
    """Be text on one line."""

    tidy = staticmethod(on_one_line)


class AnswersSchema(Schema):
    """Check the answers to one sheet; nothing in it has to be answered."""

    unstorable = ""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> dict[str, Answer]:
        """Give the answers by field, without those that are blank."""
        return {
            name.removeprefix(PREFIX): value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in data.items()
            if value
        }


@lru_cache(maxsize=256)
def answers_schema(handout: Handout) -> Schema:
    """Make the schema of a sheet from its fields, with faults told in its language.

    The web form and a PDF are both read through it.
    """
    words = WORDS[handout.language]
    made = {f"{PREFIX}{field.id}": _kind(field, words) for field in handout.fields}
    schema = cast("AnswersSchema", AnswersSchema.from_dict(made)())
    schema.unstorable = words.unstorable
    return schema


def _kind(field: Field, words: Words) -> fields.Field[Any]:
    one = validate.OneOf(field.options, error=words.choose)
    if field.type == "checkboxes":
        most = validate.Length(max=len(field.options), error=words.choose)
        return fields.List(fields.String(validate=one), validate=most)
    if field.type == "choice":
        return fields.String(validate=one)
    if field.type == "date":
        return fields.Date(error_messages={"invalid": words.one_day})
    most = validate.Length(max=field.max_length, error=words.shorten)
    return (Line if field.type == "text" else Typed)(validate=most)


@dataclass(frozen=True)
class KeptFile:
    """Show a file that could not be read; the coach sees it only once it was sent."""

    id: UUID
    size: int
    why: str
    received_at: datetime
    sent_at: datetime | None

    @property
    def words(self) -> str:
        """Say why it could not be read."""
        return WHY_WORDS[self.why]

    @property
    def kept_until(self) -> datetime:
        """Give the moment from which it is removed, if it is not sent before."""
        return self.received_at + KEPT_FOR


@dataclass(frozen=True)
class Paper:
    """Show a client what they have written in a sheet; before the first word its version is 0."""

    answers: Mapping[str, Answer]
    version: int
    saved_at: datetime | None
    shared_at: datetime | None
    changed_since: bool
    files: tuple[KeptFile, ...]


@dataclass(frozen=True)
class Returned:
    """Say what came back for one assignment: when answers were shared, and how many files were sent."""

    shared_at: datetime | None
    files: int


@dataclass(frozen=True)
class Answered:
    """Show one field with what the client answered: text, or what was chosen of several."""

    id: str
    label: str
    type: str
    text: str
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class SharedAnswers:
    """Show what the client has shared of one sheet, every field in the sheet's order."""

    assignment_id: UUID
    shared_at: datetime
    answers: tuple[Answered, ...]


class AnsweredView(Schema):
    """Show one field; `text` is empty where `chosen` lists what was ticked, and both where it was left blank."""

    id = fields.String(required=True)
    label = fields.String(required=True)
    type = fields.String(
        required=True, metadata={"enum": ["text", "textarea", "checkboxes", "choice", "date"]}
    )
    text = fields.String(required=True)
    chosen = fields.List(fields.String(), required=True)


class SharedAnswersView(Schema):
    """Show the answers that a client has shared, as they stood at `shared_at`."""

    assignment_id = fields.UUID(required=True)
    shared_at = fields.AwareDateTime(required=True)
    answers = fields.List(fields.Nested(AnsweredView), required=True)
