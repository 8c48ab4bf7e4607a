"""What forms and the API say about clients' requests to correct a signed note."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load

from caseapp.core.schemas import RequiredText, WrittenReason

if TYPE_CHECKING:
    from datetime import date

MAX_WORDS, MAX_REASON = 4000, 2000
"""The most characters of what a client wants corrected, and of why it isn't."""


@dataclass(frozen=True)
class NewAmendmentRequest:
    """What a client wants corrected in a note, in their words, and the day on which they asked."""

    requested_on: date
    words: str = field(repr=False)


class NewAmendmentRequestSchema(Schema):
    """Input of a client's request to correct a signed note."""

    requested_on = fields.Date(required=True)
    words = RequiredText("Write what the client wants corrected", MAX_WORDS, least=3)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewAmendmentRequest:
        """Build the dataclass."""
        return NewAmendmentRequest(data["requested_on"], data["words"].replace("\r\n", "\n"))


class AcceptAmendmentSchema(Schema):
    """Input of the correction with which a request is accepted."""

    text = RequiredText("Write what is right", 20_000)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the text of the correction."""
        return str(data["text"]).replace("\r\n", "\n")


class DeclineAmendmentSchema(Schema):
    """Input of why a request is declined; the client gets to read it."""

    reason = WrittenReason("Write why the note stays as it is", 10, MAX_REASON)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the reason."""
        return str(data["reason"]).replace("\r\n", "\n")


class AmendmentResponseSchema(Schema):
    """A client's request to correct a signed note, in API responses.

    `answer` is why it was declined, `addendum_id` the correction with which it was accepted.
    """

    id = fields.UUID(required=True)
    requested_on = fields.Date(required=True)
    due_at = fields.AwareDateTime(required=True)
    words = fields.String(required=True)
    recorded_at = fields.AwareDateTime(required=True)
    recorded_by = fields.UUID(required=True)
    state = fields.String(required=True)
    answered_at = fields.AwareDateTime(required=True, allow_none=True)
    answered_by = fields.UUID(required=True, allow_none=True)
    answer = fields.String(required=True)
    addendum_id = fields.UUID(required=True, allow_none=True)


class NoteAmendmentsResponseSchema(Schema):
    """What a client wants corrected in a note, the oldest request first.

    `version` is that with which the open one is accepted or declined (`If-Match`), another one after each request.
    """

    note_id = fields.UUID(required=True)
    requests = fields.List(fields.Nested(AmendmentResponseSchema), required=True)
    version = fields.Integer(required=True)


class WaitingAmendmentResponseSchema(Schema):
    """A client's request to correct a note that waits for an answer, without its words, in API responses.

    `id` is that of the request.
    """

    id = fields.UUID(required=True)
    note_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    number = fields.String(required=True)
    client = fields.String(required=True)
    author = fields.String(required=True)
    session_at = fields.AwareDateTime(required=True)
    requested_on = fields.Date(required=True)
    due_at = fields.AwareDateTime(required=True)
