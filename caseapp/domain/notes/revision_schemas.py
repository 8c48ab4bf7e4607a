"""The earlier texts of a draft as they are read, and what the API says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marshmallow import Schema, fields

from caseapp.domain.notes.formats import SECTIONS

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.notes.formats import Section


@dataclass(frozen=True)
class RevisionRecord:
    """An earlier text of a draft, unsealed; `saved_at` is when it was saved."""

    id: UUID
    saved_at: datetime
    format: str
    sections: dict[str, str] = field(repr=False)

    @property
    def texts(self) -> list[tuple[Section, str]]:
        """List the sections that have a text."""
        return [
            (section, self.sections[key])
            for key, section in SECTIONS.items()
            if self.sections.get(key)
        ]

    @property
    def longest(self) -> int:
        """Return how many characters its longest section has."""
        return max((len(text) for text in self.sections.values()), default=0)


class RevisionResponseSchema(Schema):
    """An earlier text of a draft in API responses, with the texts of all formats."""

    id = fields.UUID(required=True)
    saved_at = fields.AwareDateTime(required=True)
    format = fields.String(required=True)
    sections = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
