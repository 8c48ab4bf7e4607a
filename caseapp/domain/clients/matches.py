"""Possible duplicates and conflicts of interest between clients: found by keyed hashes, and what was decided."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.email_addresses import normalize_email
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.domain.clients.codes import COACH, MATCH_REASONS, QUESTION_HOURS
from caseapp.domain.clients.comparison import (
    VERSION,
    ComparedName,
    make_comparable,
    phone_numbers,
    similar_names,
)
from caseapp.domain.clients.models import (
    AccessDenial,
    CareTeamMember,
    Client,
    ConflictQuestion,
    NameHash,
    PhoneHash,
    PossibleConflict,
)
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.clients.rules import OwnMatch
from caseapp.domain.clients.visibility import (
    in_role,
    looks_after_client,
    select_clients_of,
    select_denied_clients,
)
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import fingerprint
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.clients.schemas import ClientDetails

PART = "part\n"
PACKAGES = ("anyascii", "email-validator", "nicknames", "phonenumbers")
"""The packages whose data and rules decide what matches."""
# The cases belong to a package above this one; here only a case's number is read.
CASE = sa.table("coaching_case", sa.column("number", sa.String), sa.column("client_id", sa.Uuid))


def name_hashes(name: ComparedName) -> set[str]:
    """Hash the forms of a name that are stored; the hash of a part is another than that of a whole name."""
    return {fingerprint("name", pair) for pair in name.whole} | {
        fingerprint("name", PART + pair) for pair in name.parts
    }


def email_hash(email: str) -> str:
    """Hash an email address; one that mail would refuse is found only as it was written."""
    with suppress(ValueError):
        email = normalize_email(email)
    return fingerprint("email", email.lower())


def phone_hashes(phone: str | None) -> set[str]:
    """Hash each phone number of a text."""
    numbers = phone_numbers(phone, get_practice_info().practice.country) if phone else ()
    return {fingerprint("phone", number) for number in numbers}


def current_comparison() -> str:
    """Name the rules by which words and hashes are made now: their version, the practice's country, and the packages.

    With a new list of nicknames or another way to fold names there may be matches between rows that nobody has changed.
    """
    return f"{VERSION} {get_practice_info().practice.country} {_hash_packages()}"


@cache
def _hash_packages() -> str:
    versions = "\n".join(f"{name} {version(name)}" for name in PACKAGES)
    return hashlib.sha256(versions.encode()).hexdigest()[:6]


def list_outdated_clients(after: UUID | None, limit: int) -> list[UUID]:
    """List the next clients, in order of their ids, whose words and hashes were made by other rules.

    Erased and merged ones are left out.
    """
    query = (
        sa.select(Client.id)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(~Client.is_merged, Client.compared_as.is_distinct_from(current_comparison()))
    )
    if after is not None:
        query = query.where(Client.id > after)
    return [*db.session.scalars(query.order_by(Client.id).limit(limit))]


@dataclass(frozen=True)
class ClientMatch:
    """A record that a new client may duplicate or conflict with, for supervisors."""

    client_id: UUID
    name: str
    reason: str
    coaches: tuple[str, ...]
    is_decided: bool = False


@dataclass(frozen=True)
class Identity:
    """What is compared of a client: their names, their partner's, and where they can be reached."""

    name: str
    preferred_name: str
    partner_name: str | None
    email: str | None
    phone: str | None


@dataclass(frozen=True)
class DecidedMatches:
    """The clients about whom a supervisor has decided that somebody new may be coached here too.

    It holds for details that are compared as `identity` is; what fits other clients later needs another decision.
    """

    by: UUID
    identity: Identity
    about: frozenset[UUID]


def identify(details: ClientDetails | ClientRecord) -> Identity:
    """Return what is compared of a client's details."""
    return Identity(
        details.name, details.preferred_name, details.partner_name, details.email, details.phone
    )


