"""Operations on clients: create, update, confirm the safe ways of contact, join the care team, send mail."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core import mail
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.i18n import in_language
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.sessions import end_all_sessions
from caseapp.core.templating import render_text
from caseapp.core.transaction import locked_clients
from caseapp.core.vault import (
    DataKey,
    seal,
    seal_json,
)
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import (
    CareTeamMember,
    Client,
    ClientNameWord,
    NameHash,
)
from caseapp.domain.clients.queries import (
    describe_matches,
    find_possible_matches,
    name_hash,
    unseal_client,
)
from caseapp.domain.clients.rules import (
    may_be_mailed,
    name_words,
    needs_new_confirmation,
    phone_digits,
)
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.operations import create_client_key
from caseapp.domain.keys.queries import fingerprint, open_key
from caseapp.domain.practice.queries import get_practice_info, lock_practice_row
from caseapp.domain.users.queries import list_assignable_coaches

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.clients.schemas import ClientDetails


def _insert_or_begin_again(
    insert: sqlite.Insert | postgresql.Insert,
) -> sqlite.Insert | postgresql.Insert:
    return insert.on_conflict_do_update(
        index_elements=["user_id", "client_id", "role"],
        set_={"joined_at": insert.excluded.joined_at, "ends_at": None},
    )


INSERT_OR_BEGIN_AGAIN = {
    name: _insert_or_begin_again(dialect.insert(CareTeamMember.__table__))
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def create_client(
    actor: Actor, details: ClientDetails, *, coach_id: UUID, agreed: bool = False
) -> UUID:
    """Create a client with the coach on the care team, and return its id.

    A possible duplicate or conflict of interest is refused: a coach is told only to ask their supervisor, a supervisor
    sees the matching records. `agreed` confirms that the supervisor was asked; this is recorded. Clients are added one
    at a time, so that two people who add the same one at the same moment don't miss each other. Raises RuleBroken.
    """
    require(actor, Action.CLIENT_CREATE)
    lock_practice_row()
    require_assignable_coach(actor, coach_id)
    found = dict(
        find_possible_matches(
            details.name, details.partner_name, details.email, details.phone, exclude_id=None
        )
    )
    if found and not agreed:
        raise _build_conflict_error(actor, found)
    client = Client(
        id=new_id(), created_at=now(), created_by=actor.id, name=details.name, preferred_name=""
    )
    db.session.add(client)
    # Nobody else sees the client before the commit.
    locked_clients().add(client.id)
    _fill_columns(client, details, create_client_key(client.id))
    db.session.flush()
    db.session.add(
        CareTeamMember(user_id=coach_id, client_id=client.id, role=COACH, joined_at=now())
    )
    _index_names(client.id, details)
    record(
        actor,
        Action.CLIENT_CREATE,
        "client",
        client.id,
        client_id=client.id,
        details={"possible_conflict": "supervisor asked"} if found else None,
    )
    return client.id


def require_assignable_coach(actor: Actor, coach_id: UUID) -> None:
    """Require a coach that the actor may assign work to: themselves, or a coach they supervise.

    Raises Invalid.
    """
    if coach_id not in {user.id for user in list_assignable_coaches(actor)}:
        raise Invalid({"coach_id": ["Choose yourself or a coach you supervise."]})


def _build_conflict_error(actor: Actor, found: dict[UUID, str]) -> RuleBroken:
    if not actor.may(Action.CONFLICT_READ):
        return RuleBroken(
            Reason(
                "possible_conflict",
                "Talk to your supervisor before saving.",
                "Your answers are still in the form. Tick the box once your supervisor agrees.",
            )
        )
    return RuleBroken(
        *(
            Reason(
                "possible_conflict",
                f"{match.name} (coach: {' and '.join(match.coaches)}) {match.reason}.",
                "Decide who can coach whom, then tick the box to save.",
            )
            for match in describe_matches(actor, found)
        )
    )


def update_client(
    actor: Actor, client: LockedClient, details: ClientDetails, expected_version: int
) -> None:
    """Replace a client's details.

    A new channel, email address or phone number has to be confirmed anew where a confirmation is needed. Raises Stale
    when someone saved a newer version first.
    """
    require(actor, Action.CLIENT_EDIT)
    row = db.session.get_one(Client, client.id)
    set_committed_value(row, "version", expected_version)
    _fill_columns(row, details, client.key)
    if needs_new_confirmation(client.record, details):
        row.contact_confirmed_at = row.contact_confirmed_by = None
    db.session.flush()
    for table in (ClientNameWord, NameHash):
        db.session.execute(sa.delete(table).where(table.client_id == client.id))
    _index_names(client.id, details)
    if not details.safe.allows("portal"):
        end_all_sessions(client.id)
    changed = [
        name
        for name, value in asdict(details).items()
        if value != _get_previous_value(client.record, name)
    ]
    record(
        actor,
        Action.CLIENT_EDIT,
        "client",
        client.id,
        client_id=client.id,
        details={"fields": changed},
    )


def _get_previous_value(before: object, name: str) -> object:
    value = getattr(before, name)
    return asdict(value) if name == "safe" else value


def _fill_columns(client: Client, details: ClientDetails, key: DataKey) -> None:
    client.name = details.name
    client.preferred_name = details.preferred_name
    client.pronouns = details.pronouns
    client.email = seal(client, "email", details.email, key)
    client.phone = seal(client, "phone", details.phone, key)
    client.partner_name = seal(client, "partner_name", details.partner_name, key)
    year = str(details.birth_year) if details.birth_year else None
    client.birth_year = seal(client, "birth_year", year, key)
    client.safe_contact = seal_json(client, "safe_contact", asdict(details.safe), key)
    client.email_hash = fingerprint("email", details.email) if details.email else None
    digits = phone_digits(details.phone) if details.phone else ""
    client.phone_hash = fingerprint("phone", digits) if digits else None
    client.language = details.language
    client.consent_on = details.consent_on
    client.consent_method = details.consent_method


def _index_names(client_id: UUID, details: ClientDetails) -> None:
    words = {*name_words(details.name), *name_words(details.preferred_name)}
    db.session.add_all(ClientNameWord(word=word, client_id=client_id) for word in words)
    db.session.add(NameHash(hash=name_hash(details.name), client_id=client_id, whose="client"))
    if details.partner_name and name_words(details.partner_name):
        db.session.add(
            NameHash(hash=name_hash(details.partner_name), client_id=client_id, whose="partner")
        )


def confirm_contact(actor: Actor, client: LockedClient, expected_version: int) -> None:
    """Record that the client said in person which of the recorded ways of contact are safe, so that they may be used.

    Raises Stale when the client has changed since `expected_version`, also by something unsafe that was recorded.
    """
    require(actor, Action.CONTACT_CONFIRM)
    row = db.session.get_one(Client, client.id)
    set_committed_value(row, "version", expected_version)
    row.contact_confirmed_at, row.contact_confirmed_by = now(), actor.id
    db.session.flush()
    record(
        actor,
        Action.CONTACT_CONFIRM,
        "client",
        client.id,
        client_id=client.id,
        details={"how": "in_person"},
    )


def withdraw_contact_confirmation(client: LockedClient) -> None:
    """Withdraw the confirmation of a client's safe ways of contact, because something unsafe was recorded.

    The version changes even if there was none: a confirmation from a page that was opened before is refused.
    """
    db.session.execute(
        sa.update(Client)
        .where(Client.id == client.id)
        .values(contact_confirmed_at=None, contact_confirmed_by=None, version=Client.version + 1)
    )


def join_care_team(client: LockedClient, user_id: UUID) -> bool:
    """Add a user to a client's care team as a coach; return whether they are new, otherwise nothing changes."""
    is_new = db.session.get(CareTeamMember, (user_id, client.id, COACH)) is None
    if is_new:
        join_for(client.id, user_id, COACH)
    return is_new


