"""Data about snippets, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import RequiredText
from caseapp.domain.notes.formats import SECTIONS

if TYPE_CHECKING:
    from uuid import UUID

MAX_SNIPPETS = 50
MAX_TITLE, MAX_SNIPPET = 60, 2000
"""How many snippets somebody has at most; the most characters of a title and of a text."""


@dataclass(frozen=True)
class SnippetRecord:
    """A snippet of somebody's own, unsealed; `section` is None for the first section of any format."""

    id: UUID
    title: str = field(repr=False)
    text: str = field(repr=False)
    section: str | None
    version: int

    @property
    def place(self) -> str:
        """Say which section it goes into."""
        return SECTIONS[self.section].label if self.section else "First section"


@dataclass(frozen=True)
class SnippetText:
    """What a snippet is to say; `id` is that of the one to change, None for a new one."""

    title: str = field(repr=False)
    text: str = field(repr=False)
    section: str | None = None
    id: UUID | None = None


class SnippetTextSchema(Schema):
    """Input of a snippet."""

    title = RequiredText(lazy_gettext("Write a title"), MAX_TITLE)
    text = RequiredText(lazy_gettext("Write the text"), MAX_SNIPPET)
    section = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(list(SECTIONS))
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> SnippetText:
        """Build the dataclass."""
        text = data["text"].replace("\r\n", "\n")
        return SnippetText(data["title"], text, data["section"], data.get("snippet_id"))


class SnippetSchema(SnippetTextSchema):
    """Input of the form of a snippet, which names the one to change."""

    snippet_id = fields.UUID(load_default=None)


class SnippetResponseSchema(Schema):
    """A snippet in API responses."""

    id = fields.UUID(required=True)
    title = fields.String(required=True)
    text = fields.String(required=True)
    section = fields.String(required=True, allow_none=True)
    version = fields.Integer(required=True)


class SnippetChoiceSchema(Schema):
    """Input that names one of one's own snippets."""

    snippet_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> UUID:
        """Return the id."""
        found: UUID = data["snippet_id"]
        return found
