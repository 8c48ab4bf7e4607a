"""Asked: which clients an actor may see, and what stands in their record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import RowView, db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.text import fold
from caseapp.core.vault import DataKey, fingerprint, unseal_column, unseal_json, unwrap
from caseapp.domain.clients.models import CareTeamMember, Client, ClientKey, ClientNameWord, NameHash
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import is_visible_coach, select_visible_coaches_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import InstrumentedAttribute

MAX_WORD_LENGTH = 60


def visible_to(actor: Actor) -> sa.Select[UUID]:
    """Select the clients an actor may know of: the one rule that everything about clients inherits.

    Coaches see their own care teams, supervisors those of the coaches they supervise too, admins none. It is
    written for `client_id IN (…)`: as EXISTS the same rule walks whole tables.
    """
    return select_visible_clients(actor.role, actor.id)


def select_visible_clients(role: Role, who: UUID | sa.BindParameter[UUID]) -> sa.Select[UUID]:
    """Select the same for a role, where `who` may stay open as a parameter of a statement that is built once."""
    if role is Role.COACH:
        return sa.select(CareTeamMember.client_id).where(CareTeamMember.user_id == who)
    if role is Role.SUPERVISOR:
        return sa.select(CareTeamMember.client_id).where(CareTeamMember.user_id.in_(select_visible_coaches_for(role, who)))
    return sa.select(CareTeamMember.client_id).where(sa.false())


def is_visible_client(
    role: Role, who: UUID | sa.BindParameter[UUID], client_id: InstrumentedAttribute[UUID]
) -> sa.ColumnElement[bool]:
    """Say in SQL that the client of one record, which is found by its id, is somebody's to see.

    It is the same rule turned round: the few of the client's care team are looked at, and not everybody whom a
    supervisor may see, nor every coach that they look after.
    """
    if role is not Role.SUPERVISOR:
        return select_visible_clients(role, who).where(CareTeamMember.client_id == client_id).exists()
    member = aliased(User)
    return (
        sa.select(CareTeamMember.client_id)
        .join(member, member.id == CareTeamMember.user_id)
        .where(CareTeamMember.client_id == client_id, is_visible_coach(member, role, who))
        .exists()
    )


def is_visible_to(actor: Actor, client_id: InstrumentedAttribute[UUID]) -> sa.ColumnElement[bool]:
    """Say the same of an actor."""
    return is_visible_client(actor.role, actor.id, client_id)


@dataclass(frozen=True)
class ClientRecord:
    """Show a client with everything opened, to those who may see it."""

    id: UUID
    name: str
    preferred_name: str
    pronouns: str
    email: str | None
    phone: str | None
    partner_name: str | None
    birth_year: int | None
    safe: SafeContact
    consent_on: date | None
    consent_method: str
    created_at: datetime
    version: int

    @property
    def safe_channels(self) -> tuple[str, ...]:
        """Give the channels for a flat view."""
        return self.safe.channels

    @property
    def safe_times(self) -> str:
        """Give the safe times for a flat view."""
        return self.safe.times

    @property
    def code_word(self) -> str:
        """Give the code word for a flat view."""
        return self.safe.code_word

    @property
    def safe_warning(self) -> str:
        """Give the warning for a flat view."""
        return self.safe.warning


def require_visible_client(actor: Actor, client_id: UUID) -> None:
    """Make sure that a client is the actor's to see.

    Raises NotFound, the same for a foreign client and for none at all.
    """
    seen = db.session.scalar(
        sa.select(Client.id).where(Client.id == client_id, is_visible_to(actor, Client.id))
    )
    if seen is None:
        raise NotFound


def lock_client(client_id: UUID) -> None:
    """Make changes that look at a client's whole record wait for each other until the open transaction ends."""
    db.session.execute(
        sa.select(Client.id).where(Client.id == client_id).with_for_update(key_share=True)
    )


