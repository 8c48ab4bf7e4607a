"""What a search for words in notes asks for, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.schemas import RequiredText, WholeNumber

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.notes.matching import Excerpt
    from caseapp.domain.notes.records import NoteRecord

MAX_WORDS_LENGTH = 120
MAX_FOUND = 50
USUAL_FOUND = 20


@dataclass(frozen=True)
class NoteSearch:
    """What somebody looks for: words that a note must hold, in one case or in the notes of all clients of theirs.

    A page has at most `limit` notes, and starts after those that the page before has looked through.
    """

    words: str = field(repr=False)
    case_id: UUID | None = None
    cursor: str | None = None
    limit: int = USUAL_FOUND


class NoteSearchSchema(Schema):
    """Input of a search, from the form and the API."""

    words = RequiredText(
        "Enter what you are looking for",
        MAX_WORDS_LENGTH,
        least=2,
        metadata={"description": "Finds notes that contain every one of these words."},
    )
    cursor = fields.String(
        validate=validate.Length(max=200),
        metadata={"description": "The “next” value from the previous page."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NoteSearch:
        """Build the value; an empty cursor is none."""
        return NoteSearch(**{**data, "cursor": data.get("cursor") or None})


class NoteSearchRequestSchema(NoteSearchSchema):
    """Input of a search from the API."""

    case_id = fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={"description": "Only the notes of this case; without it, of all your clients."},
    )
    limit = WholeNumber(load_default=USUAL_FOUND, validate=validate.Range(1, MAX_FOUND))


@dataclass(frozen=True)
class FoundNote:
    """A note that holds the words, with where they stand."""

    note: NoteRecord
    excerpts: tuple[Excerpt, ...]


@dataclass(frozen=True)
class FoundNotes:
    """A page of a search, newest session first.

    `looked_at` is how many notes were looked through for it, and `back_to` when the oldest one's session was. `next` is
    the cursor of what was not looked at yet, or None.
    """

    items: list[FoundNote]
    looked_at: int
    back_to: datetime | None
    next: str | None


class ExcerptResponseSchema(Schema):
    """A part of a note in which a word was found, in API responses."""

    part = fields.String(required=True)
    before = fields.String(required=True)
    found = fields.String(required=True)
    after = fields.String(required=True)


class FoundNoteResponseSchema(Schema):
    """A note that holds the words, in API responses."""

    id = fields.UUID(required=True, attribute="note.id")
    case_id = fields.UUID(required=True, attribute="note.case_id")
    client_id = fields.UUID(required=True, attribute="note.client_id")
    status = fields.String(required=True, attribute="note.status")
    actual_session_at = fields.AwareDateTime(required=True, attribute="note.actual_session_at")
    in_error = fields.Boolean(required=True, attribute="note.in_error")
    is_as_signed = fields.Boolean(required=True, attribute="note.is_as_signed")
    excerpts = fields.List(fields.Nested(ExcerptResponseSchema), required=True)


class FoundNotesResponseSchema(Schema):
    """A page of a search in API responses; `looked_at` notes were looked through, back to a session at `back_to`."""

    items = fields.List(fields.Nested(FoundNoteResponseSchema), required=True)
    looked_at = fields.Integer(required=True)
    back_to = fields.AwareDateTime(required=True, allow_none=True)
    next = fields.String(required=True, allow_none=True)
