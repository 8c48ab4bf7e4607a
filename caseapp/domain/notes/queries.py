"""Queries for session notes: the notes an actor may read, and their own drafts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
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
from caseapp.core.reads import note_altered, note_shown
from caseapp.core.vault import DataKey, SealBroken, unseal_text, unwrap_client_key
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import get_case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import (
    LockedClient,
    find_coach_id,
    is_visible_client,
    sees_client,
    take_lock_of_owner,
    unseal_client,
)
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_key, open_listed_key
from caseapp.domain.notes.models import Note, NoteAddendum, NoteSignature
from caseapp.domain.notes.rules import list_addendum_blockers
from caseapp.domain.notes.schemas import (
    NO_ANSWERS,
    Addendum,
    DraftListItem,
    DraftScreening,
    NoteRecord,
    Signature,
    draft_from_json,
)
from caseapp.domain.notes.signatures import (
    are_facts_as_signed,
    is_addendum_as_signed,
    is_as_signed,
)
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.rules import highest_level
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.core.errors import Reason


def _is_readable(role: Role, who: UUID | sa.BindParameter[UUID]) -> sa.ColumnElement[bool]:
    """Build the SQL condition for the notes a person may read: signed ones of their clients, and their own drafts."""
    return sa.and_(
        is_visible_client(role, who, Note.client_id),
        sa.or_(Note.status == "signed", Note.author_id == who),
    )


COLUMNS = (
    Note.id,
    Note.case_id,
    Note.client_id,
    Note.author_id,
    Note.format,
    Note.session_at,
    Note.minutes,
    Note.modality,
    Note.status,
    Note.sections,
    Note.draft_screening,
    Note.screening_id,
    Note.updated_at,
    Note.signed_at,
    Note.sha256,
    Note.actual_session_at,
    Note.actual_minutes,
    Note.in_error,
    Note.addenda,
    Note.version,
    ClientKey.wrapped,
    User.name.label("author"),
    Client.name.label("client"),
    Case.number,
    NoteSignature.meaning,
    NoteSignature.signed_client_id,
    NoteSignature.signed_case_id,
    NoteSignature.signed_by,
    NoteSignature.role,
    NoteSignature.signed_at.label("signature_at"),
    NoteSignature.zone,
    NoteSignature.recorded_at,
    NoteSignature.digest,
    NoteSignature.key_number,
    NoteSignature.mac,
)
IS_AUTHORS = sa.and_(NoteSignature.note_id == Note.id, NoteSignature.meaning == "author")


def _with_names(role: Role, who: UUID | sa.BindParameter[UUID]) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(*COLUMNS)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .join(User, User.id == Note.author_id)
        .join(Client, Client.id == Note.client_id)
        .join(Case, Case.id == Note.case_id)
        .outerjoin(NoteSignature, IS_AUTHORS)
        .where(_is_readable(role, who))
    )


def _build_records(rows: Sequence[Any], key: DataKey | None = None) -> list[NoteRecord]:
    """Unseal notes with their addenda, which take one statement more when a note has any."""
    added = _load_addenda([row.id for row in rows if row.addenda])
    return [_build_record(row, added.get(row.id, ()), key) for row in rows]


def _build_record(
    row: Any,  # noqa: ANN401 - a result row
    added: Sequence[Any] = (),
    key: DataKey | None = None,
) -> NoteRecord:
    """Unseal a note with its addenda, and compare a signed one with its signature and theirs.

    One that was changed is noted for the log.
    """
    key = key or open_key(row.wrapped, row.client_id, "note", row.id)
    is_readable = True
    try:
        note = unseal_note(row, key, author=row.author, client=row.client, number=row.number)
    except SealBroken:
        if row.status == "draft":
            raise
        is_readable = False
        note = unseal_note(row, None, author=row.author, client=row.client, number=row.number)
    if note.status == "draft":
        return note
    signature = _build_signature(row)
    addenda = [_build_addendum(found, key) for found in added]
    note = replace(note, signature=signature, addenda=tuple(each for each, _ in addenda))
    is_same = (
        is_readable
        and is_as_signed(note, signature, row.key_number, row.mac)
        and all(is_right for _, is_right in addenda)
        and are_facts_as_signed(note, row.addenda)
    )
    if not is_same:
        note_altered("note", note.id, note.client_id)
    return replace(note, is_as_signed=is_same)


def _load_addenda(note_ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Load the addenda of notes as rows, by note and in their order."""
    found: dict[UUID, list[Any]] = {}
    if not note_ids:
        return found
    rows = db.session.execute(
        sa.select(*NoteAddendum.__table__.c, User.name.label("author"))
        .join(User, User.id == NoteAddendum.created_by)
        .where(NoteAddendum.note_id.in_(note_ids))
        .order_by(NoteAddendum.note_id, NoteAddendum.seq)
    )
    for row in rows:
        found.setdefault(row.note_id, []).append(row)
    return found