def get_client(actor: Actor, client_id: UUID) -> Client:
    """Load a client for a change.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(Client).where(Client.id == client_id, is_visible_to(actor, Client.id))
    )
    if found is None:
        raise NotFound
    return found


def get_client_key(client_id: UUID) -> DataKey:
    """Open a client's key.

    Raises NotFound when it was destroyed, which is what erasure means.
    """
    wrapped = db.session.scalar(
        sa.select(ClientKey.wrapped).where(ClientKey.client_id == client_id)
    )
    if wrapped is None:
        raise NotFound
    return unwrap(client_id, wrapped)


def unseal_client(client: Client | RowView, key: DataKey) -> ClientRecord:
    """Open the sealed columns of a loaded client."""
    safe = unseal_json(client, "safe_contact", key) or {"channels": []}
    year = unseal_column(client, "birth_year", key)
    return ClientRecord(
        id=client.id,
        name=client.name,
        preferred_name=client.preferred_name,
        pronouns=client.pronouns,
        email=unseal_column(client, "email", key),
        phone=unseal_column(client, "phone", key),
        partner_name=unseal_column(client, "partner_name", key),
        birth_year=int(year) if year else None,
        safe=SafeContact(**{**safe, "channels": tuple(safe["channels"])}),
        consent_on=client.consent_on,
        consent_method=client.consent_method,
        created_at=client.created_at,
        version=client.version,
    )


def get_client_record(actor: Actor, client_id: UUID) -> ClientRecord:
    """Show a client, opened, in one statement.

    Raises NotFound.
    """
    require(actor, Action.CLIENT_READ)
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == client_id, is_visible_to(actor, Client.id))
    ).first()
    if row is None:
        raise NotFound
    return unseal_client(row.Client, unwrap(client_id, row.wrapped))


@dataclass(frozen=True)
class ClientListItem:
    """Show a client in a list."""

    id: UUID
    name: str
    preferred_name: str
    pronouns: str
    created_at: datetime


def list_clients(actor: Actor, q: str | None, cursor: str | None, limit: int) -> Page[ClientListItem]:
    """List the clients an actor may see, newest first, narrowed by a search."""
    require(actor, Action.CLIENT_READ)
    query = sa.select(Client.id, Client.name, Client.preferred_name, Client.pronouns, Client.created_at).where(
        Client.id.in_(visible_to(actor))
    )
    if q and q.strip():
        query = query.where(Client.id.in_(select_matching_clients(q)))
    rows = db.session.execute(page_newest_first(query, Client.created_at, Client.id, cursor, limit)).all()
    items = [ClientListItem(*row) for row in rows]
    return make_page(items, limit, lambda item: (item.created_at, item.id))


def select_matching_clients(q: str) -> sa.Select[UUID]:
    """Select the clients that match a search: an exact e-mail or phone, or the first letters of name words.

    To be narrowed by `visible_to`; it knows nothing of who asks.
    """
    text = q.strip()
    if "@" in text:
        return sa.select(Client.id).where(Client.email_hash == fingerprint("email", text.lower()))
    if (digits := phone_digits(text)) and not any(sign.isalpha() for sign in text):
        return sa.select(Client.id).where(Client.phone_hash == fingerprint("phone", digits))
    matching: sa.Select[UUID] | None = None
    for word in name_words(text):
        prefix = sa.select(ClientNameWord.client_id).where(
            ClientNameWord.word >= word, ClientNameWord.word < word + "\U0010ffff"
        )
        matching = prefix if matching is None else matching.where(ClientNameWord.client_id.in_(prefix))
    return sa.select(Client.id).where(sa.false()) if matching is None else matching


def name_words(name: str) -> list[str]:
    """Fold a name into its words: no case, no accents, letters and digits only."""
    return [word[:MAX_WORD_LENGTH] for word in re.findall(r"\w+", fold(name))]


def name_hash(name: str) -> str:
    """Hash the first and last word of a name, so that a middle name does not hide a match."""
    words = name_words(name)
    return fingerprint("name", " ".join(sorted({words[0], words[-1]}))) if words else ""


def phone_digits(phone: str) -> str:
    """Keep the last nine digits of a number, so that +44 and 0 mean the same phone."""
    digits = re.sub(r"\D", "", phone)
    return digits[-9:] if len(digits) >= 5 else ""  # noqa: PLR2004


@dataclass(frozen=True)
class Match:
    """Show a supervisor one record that a new client may duplicate or conflict with."""

    client_id: UUID
    name: str
    why: str
    coaches: tuple[str, ...]


def find_possible_matches(
    name: str, partner: str | None, email: str | None, phone: str | None, *, apart_from: UUID | None
) -> list[tuple[UUID, str]]:
    """Find records that a client may duplicate (the same person) or conflict with (the spouse).

    It looks across the whole practice and only at keyed hashes; callers decide who may read the answer.
    """
    own = name_hash(name)
    other = name_hash(partner) if partner else None
    found: dict[UUID, str] = {}
    rows = db.session.execute(
        sa.select(NameHash.client_id, NameHash.whose, NameHash.hash)
        .where(NameHash.hash.in_([value for value in (own, other) if value]))
        .order_by(NameHash.whose.desc())
    )
    for client_id, whose, value in rows:
        if value == own and whose == "client":
            found[client_id] = "has the same name"
        elif value == own and whose == "partner":
            found[client_id] = "names this person as their partner"
        elif value == other and whose == "client":
            found[client_id] = "has the name of this person's partner"
    contact: list[sa.ColumnElement[bool]] = []
    if email:
        contact.append(Client.email_hash == fingerprint("email", email))
    if phone:
        contact.append(Client.phone_hash == fingerprint("phone", phone_digits(phone)))
    if contact:
        for client_id in db.session.scalars(sa.select(Client.id).where(sa.or_(*contact))):
            found.setdefault(client_id, "has the same e-mail or phone")
    return [(client_id, why) for client_id, why in found.items() if client_id != apart_from]


def list_matches(actor: Actor, client_id: UUID) -> list[Match]:
    """Show a supervisor the records that one of their clients may conflict with, both sides by name.

    Raises Forbidden for anybody else, and NotFound.
    """
    require(actor, Action.CONFLICT_READ)
    record = get_client_record(actor, client_id)
    found = dict(
        find_possible_matches(
            record.name, record.partner_name, record.email, record.phone, apart_from=client_id
        )
    )
    return describe_matches(actor, found)


def describe_matches(actor: Actor, found: dict[UUID, str]) -> list[Match]:
    """Put names to matches for a supervisor."""
    require(actor, Action.CONFLICT_READ)
    rows = db.session.execute(
        sa.select(Client.id, Client.name, User.name.label("coach"))
        .join(CareTeamMember, CareTeamMember.client_id == Client.id)
        .join(User, User.id == CareTeamMember.user_id)
        .where(Client.id.in_(found))
    ).all()
    people: dict[UUID, tuple[str, list[str]]] = {}
    for row in rows:
        people.setdefault(row.id, (row.name, []))[1].append(row.coach)
    return [
        Match(client_id, name, found[client_id], tuple(coaches))
        for client_id, (name, coaches) in people.items()
    ]


def get_client_names(ids: Iterable[Any]) -> dict[UUID, str]:
    """Give the names behind some client ids in one statement."""
    found = db.session.execute(sa.select(Client.id, Client.name).where(Client.id.in_(set(ids))))
    return {row.id: row.name for row in found}