REASONS = {
    ("client", "client", True): "same_name",
    ("partner", "client", True): "is_partner",
    ("client", "partner", True): "has_partner",
    ("client", "client", False): "similar_name",
    ("partner", "client", False): "similar_to_partner",
    ("client", "partner", False): "has_similar_partner",
}
"""The code of MATCH_REASONS by whose name was typed, whose is stored, and whether it is the same or only similar.

A partner of the same name is no reason."""


def find_possible_matches(identity: Identity, *, exclude_id: UUID | None) -> dict[UUID, str]:
    """Find records that a client may duplicate (the same person) or conflict with (the spouse), by MATCH_REASONS.

    It searches the whole practice, using only keyed hashes; callers decide who may see the result. Each record has its
    strongest reason.
    """
    typed = _type_names(identity)
    rows = db.session.execute(
        sa.select(NameHash.client_id, NameHash.whose, NameHash.hash).where(
            NameHash.hash.in_({*typed["client"], *typed["partner"]})
        )
    ).all()
    order = [*MATCH_REASONS]
    found: dict[UUID, str] = {}
    for client_id, whose, value in rows:
        for of, wanted in typed.items():
            if value in wanted and (reason := REASONS.get((of, whose, wanted[value]))):
                found[client_id] = min(reason, found.get(client_id, reason), key=order.index)
    contacts = []
    if identity.email:
        contacts.append(sa.select(Client.id).where(Client.email_hash == email_hash(identity.email)))
    if numbers := phone_hashes(identity.phone):
        contacts.append(sa.select(PhoneHash.client_id).where(PhoneHash.hash.in_(numbers)))
    for query in contacts:
        for client_id in db.session.scalars(query):
            found.setdefault(client_id, "same_contact")
    return {client_id: reason for client_id, reason in found.items() if client_id != exclude_id}


def adds_to(before: Identity, after: Identity) -> bool:
    """Tell whether anything is looked for by one identity that wasn't by an earlier one, or only as something similar.

    What only takes away, or writes the same name or number in another way, fits nobody else.
    """
    known, wanted = _type_names(before), _type_names(after)
    if any(
        value not in known[of] or is_same > known[of][value]
        for of, values in wanted.items()
        for value, is_same in values.items()
    ):
        return True
    if after.email and email_hash(after.email) != (before.email and email_hash(before.email)):
        return True
    return not phone_hashes(after.phone) <= phone_hashes(before.phone)


def list_match_reasons(identity: Identity, client_id: UUID) -> set[str]:
    """List all codes of MATCH_REASONS by which an identity fits one client, not only the strongest."""
    typed, numbers = _type_names(identity), phone_hashes(identity.phone)
    names = db.session.execute(
        sa.select(NameHash.whose, NameHash.hash).where(NameHash.client_id == client_id)
    ).all()
    found = {
        reason
        for whose, value in names
        for of, wanted in typed.items()
        if value in wanted and (reason := REASONS.get((of, whose, wanted[value])))
    }
    address = db.session.scalar(sa.select(Client.email_hash).where(Client.id == client_id))
    same_phone = sa.exists().where(PhoneHash.client_id == client_id, PhoneHash.hash.in_(numbers))
    if (identity.email and address == email_hash(identity.email)) or db.session.scalar(
        sa.select(same_phone)
    ):
        found.add("same_contact")
    return found


def find_matches_among(
    identities: Mapping[UUID, Identity], client_ids: Collection[UUID]
) -> dict[UUID, set[UUID]]:
    """Find which of a few clients each of several identities, given by any ids, fits: with three statements."""
    names = db.session.execute(
        sa.select(NameHash.client_id, NameHash.whose, NameHash.hash).where(
            NameHash.client_id.in_(client_ids)
        )
    ).all()
    emails = db.session.execute(
        sa.select(Client.id, Client.email_hash).where(Client.id.in_(client_ids))
    ).all()
    phones = db.session.execute(
        sa.select(PhoneHash.client_id, PhoneHash.hash).where(PhoneHash.client_id.in_(client_ids))
    ).all()
    found = {}
    for key, identity in identities.items():
        typed, numbers = _type_names(identity), phone_hashes(identity.phone)
        address = email_hash(identity.email) if identity.email else ""
        found[key] = {
            *(client_id for client_id, value in emails if value == address),
            *(client_id for client_id, value in phones if value in numbers),
            *(
                client_id
                for client_id, whose, value in names
                for of, wanted in typed.items()
                if value in wanted and (of, whose, wanted[value]) in REASONS
            ),
        }
    return found


