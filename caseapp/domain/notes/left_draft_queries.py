"""Queries for the drafts of people who have left: which there are, what one says, and its lock.

Somebody has left whose account is disabled. Only the supervisor responsible for the client finds such a draft; while
its author has an account, only the author reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, make_page, page_soonest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.clients.queries import LockedClient, take_lock_of_owner, unseal_client
from caseapp.domain.clients.visibility import (
    has_any,
    in_role,
    looks_after,
    select_memberships,
)
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import LockedNote
from caseapp.domain.notes.sealing import COLUMNS, build_record, join_signatures, load_moves
from caseapp.domain.notes.unsigned import IS_UNSIGNED, load_unsigned
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.notes.records import CoachDraft, NoteRecord

HAS_LEFT = (
    sa.exists()
    .where(User.id == Note.author_id, User.disabled_at.is_not(None))
    .correlate_except(User)
)


@dataclass(frozen=True)
class LockedLeftDraft:
    """The draft of somebody who has left, its client and its author's account locked, as read after the locks.

    Only `lock_left_draft` makes one.
    """

    note: LockedNote
    author_id: UUID


def list_left_drafts(actor: Actor, cursor: str | None, limit: int) -> Page[CoachDraft]:
    """List a page of the drafts of people who have left, about the clients of a supervisor, oldest first.

    They show their age and no content.
    """
    require(actor, Action.DRAFT_READ)
    query = page_soonest_first(_select_left(actor), Note.created_at, Note.id, cursor, limit)
    drafts = load_unsigned(query)
    note_shown(draft.client_id for draft in drafts)
    return make_page(drafts, limit, lambda draft: (draft.created_at, draft.id))


def get_left_draft(actor: Actor, note_id: UUID) -> NoteRecord:
    """Return the draft of somebody who has left, unsealed; the log says that it was read.

    Raises NotFound, also for a draft whose author has an account, and where the actor isn't responsible for the client.
    """
    require(actor, Action.DRAFT_READ)
    named = (
        sa.select(*COLUMNS)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .join(User, User.id == Note.author_id)
        .join(Client, Client.id == Note.client_id)
        .join(Case, Case.id == Note.case_id)
    )
    found = join_signatures(named).where(Note.id == note_id, *_is_left(actor))
    row = db.session.execute(found).first()
    if row is None:
        raise NotFound
    moved = load_moves([note_id] if row.moves else [])
    return build_record(row, (), moved.get(note_id, ()))


def lock_left_draft(actor: Actor, note_id: UUID) -> LockedLeftDraft:
    """Lock the client of a draft and then its author's account, so that neither changes hands, and load the draft.

    Raises NotFound, as `get_left_draft` does, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.DRAFT_FILE)
    take_lock_of_owner(Note.id, note_id)
    author = sa.select(User.id).join(Note, Note.author_id == User.id).where(Note.id == note_id)
    author_id = db.session.scalar(author.with_for_update(read=True, of=User))
    row = db.session.execute(
        sa.select(Note, Client, ClientKey.wrapped)
        .join(Client, Client.id == Note.client_id)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .where(Note.id == note_id, *_is_left(actor))
    ).first()
    if row is None or author_id is None:
        raise NotFound
    key = open_client_key(row.wrapped, row.Client.id, "note", note_id)
    client = LockedClient(unseal_client(row.Client, key), key)
    return LockedLeftDraft(LockedNote(row.Note, client), author_id)


def _select_left(actor: Actor) -> sa.Select[UUID, datetime]:
    return sa.select(Note.id, Note.created_at).where(*_is_left(actor))


def _is_left(actor: Actor) -> tuple[sa.ColumnElement[bool], ...]:
    """Build the SQL conditions for the drafts of people who have left that a supervisor is responsible for."""
    of_supervisor: sa.ColumnElement[bool] = (
        sa.true() if actor.role is Role.SUPERVISOR else sa.false()
    )
    memberships = select_memberships(actor.role, actor.id, Note.client_id, looks_after).where(
        in_role(CareTeamMember, COACH)
    )
    return (of_supervisor, IS_UNSIGNED, HAS_LEFT, has_any(memberships))
