"""Tables: clients, care teams, and the words and hashes that searches use."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import PRINTED, Model, between, one_of, unconstrained
from caseapp.core.i18n import LANGUAGES
from caseapp.core.ids import new_id
from caseapp.domain.clients.codes import (
    CARE_TEAM_ROLES,
    COACH,
    CONSENT_METHODS,
    DEVICE_KINDS,
    JOIN_REASONS,
    TRANSFER_STATES,
)

ENDLESS = datetime(9999, 12, 31, tzinfo=UTC)
"""When a membership ends that has no end so far: later than any other moment, so that an index finds what runs."""


class Client(Model):
    """A person who is coached. The name is stored in clear text because it is searched; contact details are sealed."""

    __tablename__ = "client"
    __table_args__ = (
        sa.Index("ix_client_created", "created_at", "id"),
        sa.Index(
            "ix_client_withdrawn",
            "id",
            sqlite_where=sa.text("consent_withdrawn_on IS NOT NULL"),
            postgresql_where=sa.text("consent_withdrawn_on IS NOT NULL"),
        ),
    )

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
    consent_version: Mapped[int | None] = mapped_column(info=between(0))
    """The newest version of the practice's text that the client agreed to, 0 where there was none; None if only intake
    recorded consent, or nobody. The entries of `consent` say when and how."""
    consent_withdrawn_on: Mapped[date | None]
    """When the client withdrew consent, until they give it again."""
    contact_confirmed_at: Mapped[datetime | None]
    """When the client last said in person which ways of contact are safe; None since something unsafe was recorded."""
    contact_confirmed_by: Mapped[UUID | None] = mapped_column(
        info=unconstrained("A foreign key would need a rebuilt table of clients on SQLite.")
    )
    is_merged: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether the record was merged into that of another client, who has the cases now. It is never locked again."""
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form

    @property
    def client_id(self) -> UUID:
        """Return the id under whose key this row is sealed."""
        return self.id


class CareTeamMember(Model):
    """A membership of a client's care team: from when until when somebody has a role that says what they can see.

    Only coaches, their supervisors and whoever covers for a coach can see the client. The other roles open a few pages
    each, see `clients.codes`. A cover may begin later, and has an end; the other roles begin when they are given. A
    membership runs until before `ends_at`, which is ENDLESS if it has no end so far. What has ended is kept as
    history and opens nothing. Nobody has the same role twice at a time. Every statement asks through
    `clients.visibility.in_role`, which names the roles that it means and leaves out what does not run. `created_by` is
    whoever gave the role, or None for the application.
    """

    __tablename__ = "care_team"
    __table_args__ = (
        # With all columns that visibility asks for: without them, one case takes 2.6 times as long.
        sa.Index("ix_care_team_user", "user_id", "ends_at", "starts_at", "client_id", "role"),
        sa.Index("ix_care_team_client", "client_id", "user_id", "ends_at", "starts_at", "role"),
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
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime] = mapped_column(default=ENDLESS)
    reason: Mapped[str] = mapped_column(sa.String(12), default="", info=one_of(JOIN_REASONS))
    created_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))


class AccessDenial(Model):
    """A member of staff who must not see a client, whatever else would let them; why is sealed.

    It holds until `ended_at`. Rows are never deleted: they are the history.
    """

    __tablename__ = "access_denial"
    __table_args__ = (
        sa.Index(
            "uq_access_denial_user",
            "user_id",
            "client_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        sa.Index("ix_access_denial_client", "client_id"),
        sa.Index("ix_access_denial_created", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[bytes]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    end_reason: Mapped[bytes | None]


class EmergencyAccess(Model):
    """Somebody's emergency access to the record of a client whom they don't see otherwise; why is sealed.

    It opens the record as a membership of the care team does, for as long as that runs. Another supervisor reviews it.
    """

    __tablename__ = "emergency_access"
    __table_args__ = (
        sa.Index("ix_emergency_access_client", "client_id"),
        sa.Index("ix_emergency_access_user", "user_id", "opened_at", "id"),
        sa.Index(
            "ix_emergency_access_unreviewed",
            "opened_at",
            "id",
            sqlite_where=sa.text("reviewed_at IS NULL"),
            postgresql_where=sa.text("reviewed_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[bytes]
    words: Mapped[bytes]
    opened_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    outcome: Mapped[bytes | None]


class Cover(Model):
    """That a colleague covers for a coach who is away, from `starts_at` until before `ends_at`.

    For each of its clients the colleague has a membership of the care team for the same time. `planned_end_at` is until
    when it was to run, if it ended because whoever covered left or became an admin.
    """

    __tablename__ = "cover"
    __table_args__ = (
        sa.Index("ix_cover_user", "user_id", "ends_at"),
        sa.Index("ix_cover_coach", "coach_id", "ends_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    coach_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    planned_end_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))


class CoveredClient(Model):
    """A client of a cover, with what the coach tells whoever covers, sealed under the client's key."""

    __tablename__ = "covered_client"
    __table_args__ = (
        sa.UniqueConstraint("cover_id", "client_id"),
        sa.Index("ix_covered_client_client", "client_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    cover_id: Mapped[UUID] = mapped_column(sa.ForeignKey("cover.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    line: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class Transfer(Model):
    """An offer of a coach's client to a colleague, who accepts or declines it; why is sealed.

    A client has one offer at a time. One that nobody has decided about counts until before `expires_at`, though its
    state stays `offered` until the client is offered again. `decided_at` is when its state last changed.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        sa.Index(
            "uq_transfer_offered",
            "client_id",
            unique=True,
            sqlite_where=sa.text("state = 'offered'"),
            postgresql_where=sa.text("state = 'offered'"),
        ),
        sa.Index("ix_transfer_client", "client_id"),
        sa.Index("ix_transfer_to", "to_id", "state", "expires_at"),
        sa.Index("ix_transfer_from", "from_id", "offered_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    from_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    to_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[bytes]
    state: Mapped[str] = mapped_column(
        sa.String(9), default="offered", info=one_of(TRANSFER_STATES)
    )
    offered_at: Mapped[datetime]
    offered_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    expires_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


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


class RememberedDevice(Model):
    """A phone or computer on which a client comes back into the portal with their PIN alone, as they have chosen.

    Only the device's cookie holds its name, of which `device_hash` is the hash. Whatever ends it deletes the row.
    """

    __tablename__ = "remembered_device"
    __table_args__ = (sa.Index("ix_remembered_device_client", "client_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    device_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    kind: Mapped[str | None] = mapped_column(sa.String(7), info=one_of(DEVICE_KINDS))
    """What the browser says it runs on; None when it says nothing that is known."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    """When somebody last came in there with the PIN alone; before that, when the device was remembered."""
    expires_at: Mapped[datetime]