def _build_addendum(row: Any, key: DataKey) -> tuple[Addendum, bool]:  # noqa: ANN401 - a result row
    """Unseal an addendum; tell too whether it is as it was signed. One that doesn't open has no texts."""
    try:
        content = _unseal_data(row, "content", key, NoteAddendum.__tablename__)
    except SealBroken:
        content = {}
    session_at = content.get("session_at")
    addendum = Addendum(
        row.id,
        row.note_id,
        row.client_id,
        row.seq,
        row.kind,
        row.created_at,
        row.created_by,
        row.role,
        row.zone,
        content.get("text", ""),
        content.get("reason", ""),
        datetime.fromisoformat(session_at) if session_at else None,
        content.get("minutes"),
        row.author,
    )
    is_right = is_addendum_as_signed(addendum, row.digest, row.key_number, row.mac)
    return addendum, is_right


def _build_signature(row: Any) -> Signature | None:  # noqa: ANN401 - a result row
    if row.mac is None:
        return None
    return Signature(
        row.id,
        row.meaning,
        row.signed_client_id,
        row.signed_case_id,
        row.signed_by,
        row.role,
        row.signature_at,
        row.zone,
        row.recorded_at,
        row.digest,
    )


def unseal_note(
    note: Note | sa.Row[*tuple[Any, ...]],
    key: DataKey | None,
    *,
    author: str = "",
    client: str = "",
    number: str = "",
) -> NoteRecord:
    """Unseal a note that was loaded as an object or as a row; without a key, leave out its text.

    Raises SealBroken when a text was changed or moved.
    """
    return NoteRecord(
        id=note.id,
        case_id=note.case_id,
        client_id=note.client_id,
        author_id=note.author_id,
        format=note.format,
        session_at=note.session_at,
        minutes=note.minutes,
        modality=note.modality,
        status=note.status,
        sections=_unseal_data(note, "sections", key) if key else {},
        screening_id=note.screening_id,
        updated_at=note.updated_at,
        signed_at=note.signed_at,
        sha256=note.sha256,
        actual_session_at=note.actual_session_at,
        actual_minutes=note.actual_minutes,
        in_error=note.in_error,
        version=note.version,
        author=author,
        client=client,
        number=number,
        draft=draft_screening(note, key) if key else NO_ANSWERS,
    )


def _unseal_data(
    row: Note | sa.Row[*tuple[Any, ...]],
    column: str,
    key: DataKey,
    table: str = Note.__tablename__,
) -> Any:  # noqa: ANN401 - JSON
    text = unseal_text(table, column, row.id, getattr(row, column), key)
    return None if text is None else json.loads(text)


def draft_screening(note: Note | sa.Row[*tuple[Any, ...]], key: DataKey) -> DraftScreening:
    """Unseal the screening answers in a draft."""
    data = _unseal_data(note, "draft_screening", key)
    if data is None:
        return NO_ANSWERS
    return draft_from_json(data)


def get_note(actor: Actor, note_id: UUID) -> NoteRecord:
    """Return one note.

    Raises NotFound, also for somebody else's draft.
    """
    require(actor, Action.NOTE_READ)
    row = run(_select_note(actor.role), asks=actor.id, note=note_id).first()
    if row is None:
        raise NotFound
    if row.status == "draft":
        return _build_record(row)
    # Also of a note that says it has none: they would show that it was changed.
    return _build_record(row, _load_addenda([note_id]).get(note_id, ()))


@cache
def _select_note(role: Role) -> sa.Select[*tuple[Any, ...]]:
    return _with_names(role, sa.bindparam("asks")).where(Note.id == sa.bindparam("note"))


@dataclass(frozen=True)
class LockedNote:
    """A note whose client is locked until the transaction ends, read after the lock.

    Only `lock_note` and `locked_draft` make one.
    """

    row: Note
    client: LockedClient

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
    key = open_key(row.wrapped, row.Client.id, "note", row.Note.id)
    return LockedNote(row.Note, LockedClient(unseal_client(row.Client, key), key))


