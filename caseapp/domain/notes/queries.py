"""Queries for session notes: the notes an actor may read, and their own drafts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.pagination import (
    Page,
    Window,
    in_any,
    literal_limit,
    make_page,
    page_newest_first,
)
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.vault import DataKey, SealBroken, unwrap_client_key
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import get_case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import (
    LockedClient,
    find_coach_id,
    take_lock_of_owner,
    unseal_client,
)
from caseapp.domain.clients.visibility import is_visible_client, looks_after_client
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key, open_listed_client_key
from caseapp.domain.notes.formats import WITH_PLAN
from caseapp.domain.notes.models import Note, NoteSignature
from caseapp.domain.notes.records import (
    DraftListItem,
    DraftScreening,
    NoteRecord,
)
from caseapp.domain.notes.rules import list_addendum_blockers
from caseapp.domain.notes.sealing import (
    COLUMNS,
    IS_LOCKING,
    build_record,
    build_records,
    draft_screening,
    join_signatures,
    load_addenda,
    load_moves,
    unseal_note,
    was_signed,
)
from caseapp.domain.notes.unsigned import IS_UNSIGNED
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.rules import highest_level
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.errors import Reason


def _is_readable(role: Role, who: UUID | sa.BindParameter[UUID]) -> sa.ColumnElement[bool]:
    """Build the SQL condition for the notes a person may read: signed ones of their clients, and their own drafts.

    A draft with a digest was signed, and somebody has changed that in the database.
    """
    return sa.and_(
        is_visible_client(role, who, Note.client_id),
        sa.or_(Note.status == "signed", Note.author_id == who, Note.sha256.is_not(None)),
    )


def select_readable(role: Role, who: UUID | sa.BindParameter[UUID]) -> sa.Select[*tuple[Any, ...]]:
    """Select the notes that a person may read, each with what it takes to open and check it."""
    named = (
        sa.select(*COLUMNS)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .join(User, User.id == Note.author_id)
        .join(Client, Client.id == Note.client_id)
        .join(Case, Case.id == Note.case_id)
    )
    return join_signatures(named).where(_is_readable(role, who))


def get_note(actor: Actor, note_id: UUID) -> NoteRecord:
    """Return one note.

    Raises NotFound, also for somebody else's draft.
    """
    require(actor, Action.NOTE_READ)
    row = run(_select_note(actor.role), asks=actor.id, note=note_id).first()
    if row is None:
        raise NotFound
    # Also of a note that says it has none: they would show that it was changed.
    added = load_addenda([note_id] if was_signed(row) else [])
    moved = load_moves([note_id] if row.moves else [])
    return build_record(row, added.get(note_id, ()), moved.get(note_id, ()))


@cache
def _select_note(role: Role) -> sa.Select[*tuple[Any, ...]]:
    return select_readable(role, sa.bindparam("asks")).where(Note.id == sa.bindparam("note"))


@dataclass(frozen=True)
class LockedNote:
    """A note whose client is locked until the transaction ends, read after the lock.

    Only `lock_note` and `locked_draft` make one. `has_signature` tells whether a signature is stored.
    """

    row: Note
    client: LockedClient
    has_signature: bool = False

    @property
    def key(self) -> DataKey:
        """Return the client's key."""
        return self.client.key

    @property
    def record(self) -> NoteRecord:
        """Return the note unsealed, as it is now in this transaction."""
        return unseal_note(self.row, self.key)


