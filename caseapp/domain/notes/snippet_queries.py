"""Queries for snippets: somebody's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.core.vault import unseal_bound
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.notes.models import Snippet
from caseapp.domain.notes.snippet_schemas import SnippetRecord

if TYPE_CHECKING:
    from uuid import UUID


def list_snippets(actor: Actor) -> list[SnippetRecord]:
    """List the actor's own snippets by their titles."""
    require(actor, Action.NOTE_READ)
    rows = db.session.scalars(sa.select(Snippet).where(Snippet.owner_id == actor.id)).all()
    found = [open_snippet(row) for row in rows]
    return sorted(found, key=lambda snippet: (snippet.title.casefold(), snippet.id))


def get_snippet_row(actor: Actor, snippet_id: UUID) -> Snippet:
    """Return the row of a snippet of the actor's own.

    Raises NotFound.
    """
    require(actor, Action.NOTE_WRITE)
    row = db.session.get(Snippet, snippet_id)
    if row is None or row.owner_id != actor.id:
        raise NotFound
    return row


def snippet_binding(snippet_id: UUID) -> bytes:
    """Return what a snippet is sealed to: its own row."""
    return b"snippet/" + snippet_id.bytes


def open_snippet(row: Snippet) -> SnippetRecord:
    """Unseal a snippet."""
    key = get_ring_key("drafts", row.ring_number).for_person(row.owner_id)
    content = json.loads(unseal_bound(row.content, snippet_binding(row.id), key))
    return SnippetRecord(row.id, content["title"], content["text"], row.section, row.version)