def locked_draft(client: LockedClient, note_id: UUID) -> LockedNote | None:
    """Return the draft of a note of a client who is locked already, whoever writes it; None when there is no draft."""
    row = db.session.get(Note, note_id)
    if row is None or row.client_id != client.id or row.status != "draft":
        return None
    return LockedNote(row, client)


@cache
def _select_for_change(role: Role) -> sa.Select[Note, Client, bytes]:
    """Build, once for each role, the query for a note with its client: every autosave runs it."""
    return (
        sa.select(Note, Client, ClientKey.wrapped)
        .join(Client, Client.id == Note.client_id)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .where(Note.id == sa.bindparam("note"), _is_readable(role, sa.bindparam("asks")))
    )


@dataclass(frozen=True)
class LockedCaseForNote:
    """A case in which a note is started, its client locked; only `lock_case_for_note` makes one, after the lock.

    Starting a note is the most frequent change, so this holds only what a new note needs.
    """

    id: UUID
    number: str
    status: str
    client_id: UUID
    client: str
    key: DataKey


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
    key = open_key(found.wrapped, found.client_id, "case", found.id)
    return LockedCaseForNote(found.id, found.number, found.status, found.client_id, found.name, key)


@cache
def _select_case_for_note(role: Role, column: str) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the query for a visible case, its client's name and the client's key."""
    return (
        sa.select(Case.id, Case.client_id, Case.status, Case.number, Client.name, ClientKey.wrapped)
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
        query = _with_names(actor.role, actor.id).where(Note.case_id == case_id)
        rows = db.session.execute(
            page_newest_first(query, Note.actual_session_at, Note.id, cursor, limit)
        ).all()
    else:
        rows = run(_select_first_page(actor.role, limit + 1), asks=actor.id, case=case_id).all()
    if not rows:
        get_case(actor, case_id)
        return Page([], None)
    key = open_key(rows[0].wrapped, rows[0].client_id, "case", case_id)
    page = make_page(rows, limit, lambda note: (note.actual_session_at, note.id))
    return Page(_build_records(page.items, key), page.next)


@cache
def _select_first_page(role: Role, number: int) -> sa.Select[*tuple[Any, ...]]:
    """Build the query for the first page of a case's notes, once for each role and length: the most frequent read."""
    return (
        _with_names(role, sa.bindparam("asks"))
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
        _with_names(actor.role, actor.id)
        .where(in_any(Note.id, *wanted))
        .order_by(Note.actual_session_at.desc(), Note.id.desc())
    ).all()
    return _build_records(rows)


def list_own_signed_notes(actor: Actor, cursor: str | None, limit: int) -> Page[NoteRecord]:
    """List the notes that the actor has signed, most recently signed first."""
    require(actor, Action.NOTE_READ)
    query = _with_names(actor.role, actor.id).where(
        Note.author_id == actor.id, Note.status == "signed"
    )
    rows = db.session.execute(
        page_newest_first(query, Note.updated_at, Note.id, cursor, limit)
    ).all()
    return make_page(_build_records(rows), limit, lambda note: (note.updated_at, note.id))


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
            Note.status == "draft",
            sees_client(actor, Note.client_id),
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
    key = open_listed_key(row.wrapped, row.client_id)
    return highest_level(draft_screening(row, key).unrecorded)


def find_previous_plan(actor: Actor, note: NoteRecord) -> NoteRecord | None:
    """Find the newest signed note with a plan from before this session."""
    require(actor, Action.NOTE_READ)
    rows = db.session.execute(
        _with_names(actor.role, actor.id)
        .where(
            Note.case_id == note.case_id,
            Note.status == "signed",
            Note.format != "free",
            ~Note.in_error,
            Note.actual_session_at <= note.session_at,
        )
        .order_by(Note.actual_session_at.desc(), Note.id.desc())
        .limit(1)
    ).all()
    return _build_records(rows)[0] if rows else None


def list_unsigned_rows(
    oldest: datetime | None, after: UUID | None, limit: int
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """List signed notes without a signature that were signed before a time, in order of their ids, after one of them.

    Only for `caseapp init`, which shows nothing of them.
    """
    query = (
        sa.select(*Note.__table__.c, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Note.client_id)
        .outerjoin(NoteSignature, IS_AUTHORS)
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