def lock_note(actor: Actor, note_id: UUID) -> LockedNote:
    """Lock a note's client, then load the note.

    Raises NotFound, also for somebody else's draft, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.NOTE_READ)
    take_lock_of_owner(Note.id, note_id)
    values = {"asks": actor.id, "note": note_id}
    row = db.session.execute(_select_for_change(actor.role), values).first()
    if row is None:
        raise NotFound
    key = open_client_key(row.wrapped, row.Client.id, "note", row.Note.id)
    client = LockedClient(unseal_client(row.Client, key), key)
    return LockedNote(row.Note, client, row.signature is not None)


def locked_draft(client: LockedClient, note_id: UUID) -> LockedNote | None:
    """Return the draft of a note of a client who is locked already, whoever writes it; None when there is no draft."""
    row = db.session.get(Note, note_id)
    if row is None or row.client_id != client.id or row.status != "draft" or row.sha256:
        return None
    return LockedNote(row, client)


@cache
def _select_for_change(role: Role) -> sa.Select[Note, Client, bytes, UUID]:
    """Build, once for each role, the query for a note with its client: every autosave runs it."""
    return (
        sa.select(Note, Client, ClientKey.wrapped, NoteSignature.note_id.label("signature"))
        .join(Client, Client.id == Note.client_id)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .outerjoin(NoteSignature, IS_LOCKING)
        .where(Note.id == sa.bindparam("note"), _is_readable(role, sa.bindparam("asks")))
    )


@dataclass(frozen=True)
class LockedCaseForNote:
    """A case in which a note is started, its client locked; only `lock_case_for_note` makes one, after the lock.

    Starting a note is the most frequent change, so this holds only what a new note needs. `has_draft` tells whether the
    actor has a draft in the case.
    """

    id: UUID
    number: str
    status: str
    client_id: UUID
    client: str
    key: DataKey
    has_draft: bool = False


def lock_case_for_note(actor: Actor, ref: UUID | str) -> LockedCaseForNote:
    """Lock a case's client, then load what a new note needs; `ref` is the id of the case or its number.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CASE_READ)
    column = "number" if isinstance(ref, str) else "id"
    take_lock_of_owner(Case.number if column == "number" else Case.id, ref)
    found = run(_select_case_for_note(actor.role, column), asks=actor.id, case=ref).first()
    if found is None:
        raise NotFound
    key = open_client_key(found.wrapped, found.client_id, "case", found.id)
    return LockedCaseForNote(
        found.id,
        found.number,
        found.status,
        found.client_id,
        found.name,
        key,
        found.has_draft,
    )


@cache
def _select_case_for_note(role: Role, column: str) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the query for a visible case, its client's name and the client's key."""
    return (
        sa.select(
            Case.id,
            Case.client_id,
            Case.status,
            Case.number,
            Client.name,
            ClientKey.wrapped,
            sa.exists()
            .where(Note.case_id == Case.id, Note.author_id == sa.bindparam("asks"), IS_UNSIGNED)
            .label("has_draft"),
        )
        .join(Client, Client.id == Case.client_id)
        .join(ClientKey, ClientKey.client_id == Case.client_id)
        .where(
            Case.__table__.c[column] == sa.bindparam("case"),
            is_visible_client(role, sa.bindparam("asks"), Case.client_id),
        )
    )


def list_case_notes(
    actor: Actor, case_id: UUID, cursor: str | None, limit: int
) -> Page[NoteRecord]:
    """List a case's notes, newest session first: everyone's signed notes and the actor's own drafts.

    Raises NotFound.
    """
    require(actor, Action.NOTE_READ)
    if cursor:
        query = select_readable(actor.role, actor.id).where(Note.case_id == case_id)
        rows = db.session.execute(
            page_newest_first(query, Note.actual_session_at, Note.id, cursor, limit)
        ).all()
    else:
        rows = run(_select_first_page(actor.role, limit + 1), asks=actor.id, case=case_id).all()
    if not rows:
        get_case(actor, case_id)
        return Page([], None)
    page = make_page(rows, limit, lambda note: (note.actual_session_at, note.id))
    # A note that was moved here in the database belongs to another client, whose key opens it.
    own = next((row for row in rows if row.client_id == row.case_client_id), None)
    keys = (
        {own.client_id: open_client_key(own.wrapped, own.client_id, "case", case_id)} if own else {}
    )
    return Page(build_records(page.items, keys), page.next)


@cache
def _select_first_page(role: Role, number: int) -> sa.Select[*tuple[Any, ...]]:
    """Build the query for the first page of a case's notes, once for each role and length: the most frequent read."""
    return (
        select_readable(role, sa.bindparam("asks"))
        .where(Note.case_id == sa.bindparam("case"))
        .order_by(Note.actual_session_at.desc(), Note.id.desc())
        .limit(literal_limit(number))
    )


def list_notes_in(actor: Actor, case_id: UUID, *windows: Window) -> list[NoteRecord]:
    """List a case's notes that are in at least one of some windows, newest session first, in one statement.

    The caller has already found the case for this actor.
    """
    readable = (Note.case_id == case_id, _is_readable(actor.role, actor.id))
    wanted = [window.select(Note.actual_session_at, Note.id, *readable) for window in windows]
    rows = db.session.execute(
        select_readable(actor.role, actor.id)
        .where(in_any(Note.id, *wanted))
        .order_by(Note.actual_session_at.desc(), Note.id.desc())
    ).all()
    return build_records(rows)


def list_own_signed_notes(actor: Actor, cursor: str | None, limit: int) -> Page[NoteRecord]:
    """List the notes that the actor has signed, most recently signed first."""
    require(actor, Action.NOTE_READ)
    query = select_readable(actor.role, actor.id).where(
        Note.author_id == actor.id, Note.status == "signed"
    )
    rows = db.session.execute(
        page_newest_first(query, Note.updated_at, Note.id, cursor, limit)
    ).all()
    return make_page(build_records(rows), limit, lambda note: (note.updated_at, note.id))


