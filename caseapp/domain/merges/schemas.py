"""Schemas for merging clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import WrittenReason

if TYPE_CHECKING:
    from uuid import UUID

LEAST_REASON, MAX_REASON = 10, 2000


@dataclass(frozen=True)
class NewMerge:
    """Why two records are about the same client.

    `despite_decision` confirms that they are although somebody has decided about a possible conflict between them.
    """

    reason: str = field(repr=False)
    despite_decision: bool = False


def _make(data: dict[str, Any]) -> NewMerge:
    return NewMerge(data["reason"].replace("\r\n", "\n"), data["despite_decision"])


class MergeSchema(Schema):
    """Input of the form that merges a client's record into another one's."""

    reason = WrittenReason(lazy_gettext("Write the reason"), LEAST_REASON, MAX_REASON)
    despite_decision = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewMerge:
        """Build the value."""
        return _make(data)


class EarlierRecordResponseSchema(Schema):
    """A record that was merged into a client's, in API responses; the id is the one that it had."""

    id = fields.UUID(attribute="client_id", required=True)
    merged_at = fields.AwareDateTime(required=True)
    merged_by = fields.String(required=True)
    reason = fields.String(required=True)


@dataclass(frozen=True)
class NewMergeInto:
    """The client whose record is kept, and why both records are about the same client."""

    into_id: UUID
    merge: NewMerge


class MergeIntoSchema(MergeSchema):
    """Input for merging a client's record, which names the client whose record is kept."""

    into_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewMergeInto:
        """Build the value."""
        return NewMergeInto(data["into_id"], _make(data))
