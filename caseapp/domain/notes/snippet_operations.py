"""Operations on snippets: save one, delete one, put one into a draft."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import refuse_for
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_bound
from caseapp.domain.audit.operations import record
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.notes.models import Snippet
from caseapp.domain.notes.operations import save_draft
from caseapp.domain.notes.rules import check_draft
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.notes.snippet_queries import get_snippet_row, open_snippet, snippet_binding
from caseapp.domain.notes.snippet_rules import add_snippet_text, list_new_snippet_blockers

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.snippet_schemas import SnippetText


def save_snippet(actor: Actor, new: SnippetText, expected_version: int) -> UUID:
    """Save a snippet of the actor's own, a new one or one to change, and return its id.

    Raises NotFound, RuleBroken when they have too many, and Stale.
    """
    require(actor, Action.NOTE_WRITE)
    ring_key = get_ring_key("drafts")
    if new.id is None:
        own = sa.select(sa.func.count()).where(Snippet.owner_id == actor.id)
        refuse_for(list_new_snippet_blockers(db.session.scalars(own).one()))
        row = Snippet(id=new_id(), owner_id=actor.id)
        db.session.add(row)
    else:
        row = get_snippet_row(actor, new.id)
        set_committed_value(row, "version", expected_version)
    row.section, row.ring_number, row.updated_at = new.section, ring_key.number, now()
    content = json.dumps({"title": new.title, "text": new.text}).encode()
    key = ring_key.for_person(actor.id)
    row.content = seal_bound(content, snippet_binding(row.id), key)
    db.session.flush()
    record(actor, Action.NOTE_WRITE, "snippet", row.id)
    return row.id


def delete_snippet(actor: Actor, snippet_id: UUID) -> None:
    """Delete a snippet of the actor's own.

    Raises NotFound.
    """
    db.session.delete(get_snippet_row(actor, snippet_id))
    db.session.flush()
    record(actor, Action.NOTE_WRITE, "snippet", snippet_id, details={"discarded": True})


def delete_snippets_of(user_id: UUID) -> None:
    """Delete the snippets of somebody whose account is disabled: nobody else can."""
    db.session.execute(sa.delete(Snippet).where(Snippet.owner_id == user_id))


def insert_snippet(actor: Actor, note: LockedNote, snippet_id: UUID, expected_version: int) -> int:
    """Put a snippet of the actor's own at the end of a section of their draft, and return the draft's new version.

    Raises NotFound, RuleBroken for a signed note, Invalid when the note becomes too long, and Stale.
    """
    require(actor, Action.NOTE_WRITE)
    check_draft(note)
    snippet = open_snippet(get_snippet_row(actor, snippet_id))
    change = DraftChange(sections=add_snippet_text(note.record, snippet))
    return save_draft(actor, note, change, expected_version)
