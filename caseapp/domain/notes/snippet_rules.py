"""Rules for snippets: how many there may be, and where one goes. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason
from caseapp.domain.notes.formats import FORMATS
from caseapp.domain.notes.snippet_schemas import MAX_SNIPPETS

if TYPE_CHECKING:
    from caseapp.domain.notes.records import NoteRecord
    from caseapp.domain.notes.snippet_schemas import SnippetRecord

TOO_MANY_SNIPPETS = Reason(
    "too_many_snippets",
    f"You have {MAX_SNIPPETS} snippets, which is the maximum.",
    "Delete one that you no longer use.",
)


def list_new_snippet_blockers(number: int) -> list[Reason]:
    """List why somebody with so many snippets can't add one; empty when they can."""
    return [TOO_MANY_SNIPPETS] if number >= MAX_SNIPPETS else []


def add_snippet_text(note: NoteRecord, snippet: SnippetRecord) -> dict[str, str]:
    """Return the section of a draft that a snippet goes into, with its text at the end."""
    shown = FORMATS[note.format]
    key = snippet.section if snippet.section in shown else next(iter(shown))
    return {key: "\n".join(filter(None, [note.sections.get(key, ""), snippet.text]))}