def _type_names(identity: Identity) -> dict[str, dict[str, bool]]:
    """Return the hashes by which clients and partners with names like these are found, see `_wanted_names`."""
    return {
        "client": _wanted_names(identity.name, identity.preferred_name),
        "partner": _wanted_names(identity.partner_name or ""),
    }


def _wanted_names(name: str, preferred: str = "") -> dict[str, bool]:
    """Return the hashes by which stored names are found, and whether they then are the same, or only similar.

    A whole name is looked for among whole names and parts, a part and a similar name among whole names only: two people
    who share a middle name aren't alike.
    """
    compared = make_comparable(name, preferred)
    similar = {fingerprint("name", pair) for pair in compared.parts | similar_names(compared)}
    similar |= {fingerprint("name", PART + pair) for pair in compared.whole}
    return dict.fromkeys(similar, False) | {
        fingerprint("name", pair): True for pair in compared.whole
    }


def list_matches(actor: Actor, client_id: UUID) -> list[ClientMatch]:
    """List the records that a supervisor's client may conflict with, with the names of both sides.

    Raises Forbidden for anyone but a supervisor, and NotFound.
    """
    require(actor, Action.CONFLICT_READ)
    record = get_client_record(actor, client_id)
    found = find_possible_matches(identify(record), exclude_id=client_id)
    decided = _list_decided(client_id)
    return [
        replace(match, is_decided=match.client_id in decided)
        for match in describe_matches(actor, found)
    ]


def is_undecided(client_id: UUID, other_id: UUID) -> bool:
    """Tell whether two clients may be one person or a couple and nobody has decided about it."""
    pair = (client_id, other_id)
    found = sa.exists().where(
        PossibleConflict.client_id.in_(pair),
        PossibleConflict.other_id.in_(pair),
        PossibleConflict.decided_at.is_(None),
    )
    return db.session.scalar(sa.select(found)) or False


def _list_decided(client_id: UUID) -> set[UUID]:
    """List the clients about whose possible conflict with this one somebody has decided."""
    pairs = db.session.execute(
        sa.select(PossibleConflict.client_id, PossibleConflict.other_id).where(
            PossibleConflict.decided_at.is_not(None),
            sa.or_(PossibleConflict.client_id == client_id, PossibleConflict.other_id == client_id),
        )
    )
    return {other for pair in pairs for other in pair if other != client_id}


@dataclass(frozen=True)
class UndecidedConflict:
    """A client whom an actor sees and who may conflict with somebody, about which nobody has decided yet."""

    client_id: UUID
    client: str
    found_at: datetime


def list_undecided_conflicts(actor: Actor, limit: int) -> list[UndecidedConflict]:
    """List the clients whom a supervisor sees and who have an undecided possible conflict, the oldest first.

    Whoever must not see one of the two isn't asked.

    Raises Forbidden for anyone but a supervisor.
    """
    require(actor, Action.CONFLICT_READ)
    both = (PossibleConflict.client_id, PossibleConflict.other_id)
    denied = select_denied_clients(actor.id)
    pairs = [
        sa.select(column.label("id"), PossibleConflict.found_at.label("found_at")).where(
            PossibleConflict.decided_at.is_(None),
            looks_after_client(actor, column),
            *(one.not_in(denied) for one in both),
        )
        for column in both
    ]
    waiting = sa.union_all(*pairs).subquery()
    since = sa.func.min(waiting.c.found_at, type_=PossibleConflict.found_at.type).label("since")
    rows = db.session.execute(
        sa.select(Client.id, Client.name, since)
        .join(waiting, waiting.c.id == Client.id)
        .group_by(Client.id, Client.name)
        .order_by(since, Client.id)
        .limit(limit)
    ).all()
    note_shown(row.id for row in rows)
    return [UndecidedConflict(*row) for row in rows]


