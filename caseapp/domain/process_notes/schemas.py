"""Data about process notes, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

if TYPE_CHECKING:
    from datetime import datetime

MAX_WORDS = 50_000
"""Characters."""


@dataclass(frozen=True)
class ProcessNoteRecord:
    """Somebody's own process note about a case, opened; `version` is 0 while they have written none."""

    words: str = field(default="", repr=False)
    version: int = 0
    updated_at: datetime | None = None


class ProcessNoteSchema(Schema):
    """Input of a process note, which may be emptied."""

    words = fields.String(load_default="", validate=validate.Length(max=MAX_WORDS))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Take the words alone."""
        words: str = data["words"]
        return words
