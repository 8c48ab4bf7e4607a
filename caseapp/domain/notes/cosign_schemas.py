"""What forms and the API say about co-signing notes."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_load

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import WrittenReason

LEAST_COMMENT, MAX_COMMENT = 10, 2000


class ReturnSchema(Schema):
    """Input of why a note is returned to its author."""

    comment = WrittenReason(
        lazy_gettext("Write what the author should correct or add"), LEAST_COMMENT, MAX_COMMENT
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the comment."""
        return str(data["comment"]).replace("\r\n", "\n")


class ReviewItemResponseSchema(Schema):
    """A signed note that needs a co-signature, in API responses: it waits for one, or was returned to its author."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    number = fields.String(required=True)
    client = fields.String(required=True)
    author_id = fields.UUID(required=True)
    author = fields.String(required=True)
    session_at = fields.AwareDateTime(required=True)
    state = fields.String(required=True)
    since = fields.AwareDateTime(required=True)


class ReturnResponseSchema(Schema):
    """That a supervisor returned a note, and with which comment."""

    created_at = fields.AwareDateTime(required=True)
    created_by = fields.UUID(required=True)
    by = fields.String(required=True)
    comment = fields.String(required=True)


class NoteReviewResponseSchema(Schema):
    """What became of a signed note that needs or needed a co-signature; `state` is null when it needs none any more.

    `version` is that with which the note is co-signed or returned (`If-Match`), another one after each addendum and
    return.
    """

    note_id = fields.UUID(required=True)
    state = fields.String(required=True, allow_none=True)
    returns = fields.List(fields.Nested(ReturnResponseSchema), required=True)
    version = fields.Integer(required=True)