def list_own_drafts(actor: Actor, limit: int = 50) -> list[DraftListItem]:
    """List the actor's own drafts: those with an unrecorded concern or urgent level first, then the oldest sessions."""
    require(actor, Action.NOTE_READ)
    rows = db.session.execute(
        sa.select(
            Note.id,
            Note.case_id,
            Note.client_id,
            Case.number,
            Client.name,
            Note.session_at,
            Note.created_at,
            Note.updated_at,
            Note.has_unrecorded,
            Note.draft_screening,
            ClientKey.wrapped,
        )
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .join(Client, Client.id == Note.client_id)
        .join(Case, Case.id == Note.case_id)
        .where(
            Note.author_id == actor.id,
            IS_UNSIGNED,
            looks_after_client(actor, Note.client_id),
        )
        .order_by(Note.has_unrecorded.desc(), Note.session_at, Note.id)
        .limit(limit)
    ).all()
    note_shown(row.client_id for row in rows)
    found = [DraftListItem(*row[:8], unrecorded_level=_find_unrecorded_level(row)) for row in rows]
    return sorted(found, key=lambda draft: (-draft.urgency, draft.session_at, draft.id))


def _find_unrecorded_level(row: sa.Row[*tuple[Any, ...]]) -> int | None:
    """Find the highest level that a listed draft has not recorded yet; only a draft that has one is opened."""
    if not row.has_unrecorded:
        return None
    key = open_listed_client_key(row.wrapped, row.client_id)
    return highest_level(draft_screening(row, key).unrecorded)


def find_previous_plan(actor: Actor, note: NoteRecord) -> NoteRecord | None:
    """Find the newest signed note with a plan from before this session."""
    return _find_plan(actor, note.case_id, Note.actual_session_at <= note.session_at)


def find_last_plan(actor: Actor, case_id: UUID) -> NoteRecord | None:
    """Find the newest signed note of a case with a plan."""
    return _find_plan(actor, case_id)


def _find_plan(actor: Actor, case_id: UUID, *where: sa.ColumnElement[bool]) -> NoteRecord | None:
    require(actor, Action.NOTE_READ)
    rows = db.session.execute(
        select_readable(actor.role, actor.id)
        .where(
            Note.case_id == case_id,
            Note.status == "signed",
            Note.format.in_(WITH_PLAN),
            ~Note.in_error,
            *where,
        )
        .order_by(Note.actual_session_at.desc(), Note.id.desc())
        .limit(1)
    ).all()
    return build_records(rows)[0] if rows else None


def find_opening(case_id: UUID) -> datetime:
    """Find when the case of a note was opened."""
    return db.session.scalars(sa.select(Case.opened_at).where(Case.id == case_id)).one()


def list_unsigned_rows(
    oldest: datetime | None, after: UUID | None, limit: int
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """List signed notes without a signature that were signed before a time, in order of their ids, after one of them.

    Only for `caseapp init`, which shows nothing of them.
    """
    query = (
        sa.select(*Note.__table__.c, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .outerjoin(NoteSignature, IS_LOCKING)
        .where(Note.status == "signed", NoteSignature.note_id.is_(None))
        .order_by(Note.id)
        .limit(limit)
    )
    if oldest is not None:
        query = query.where(Note.signed_at < oldest)
    if after is not None:
        query = query.where(Note.id > after)
    return db.session.execute(query).all()


def open_for_signature(row: sa.Row[*tuple[Any, ...]]) -> NoteRecord | None:
    """Unseal a note of `list_unsigned_rows`; None when its text was changed or moved."""
    try:
        return unseal_note(row, unwrap_client_key(row.client_id, row.wrapped))
    except SealBroken:
        return None


def list_blockers_of_addenda(actor: Actor, note: NoteRecord) -> list[Reason]:
    """List why the actor can't add to a note that they have read."""
    is_supervisor = actor.role is Role.SUPERVISOR
    coach_id = find_coach_id(note.client_id)
    return list_addendum_blockers(note, actor.id, coach_id, is_supervisor=is_supervisor)


def list_stated_levels(note: LockedNote, draft: DraftScreening) -> dict[str, int]:
    """List the levels, by item, of a note's draft that require something once they are recorded.

    Circumstances also raise what earlier screenings of the client said, and one that never expires only once.
    """
    if not draft.circumstances:
        return draft.list_stated()
    state = get_current_safety(note.key).state
    return draft.list_stated(state.answers, state.circumstances)
