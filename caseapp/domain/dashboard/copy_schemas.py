"""Data about a client's copy of their record, and its schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.tokens import CODE_LETTERS, generate_code
from caseapp.domain.dashboard.timeline_filter import (
    EVENT_KINDS,
    TimelineFilterSchema,
    build_filter,
)

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.dashboard.timeline_filter import TimelineFilter

COPY_CHANNELS = {"in_person": "In person", "email": "By email", "post": "By post"}
"""How a client gets the copy of their record: the last two are also ways of contact, which have to be safe."""
NOTHING_CHOSEN = "Choose what the copy contains."
PASSPHRASE_GROUPS = 5
PASSPHRASE = rf"[{CODE_LETTERS}]{{4}}(?:-[{CODE_LETTERS}]{{4}}){{{PASSPHRASE_GROUPS - 1}}}"


def make_passphrase() -> str:
    """Make a passphrase for one copy: 99 random bits, which nobody can try out."""
    return generate_code(PASSPHRASE_GROUPS)


@dataclass(frozen=True)
class NewCopy:
    """What a client's copy is to hold, how they get it, and the passphrase that opens it.

    `asked_alone` says that they were asked with nobody else present who could find it.
    """

    filters: TimelineFilter
    channel: str
    asked_alone: bool
    passphrase: str = field(repr=False)


@dataclass(frozen=True)
class MadeCopy:
    """A copy that was made: the encrypted PDF, how many entries it holds, and the hash of its `record.json`.

    It isn't stored anywhere.
    """

    content: bytes = field(repr=False)
    entries: int
    sha256: str


@dataclass(frozen=True)
class CopyAnswer:
    """A copy for a program: the entry of the disclosure log, the file in Base64, and the passphrase that opens it."""

    disclosure_id: UUID
    passphrase: str = field(repr=False)
    content: str = field(repr=False)


class NewCopySchema(TimelineFilterSchema):
    """Input of a copy: the filters of a timeline, and how the client gets it.

    What it contains is always named, so that nobody hands everything over by choosing nothing.
    """

    kind = fields.List(
        fields.String(validate=validate.OneOf(EVENT_KINDS)),
        required=True,
        validate=validate.Length(min=1, error=NOTHING_CHOSEN),
        error_messages={"required": NOTHING_CHOSEN},
        metadata={"description": "A kind of event that the copy contains; at least one."},
    )
    channel = fields.String(required=True, validate=validate.OneOf(COPY_CHANNELS))
    asked_alone = fields.Boolean(
        load_default=False,
        metadata={
            "description": "The client was asked, with nobody else present, who could find the copy."
        },
    )
    passphrase = fields.String(
        load_default=make_passphrase,
        validate=validate.Regexp(rf"{PASSPHRASE}\Z"),
        metadata={
            "description": "A passphrase that was made here. Leave this out to have one made."
        },
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewCopy:
        """Build the dataclass."""
        about = {name: data[name] for name in ("channel", "asked_alone", "passphrase")}
        return NewCopy(build_filter(data), **about)


class CopyResponseSchema(Schema):
    """A copy in API responses; it is given once and isn't stored anywhere."""

    disclosure_id = fields.UUID(required=True)
    passphrase = fields.String(required=True)
    content = fields.String(
        required=True, metadata={"description": "The encrypted PDF, in Base64."}
    )
