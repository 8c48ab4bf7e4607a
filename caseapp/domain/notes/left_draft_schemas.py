"""What forms and the API say about drafts of people who have left."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, post_load

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import WrittenReason

LEAST_FILING_REASON, MAX_FILING_REASON = 10, 2000


class FilingSchema(Schema):
    """Input of why an unsigned draft is filed."""

    reason = WrittenReason(lazy_gettext("Write the reason"), LEAST_FILING_REASON, MAX_FILING_REASON)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the reason."""
        return str(data["reason"]).replace("\r\n", "\n")


class LeftDraftResponseSchema(Schema):
    """A draft of somebody who has left, in a list of API responses: its age and no content."""

    id = fields.UUID(required=True)
    author = fields.String(required=True)
    client_id = fields.UUID(required=True)
    client = fields.String(required=True)
    number = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)
