"""Tables: session notes, all that was signed, added, moved or asked for about them, their earlier texts, and snippets.

Database triggers refuse every change of what was signed.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import APPEND_ONLY, GUARDED, Model, between, one_of
from caseapp.core.ids import new_id
from caseapp.core.permissions import STAFF_ROLES, Role
from caseapp.domain.notes.codes import (
    ADDENDUM_LABELS,
    AMENDMENT_STATES,
    FORMAT_LABELS,
    MAX_SESSION_MINUTES,
    MEANINGS,
    MODALITIES,
    REVIEW_STATES,
)
from caseapp.domain.notes.formats import SECTIONS


class Note(Model):
    """A session note in draft or signed; its text and the answers in a draft are sealed.

    `has_unrecorded` tells only that some of the answers are not recorded yet. `actual_session_at`, `actual_minutes` and
    `in_error` are what the newest addenda say, of which there are so many (`addenda`): lists and counts use them. Of a
    signed note only these change, together with a new addendum, and where it is filed, together with a move (`moves`).
    """

    __tablename__ = "note"
    __table_args__ = (
        sa.Index("ix_note_case_session_at", "case_id", "actual_session_at", "id"),
        sa.Index("ix_note_author_status", "author_id", "status", "updated_at"),
        sa.Index(
            "ix_note_draft",
            "created_at",
            "id",
            sqlite_where=sa.text("status = 'draft'"),
            postgresql_where=sa.text("status = 'draft'"),
        ),
        sa.Index(
            "ix_note_signed",
            "actual_session_at",
            "id",
            sqlite_where=sa.text("status = 'signed'"),
            postgresql_where=sa.text("status = 'signed'"),
        ),
        {"info": GUARDED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    author_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    format: Mapped[str] = mapped_column(sa.String(8), info=one_of(FORMAT_LABELS))
    session_at: Mapped[datetime]
    minutes: Mapped[int | None] = mapped_column(
        sa.SmallInteger, info=between(1, MAX_SESSION_MINUTES)
    )
    modality: Mapped[str] = mapped_column(sa.String(12), info=one_of(MODALITIES))
    status: Mapped[str] = mapped_column(
        sa.String(8), default="draft", info=one_of(("draft", "signed"))
    )
    sections: Mapped[bytes]
    draft_screening: Mapped[bytes | None]
    has_unrecorded: Mapped[bool] = mapped_column(default=False)
    # The constraint keeps the name of the table before: SQLite would copy every note to rename it.
    screening_id: Mapped[UUID | None] = mapped_column(
        sa.ForeignKey("safety_event.id", name="fk_note_screening_id_screening")
    )
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    sha256: Mapped[str | None] = mapped_column(sa.String(64))
    actual_session_at: Mapped[datetime]
    actual_minutes: Mapped[int | None] = mapped_column(
        sa.SmallInteger, info=between(1, MAX_SESSION_MINUTES)
    )
    in_error: Mapped[bool] = mapped_column(default=False)
    addenda: Mapped[int] = mapped_column(sa.SmallInteger, default=0, info=between(0))
    moves: Mapped[int] = mapped_column(
        sa.SmallInteger, default=0, server_default=sa.text("0"), info=between(0)
    )
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class NoteSignature(Model):
    """Who signed a note, in which role and as what, when, and the digest of what was signed; it never changes.

    A note is locked by one signature: its author's, or that of a supervisor who has `filed` the draft of somebody who
    has left. The co-signature stands beside it.

    The digest is bound to the client and the case that the note had when it was signed. `mac` is made of the other
    columns, so that whoever changes the database can't make one. A note that an earlier release signed has a signature
    that was recorded later, and no role: whether it was changed before that, nothing tells.
    """

    __tablename__ = "note_signature"
    __table_args__ = (
        sa.Index(
            "uq_note_signature_locking",
            "note_id",
            unique=True,
            sqlite_where=sa.text("meaning <> 'cosign'"),
            postgresql_where=sa.text("meaning <> 'cosign'"),
        ),
        {"info": APPEND_ONLY},
    )

    note_id: Mapped[UUID] = mapped_column(sa.ForeignKey("note.id"), primary_key=True)
    meaning: Mapped[str] = mapped_column(sa.String(8), primary_key=True, info=one_of(MEANINGS))
    signed_client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    signed_case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    signed_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    role: Mapped[str | None] = mapped_column(
        sa.String(12), info=one_of(role for role in Role if role in STAFF_ROLES)
    )
    signed_at: Mapped[datetime]
    zone: Mapped[str] = mapped_column(sa.String(40))
    recorded_at: Mapped[datetime]
    digest: Mapped[str] = mapped_column(sa.String(64))
    key_number: Mapped[int] = mapped_column(info=between(1))
    mac: Mapped[bytes]


class NoteAddendum(Model):
    """A signed correction of or addition to a signed note, or that it was entered in error.

    What it says is sealed in `content`. `seq` is its number in the note. Digest and `mac` are as in a signature, and
    bound to the client of that time. It changes only when it follows its note into another client's record, where it is
    sealed under that client's key.
    """

    __tablename__ = "note_addendum"
    __table_args__ = (sa.UniqueConstraint("note_id", "seq"), {"info": GUARDED})

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    note_id: Mapped[UUID] = mapped_column(sa.ForeignKey("note.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    seq: Mapped[int] = mapped_column(sa.SmallInteger, info=between(1))
    kind: Mapped[str] = mapped_column(sa.String(12), info=one_of(ADDENDUM_LABELS))
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    role: Mapped[str] = mapped_column(
        sa.String(12), info=one_of(role for role in Role if role in STAFF_ROLES)
    )
    zone: Mapped[str] = mapped_column(sa.String(40))
    content: Mapped[bytes]
    digest: Mapped[str] = mapped_column(sa.String(64))
    key_number: Mapped[int] = mapped_column(info=between(1))
    mac: Mapped[bytes]


class NoteMove(Model):
    """That a note was filed in the wrong record and moved to another client's, by whom and why; it never changes.

    `client_id` and `case_id` are where the note was moved to; the reason is sealed under that client's key. `seq` is
    the move's number in the note, and `addenda` how many addenda the note had by then. `mac` is made of the other
    columns, as in a signature.
    """

    __tablename__ = "note_move"
    __table_args__ = (
        sa.UniqueConstraint("note_id", "seq"),
        sa.Index("ix_note_move_from_case", "from_case_id", "moved_at"),
        {"info": APPEND_ONLY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    note_id: Mapped[UUID] = mapped_column(sa.ForeignKey("note.id"))
    seq: Mapped[int] = mapped_column(sa.SmallInteger, info=between(1))
    from_client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    from_case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    addenda: Mapped[int] = mapped_column(sa.SmallInteger, info=between(0))
    moved_at: Mapped[datetime]
    moved_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    role: Mapped[str] = mapped_column(
        sa.String(12), info=one_of(role for role in Role if role in STAFF_ROLES)
    )
    zone: Mapped[str] = mapped_column(sa.String(40))
    reason: Mapped[bytes]
    key_number: Mapped[int] = mapped_column(info=between(1))
    mac: Mapped[bytes]


class NoteReview(Model):
    """That a signed note waits for a co-signature, or was returned to its author; the co-signature removes it.

    `waits_since` is when it was signed, returned or last added to.
    """

    __tablename__ = "note_review"
    __table_args__ = (sa.Index("ix_note_review_waits_since", "waits_since", "note_id"),)

    note_id: Mapped[UUID] = mapped_column(sa.ForeignKey("note.id"), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    state: Mapped[str] = mapped_column(sa.String(8), info=one_of(REVIEW_STATES))
    waits_since: Mapped[datetime]


class NoteReturn(Model):
    """That a supervisor returned a signed note to its author; it never changes. Their comment is sealed."""

    __tablename__ = "note_return"
    __table_args__ = (sa.UniqueConstraint("note_id", "seq"), {"info": APPEND_ONLY})

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    note_id: Mapped[UUID] = mapped_column(sa.ForeignKey("note.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    seq: Mapped[int] = mapped_column(sa.SmallInteger, info=between(1))
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    comment: Mapped[bytes]


class AmendmentRequest(Model):
    """What a client wants corrected in a signed note, and whether it was accepted or declined; their words are sealed.

    `seq` is its number in the note; one at most is open. It is answered by `due_at`, either with the correction
    `addendum_id` or with a sealed `answer` that says why the note stays as it is. It belongs to the client who asked:
    when the note moves to another client's record, it stays behind.

    At a merge it goes into the kept record with its note, with `words` and `answer` sealed under that client's key. At
    an erasure it is deleted with the note.
    """

    __tablename__ = "amendment_request"
    __table_args__ = (
        sa.UniqueConstraint("note_id", "seq"),
        sa.Index(
            "ix_amendment_request_open",
            "due_at",
            "id",
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    note_id: Mapped[UUID] = mapped_column(sa.ForeignKey("note.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    seq: Mapped[int] = mapped_column(sa.SmallInteger, info=between(1))
    requested_on: Mapped[date]
    due_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    words: Mapped[bytes]
    state: Mapped[str] = mapped_column(sa.String(8), default="open", info=one_of(AMENDMENT_STATES))
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    answer: Mapped[bytes | None]
    addendum_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("note_addendum.id"))


class NoteRevision(Model):
    """An earlier text of a draft: its format and its sections, sealed together. `saved_at` is when it was saved.

    Only its author reads it; signing or discarding the draft deletes it. It follows its draft into another client's
    record, by a move and by a merge, sealed under that client's key. Erasure deletes it.
    """

    __tablename__ = "note_revision"
    __table_args__ = (sa.Index("ix_note_revision_note", "note_id", "saved_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    note_id: Mapped[UUID] = mapped_column(sa.ForeignKey("note.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    saved_at: Mapped[datetime]
    content: Mapped[bytes]


class Snippet(Model):
    """A short text of somebody's own that they put into notes, with its title.

    Both are sealed under a key of theirs, which is derived from key `ring_number` of the ring. `section` is where it
    goes in formats that have it. It is about no client: neither a merge nor an erasure touches it.
    """

    __tablename__ = "snippet"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    section: Mapped[str | None] = mapped_column(sa.String(12), info=one_of(SECTIONS))
    ring_number: Mapped[int] = mapped_column(info=between(1))
    content: Mapped[bytes]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
