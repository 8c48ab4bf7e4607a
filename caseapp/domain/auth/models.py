"""Tables: what staff sign in with, bearer tokens, a client's portal access and counts of failures.

Secrets are kept as hashes, those of passwords sealed.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of, unconstrained
from caseapp.core.ids import new_id

PASSWORD_LINK_KINDS = ("invitation", "reset", "reset_code")
CREDENTIAL_KINDS = ("password", "totp", "recovery", "identity", *PASSWORD_LINK_KINDS)
"""`password`: its Argon2id hash; `totp`: the secret of an app; `recovery`: the hashes of the codes that are left;
`identity`: issuer and subject of an account at an OpenID provider. The others hold no secret: the link or code of an
invitation, the link and the code with which somebody who has forgotten a password chooses another one."""
ACCEPTED_BY = ("password", "identity")
"""With which a member of staff has accepted an invitation: with one of them somebody can sign in."""
WAYS_IN = ("link", "card")
"""How a client comes to the page that asks for the start code: by a mailed link, or by a card."""
IN_USE = sa.text("ended_at IS NULL")


class Credential(Model):
    """Something by which a person shows who they are; `kind` says what `secret` holds.

    It is sealed under key `ring_number` of the ring, for this row and person: whoever has only the database can guess
    no password. Only a hash of a release before has no number; it is sealed when its owner next signs in. Of a
    credential that has ended the times are kept, and nothing else.
    """

    __tablename__ = "credential"
    __table_args__ = (
        sa.Index(
            "uq_credential_in_use",
            "person_id",
            "kind",
            unique=True,
            sqlite_where=IN_USE,
            postgresql_where=IN_USE,
        ),
        sa.Index(
            "uq_credential_lookup",
            "kind",
            "lookup",
            unique=True,
            sqlite_where=IN_USE,
            postgresql_where=IN_USE,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[UUID] = mapped_column(info=unconstrained("A member of staff or a client."))
    kind: Mapped[str] = mapped_column(sa.String(10), info=one_of(CREDENTIAL_KINDS))
    ring_number: Mapped[int | None] = mapped_column(info=between(1))
    secret: Mapped[bytes | None]
    last_step: Mapped[int | None] = mapped_column(info=between(0))
    """The time step of the last code of an app that was accepted."""
    lookup: Mapped[str | None] = mapped_column(sa.String(64))
    """The hash by which an identity, a link or a code is found; None for other kinds and a link not mailed yet."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Passkey(Model):
    """A passkey of a member of staff; `secret` holds the id that its device knows it by, and its public key.

    It is sealed as a credential is. `lookup` is a hash of that id, by which it is found.
    """

    __tablename__ = "passkey"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(60))
    lookup: Mapped[str] = mapped_column(sa.String(64), unique=True)
    ring_number: Mapped[int | None] = mapped_column(info=between(1))
    secret: Mapped[bytes | None]
    sign_count: Mapped[int] = mapped_column(sa.BigInteger, info=between(0))
    """How many answers its device had counted at the last one; 0 for a passkey that is on several devices."""
    challenge_at: Mapped[datetime]
    """When the challenge of the last answer was made."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Program(Model):
    """A program that gets short tokens by its id and a secret, of which a hash is stored; it acts as one person."""

    __tablename__ = "program"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    secret_hash: Mapped[str] = mapped_column(sa.String(64))
    scopes: Mapped[list[str]]
    """What its tokens may be used for at most."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """When it last got a token."""
    ended_at: Mapped[datetime | None]


class Token(Model):
    """A bearer token of a member of staff, stored as a hash; `program_id` is the program that it was issued to."""

    __tablename__ = "token"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    program_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("program.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    scopes: Mapped[list[str]]
    """What it may be used for, of `core.permissions.SCOPES`."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """When it was last used, to the minute."""
    revoked_at: Mapped[datetime | None]


class PortalAccess(Model):
    """A client's means of entering the portal: start code, PIN, link and card, each stored as a hash."""

    __tablename__ = "portal_access"

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    invited_at: Mapped[datetime]
    invited_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    start_code_hash: Mapped[str | None] = mapped_column(sa.String(160))
    pin_hash: Mapped[str | None] = mapped_column(sa.String(160))
    link_hash: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    link_expires_at: Mapped[datetime | None]
    card_hash: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    first_signed_in_at: Mapped[datetime | None]
    pin_chosen_at: Mapped[datetime | None]
    """When the client last chose a PIN; kept when they get new codes, and None if an earlier release has stored it."""

    @property
    def had_pin(self) -> bool:
        """Return whether the client has a PIN, or had one before they got new codes."""
        return any((self.pin_hash, self.pin_chosen_at, self.first_signed_in_at))


class PortalInvitation(Model):
    """Codes that somebody on the staff made for a client; `reason` says why the client needed new ones, sealed.

    It is None for the first codes. A card for a client who had a PIN is made by somebody other than the start code: the
    codes need it until then, or until there are newer ones. `card_at` is when a card was made. Rows are never deleted:
    they are the history.
    """

    __tablename__ = "portal_invitation"
    __table_args__ = (
        sa.Index("ix_portal_invitation_client", "client_id", "created_at"),
        sa.Index("ix_portal_invitation_created", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[bytes | None]
    way: Mapped[str] = mapped_column(sa.String(4), info=one_of(WAYS_IN))
    needs_card: Mapped[bool]
    card_at: Mapped[datetime | None]
    card_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))


class FailureCount(Model):
    """How many tries to sign in or requests of a link have failed; `scope` is a keyed hash of what they share.

    A try that is being checked counts as well. The next one is due at `next_at`.
    """

    __tablename__ = "failure_count"

    scope: Mapped[str] = mapped_column(sa.String(26), primary_key=True)
    failures: Mapped[int] = mapped_column(info=between(0))
    last_at: Mapped[datetime]
    next_at: Mapped[datetime]