def join_for(client_id: UUID, user_id: UUID, role: str) -> None:
    """Give a person a role in a locked client's care team, from now on and without an end so far."""
    join = INSERT_OR_BEGIN_AGAIN[db.engine.dialect.name]
    run(join, user_id=user_id, client_id=client_id, role=role, joined_at=now())


def leave_for(client_id: UUID, user_id: UUID, role: str) -> None:
    """Take a role in a locked client's care team from a person."""
    db.session.execute(
        sa.delete(CareTeamMember).where(
            CareTeamMember.user_id == user_id,
            CareTeamMember.client_id == client_id,
            CareTeamMember.role == role,
        )
    )


def send_client_mail(
    client_id: UUID, flags: Collection[str], template: str, values: dict[str, object]
) -> bool:
    """Send a neutral email to a client in their language if email is safe for them now; return whether it was sent.

    This is the only function that sends mail to clients: it checks safe contact when the mail is sent, not when it was
    queued. `flags` are the client's active flags at this moment. The subject names no person and no service.
    """
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == client_id)
    ).first()
    if row is None:
        raise NotFound
    client = unseal_client(row.Client, open_key(row.wrapped, client_id, "client", client_id))
    language = client.language or get_practice_info().practice.language
    db.session.rollback()
    if client.email is None or not may_be_mailed(client, flags):
        return False
    with in_language(language):
        subject, _, body = render_text(f"emails/{template}.txt", values).partition("\n\n")
    mail.send(mail.MailMessage(client.email, subject.removeprefix("Subject: "), body))
    return True
