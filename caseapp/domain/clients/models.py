"""Tables: clients, care teams, and the words and hashes that searches use."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import PRINTED, Model, between, one_of, unconstrained
from caseapp.core.i18n import LANGUAGES
from caseapp.core.ids import new_id
from caseapp.domain.clients.codes import CARE_TEAM_ROLES, COACH, CONSENT_METHODS


class Client(Model):
    """A person who is coached. The name is stored in clear text because it is searched; contact details are sealed."""

    __tablename__ = "client"
    __table_args__ = (sa.Index("ix_client_created", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(sa.String(120))
    preferred_name: Mapped[str] = mapped_column(sa.String(60), info=PRINTED)
    pronouns: Mapped[str] = mapped_column(sa.String(30), default="")
    language: Mapped[str | None] = mapped_column(sa.String(5), info=one_of(LANGUAGES))
    """The language of the client's portal, email and PDFs; None for the practice's."""
    email: Mapped[bytes | None]
    phone: Mapped[bytes | None]
    partner_name: Mapped[bytes | None]
    birth_year: Mapped[bytes | None]
    safe_contact: Mapped[bytes | None]
    email_hash: Mapped[str | None] = mapped_column(sa.String(26), index=True)
    compared_as: Mapped[str | None] = mapped_column(
        sa.String(12),
        info=unconstrained("The rules and the country by which the stored hashes were made."),
    )
    """By which rules the words and hashes of this client were made; others are made again every night."""
    consent_on: Mapped[date | None]
    consent_method: Mapped[str] = mapped_column(
        sa.String(12), default="", info=one_of(("", *CONSENT_METHODS))
    )
    contact_confirmed_at: Mapped[datetime | None]
    """When the client last said in person which ways of contact are safe; None since something unsafe was recorded."""
    contact_confirmed_by: Mapped[UUID | None] = mapped_column(
        info=unconstrained("A foreign key would need a rebuilt table of clients on SQLite.")
    )
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form

    @property
    def client_id(self) -> UUID:
        """Return the id under whose key this row is sealed."""
        return self.id


class CareTeamMember(Model):
    """A member of a client's care team, in a role that says what the member can see.

    Only coaches and their supervisors can see the client. A coach's membership has no end: whoever is no longer the
    coach has no row. The other roles open a few pages each, see `clients.codes`; theirs end at `ends_at`, or not yet.
    Every statement about members names the roles that it means.
    """

    __tablename__ = "care_team"
    __table_args__ = (
        sa.Index("ix_care_team_client", "client_id"),
        sa.CheckConstraint("role <> 'coach' OR ends_at IS NULL", name="coach_has_no_end"),
    )

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    role: Mapped[str] = mapped_column(
        sa.String(8),
        primary_key=True,
        default=COACH,
        server_default=COACH,
        info=one_of(CARE_TEAM_ROLES),
    )
    joined_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]


class ClientNameWord(Model):
    """A folded word of a client's name, for searching by its first letters.

    Words compare by their characters' numbers, in the order of SQLite; a language's own order would hide some of them:
    in Czech "ch" comes after "h", not among the words that begin with "c".
    """

    __tablename__ = "client_name_word"
    __table_args__ = (sa.Index("ix_client_name_word_client", "client_id", "word"),)

    word: Mapped[str] = mapped_column(
        sa.String(60).with_variant(sa.String(60, collation="C"), "postgresql"), primary_key=True
    )
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)


class PhoneHash(Model):
    """The keyed hash of one of a client's phone numbers."""

    __tablename__ = "phone_hash"
    __table_args__ = (sa.Index("ix_phone_hash_client", "client_id"),)

    hash: Mapped[str] = mapped_column(sa.String(26), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)


class PossibleConflict(Model):
    """Two clients who may be one person or a couple, and who has decided that both can be coached here.

    There is one row for both: `client_id` is the one whose id comes later. Why they match is worked out when it is
    shown, so that no column ties a client to a partner.
    """

    __tablename__ = "possible_conflict"
    __table_args__ = (sa.Index("ix_possible_conflict_other", "other_id"),)

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    other_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    found_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))


class ConflictQuestion(Model):
    """That somebody was told of a possible conflict. It is kept for as long as it counts; the log keeps the refusal."""

    __tablename__ = "conflict_question"
    __table_args__ = (sa.Index("ix_conflict_question_user", "user_id", "asked_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    asked_at: Mapped[datetime]


class NameHash(Model):
    """The keyed hash of a form of a client's or partner's name, for finding duplicates and conflicts of interest."""

    __tablename__ = "name_hash"
    __table_args__ = (sa.Index("ix_name_hash_client", "client_id"),)

    hash: Mapped[str] = mapped_column(sa.String(26), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    whose: Mapped[str] = mapped_column(
        sa.String(8), primary_key=True, info=one_of(("client", "partner"))
    )