@dataclass(frozen=True)
class UndecidedPair:
    """Two clients, by the numbers of their newest cases, about whose possible conflict nobody has decided yet."""

    found_at: datetime
    number: str | None
    other_number: str | None


def list_undecided_pairs(actor: Actor) -> list[UndecidedPair]:
    """List all possible conflicts of the practice that wait for a decision, the oldest first: numbers without names.

    Pairs with a client whom the actor must not see are left out.

    Raises Forbidden for anyone but an admin or the operator, who may see the numbers of all cases.
    """
    require(actor, Action.REPORT_EXPORT)

    def newest(column: sa.SQLColumnExpression[UUID]) -> sa.ScalarSelect[str]:
        number = sa.select(sa.func.max(CASE.c.number)).where(CASE.c.client_id == column)
        return number.correlate(PossibleConflict).scalar_subquery()

    pair = (PossibleConflict.client_id, PossibleConflict.other_id)
    rows = db.session.execute(
        sa.select(PossibleConflict.found_at, *map(newest, pair), *pair)
        .where(
            PossibleConflict.decided_at.is_(None),
            *(one.not_in(select_denied_clients(actor.id)) for one in pair),
        )
        .order_by(PossibleConflict.found_at, *pair)
    ).all()
    note_shown(one for row in rows for one in (row.client_id, row.other_id))
    return [UndecidedPair(*row[:3]) for row in rows]


def list_denied(actor: Actor, client_ids: Collection[UUID]) -> set[UUID]:
    """List those of some clients whom an actor must not see."""
    denied = select_denied_clients(actor.id)
    return {*db.session.scalars(denied.where(AccessDenial.client_id.in_(client_ids)))}


def describe_matches(actor: Actor, found: dict[UUID, str]) -> list[ClientMatch]:
    """Add names and coaches to matches, for a supervisor; clients whom they must not see are left out."""
    require(actor, Action.CONFLICT_READ)
    rows = db.session.execute(
        sa.select(Client.id, Client.name, User.name.label("coach"))
        .join(CareTeamMember, CareTeamMember.client_id == Client.id)
        .join(User, User.id == CareTeamMember.user_id)
        .where(
            Client.id.in_(found),
            Client.id.not_in(select_denied_clients(actor.id)),
            in_role(CareTeamMember, COACH),
        )
    ).all()
    note_shown((row.id for row in rows), Action.CONFLICT_READ)
    people: dict[UUID, tuple[str, list[str]]] = {}
    for row in rows:
        people.setdefault(row.id, (row.name, []))[1].append(row.coach)
    return [
        ClientMatch(client_id, name, MATCH_REASONS[found[client_id]], tuple(coaches))
        for client_id, (name, coaches) in people.items()
    ]


def count_questions(actor: Actor) -> int:
    """Count how often somebody was told of a possible conflict in the last QUESTION_HOURS."""
    since = now() - timedelta(hours=QUESTION_HOURS)
    found = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(ConflictQuestion)
        .where(ConflictQuestion.user_id == actor.id, ConflictQuestion.asked_at > since)
    )
    return found or 0


def list_own_matches(actor: Actor, found: dict[UUID, str]) -> list[OwnMatch]:
    """List those matches whom the actor coaches, by name and with the number of their newest case.

    About somebody whom they only cover, a supervisor decides.
    """
    newest = sa.select(sa.func.max(CASE.c.number)).where(CASE.c.client_id == Client.id)
    rows = db.session.execute(
        sa.select(Client.id, Client.name, newest.scalar_subquery().label("number"))
        .where(Client.id.in_(found), Client.id.in_(select_clients_of(actor.id, COACH)))
        .order_by(Client.created_at, Client.id)
    ).all()
    note_shown(row.id for row in rows)
    return [OwnMatch(row.name, row.number, found[row.id]) for row in rows]
