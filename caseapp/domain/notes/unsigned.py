"""Unsigned notes as a supervisor sees them: their age and no content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, literal_limit, make_page, page_soonest_first
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.records import CaseDraft, CoachDraft
from caseapp.domain.notes.sealing import IS_LOCKING
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

# Inlined, so that the planner can use the partial index of drafts with a cached plan. A draft that was signed, until
# somebody changed that in the database, waits for nobody: it can't be signed, and is told of as an altered note.
IS_UNSIGNED = sa.and_(
    Note.status == sa.literal("draft", literal_execute=True),
    Note.sha256.is_(None),
    Note.addenda == 0,
    ~sa.exists().where(IS_LOCKING).correlate(Note),
)


def list_coaches_drafts(actor: Actor, limit: int = 50) -> list[CoachDraft]:
    """List the drafts of a supervisor's coaches, oldest first; they show their age and no content."""
    require(actor, Action.NOTE_READ)
    of_others = _select_unsigned(actor).where(Note.author_id != actor.id)
    oldest = of_others.order_by(Note.created_at, Note.id).limit(literal_limit(limit))
    drafts = load_unsigned(oldest)
    note_shown(draft.client_id for draft in drafts)
    return drafts


def list_unsigned_notes(actor: Actor, cursor: str | None, limit: int) -> Page[CoachDraft]:
    """List a page of the drafts of a supervisor and their coaches, oldest first, with their age and no content."""
    require(actor, Action.BOARD_READ)
    query = page_soonest_first(_select_unsigned(actor), Note.created_at, Note.id, cursor, limit)
    return make_page(load_unsigned(query), limit, lambda draft: (draft.created_at, draft.id))


def count_unsigned_notes(actor: Actor) -> int:
    """Count the drafts of a supervisor and their coaches."""
    require(actor, Action.BOARD_READ)
    drafts = _select_unsigned(actor).subquery()
    return db.session.scalars(sa.select(sa.func.count()).select_from(drafts)).one()


def list_draft_times(actor: Actor, client_id: UUID, author_id: UUID) -> list[datetime]:
    """List when somebody began the notes about a client that they haven't signed, oldest first, without their content.

    The caller has already found the client for the actor.
    """
    require(actor, Action.NOTE_READ)
    begun = sa.select(Note.created_at).where(
        IS_UNSIGNED, Note.client_id == client_id, Note.author_id == author_id
    )
    return list(db.session.scalars(begun.order_by(Note.created_at)))


def list_case_drafts(actor: Actor, case_id: UUID) -> list[CaseDraft]:
    """List the actor's own drafts in a case, the newest session first, without their content.

    The caller has already found the case for the actor.
    """
    require(actor, Action.NOTE_READ)
    rows = db.session.execute(
        sa.select(Note.id, Note.session_at, Note.updated_at)
        .where(Note.case_id == case_id, Note.author_id == actor.id, IS_UNSIGNED)
        .order_by(Note.session_at.desc(), Note.id.desc())
    )
    return [CaseDraft(*row) for row in rows]


def _select_unsigned(actor: Actor) -> sa.Select[UUID, datetime]:
    return sa.select(Note.id, Note.created_at).where(
        IS_UNSIGNED, looks_after_client(actor, Note.client_id)
    )


def load_unsigned(chosen: sa.Select[UUID, datetime]) -> list[CoachDraft]:
    """Load the drafts that a query chooses, oldest first, without their content."""
    ids = chosen.subquery()
    rows = db.session.execute(
        sa.select(User.name, Note.id, Note.client_id, Case.number, Client.name, Note.created_at)
        .join(ids, ids.c.id == Note.id)
        .join(User, User.id == Note.author_id)
        .join(Client, Client.id == Note.client_id)
        .join(Case, Case.id == Note.case_id)
        .order_by(Note.created_at, Note.id)
    )
    return [CoachDraft(*row) for row in rows]
