"""Operations on clients: create, update, confirm the safe ways of contact, send mail."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core import mail, outbox
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, refuse_for
from caseapp.core.i18n import in_language
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.sessions import end_all_sessions
from caseapp.core.templating import render_text
from caseapp.core.transaction import locked_clients, write_if_refused
from caseapp.core.vault import (
    DataKey,
    seal,
    seal_json,
)
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import COACH, COACH_DECIDES, QUESTION_HOURS
from caseapp.domain.clients.comparison import make_comparable, searched_words
from caseapp.domain.clients.matches import (
    adds_to,
    count_questions,
    current_comparison,
    describe_matches,
    email_hash,
    find_possible_matches,
    identify,
    list_denied,
    list_outdated_clients,
    list_own_matches,
    name_hashes,
    phone_hashes,
)
from caseapp.domain.clients.memberships import (
    begin_membership,
)
from caseapp.domain.clients.models import (
    CareTeamMember,
    Client,
    ClientNameWord,
    ConflictQuestion,
    NameHash,
    PhoneHash,
    PossibleConflict,
)
from caseapp.domain.clients.queries import take_client_lock, unseal_client
from caseapp.domain.clients.remembered_devices import forget_devices
from caseapp.domain.clients.rules import (
    ASK_SUPERVISOR,
    list_match_blockers,
    list_question_blockers,
    may_be_mailed,
    needs_new_confirmation,
)
from caseapp.domain.clients.visibility import (
    select_clients_of,
)
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.operations import create_client_key
from caseapp.domain.keys.queries import open_client_key, open_listed_client_key
from caseapp.domain.practice.queries import get_practice_info, lock_practice_row, today
from caseapp.domain.users.queries import list_assignable_coaches

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from sqlalchemy.engine import Connection

    from caseapp.domain.clients.matches import DecidedMatches, Identity
    from caseapp.domain.clients.queries import ClientRecord, LockedClient
    from caseapp.domain.clients.schemas import ClientDetails


COMPARISON = "comparison"
"""The task of the outbox that makes outdated hashes of clients again."""


def create_client(
    actor: Actor,
    details: ClientDetails,
    *,
    coach_id: UUID,
    agreed: bool = False,
    allowed: DecidedMatches | None = None,
) -> UUID:
    """Create a client with the coach on the care team, and return its id.

    A possible duplicate or conflict of interest is refused, see `require_decision`, unless a supervisor has allowed it.
    """
    require(actor, Action.CLIENT_CREATE)
    require_assignable_coach(actor, coach_id)
    decided = require_decision(actor, details, agreed=agreed, allowed=allowed)
    client = Client(
        id=new_id(), created_at=now(), created_by=actor.id, name=details.name, preferred_name=""
    )
    db.session.add(client)
    # Nobody else sees the client before the commit.
    locked_clients().add(client.id)
    _fill_columns(client, details, create_client_key(client.id))
    db.session.flush()
    begin_membership(client.id, coach_id, COACH, actor.id, "opened")
    _write_hashes(client.id, identify(details))
    _note_conflicts(client.id, decided)
    record(
        actor,
        Action.CLIENT_CREATE,
        "client",
        client.id,
        client_id=client.id,
        details=_describe_decision(actor, decided),
    )
    return client.id


def require_assignable_coach(actor: Actor, coach_id: UUID) -> None:
    """Require a coach that the actor may assign work to: themselves, or a coach they supervise.

    Raises Invalid.
    """
    if coach_id not in {user.id for user in list_assignable_coaches(actor)}:
        raise Invalid({"coach_id": ["Choose yourself or a coach you supervise."]})


def require_decision(
    actor: Actor,
    details: ClientDetails,
    before: ClientRecord | None = None,
    *,
    agreed: bool,
    allowed: DecidedMatches | None = None,
) -> dict[UUID, UUID | None]:
    """Refuse details that fit other records until somebody who may has decided; return by whom, for each client.

    Only what is new since `before`, the client's present record, needs a decision, so that an unsafe number can always
    be removed; a supervisor who has decided has
    looked at every match. A coach is told the names of their own
    clients and of nobody else; a supervisor sees all matching records, and `agreed` is their decision. Of a client whom
    a supervisor must not see they aren't told, and another supervisor decides later: nobody has yet. What a supervisor
    has `allowed` needs no further decision. A coach who was told of too many possible conflicts isn't told of others,
    and no answer shows them whether anything matched: a refusal is counted before the next one is judged. Such details
    are saved one at a time, so that two people who enter the same person at the same moment don't miss each other.
    Raises RuleBroken.
    """
    identity = identify(details)
    may_decide = actor.may(Action.CONFLICT_READ)
    has_decided = may_decide and agreed
    known_as = identify(before) if before else None
    if identity == known_as and not has_decided:
        return {}
    lock_practice_row()
    if known_as and not has_decided and not adds_to(known_as, identity):
        return {}
    if allowed is not None and allowed.identity != identity:
        allowed = None
    if not has_decided and allowed is None:
        refuse_for(list_question_blockers(count_questions(actor)))
    client_id = before.id if before else None
    known = find_possible_matches(known_as, exclude_id=client_id) if known_as else {}
    matches = find_possible_matches(identity, exclude_id=client_id)
    if has_decided:
        return _list_decisions(actor, matches)
    settled = _list_settled(actor, matches, allowed) if allowed else {}
    found = {
        other: reason
        for other, reason in matches.items()
        if known.get(other) != reason and other not in settled
    }
    if may_decide:
        reasons = _describe_conflicts(actor, found)
    else:
        own = list_own_matches(actor, found)
        reasons = list_match_blockers(own, has_foreign=len(own) < len(found), agreed=agreed)
    if any(reason.code == ASK_SUPERVISOR.code for reason in reasons):
        write_if_refused(partial(_count_question, actor))
    refuse_for(reasons)
    return _list_decisions(actor, found) | settled


def _list_settled(
    actor: Actor, matches: Mapping[UUID, str], allowed: DecidedMatches
) -> dict[UUID, UUID | None]:
    """Tell by whom it was decided about the matches that a supervisor has allowed.

    Whether one of a coach's own clients is the same person stays with the coach, who may have added them meanwhile.
    """
    of_coach = [other for other, reason in matches.items() if reason in COACH_DECIDES]
    own = select_clients_of(actor.id, COACH).where(CareTeamMember.client_id.in_(of_coach))
    asked = set(db.session.scalars(own)) if of_coach else set()
    return {other: allowed.by for other in matches if other in allowed.about - asked}


def _list_decisions(actor: Actor, found: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Tell about which clients an actor has decided: about those whom they may be told of."""
    denied = list_denied(actor, found) if found else set()
    return {other: None if other in denied else actor.id for other in found}


def _describe_decision(actor: Actor, decided: Mapping[UUID, UUID | None]) -> dict[str, str]:
    by = {person for person in decided.values() if person}
    if not by:
        return {}
    role = Role.SUPERVISOR if by - {actor.id} else actor.role
    return {"possible_conflict": f"{role} decided"}


def _note_conflicts(client_id: UUID, others: Mapping[UUID, UUID | None]) -> None:
    """Note which clients a client may be the same as or in conflict with, and who has decided, if anybody has."""
    for other, decided_by in others.items():
        pair = max(client_id, other), min(client_id, other)
        row = db.session.get(PossibleConflict, pair)
        if row is None:
            row = PossibleConflict(client_id=pair[0], other_id=pair[1], found_at=now())
            db.session.add(row)
        if decided_by:
            row.decided_at, row.decided_by = now(), decided_by
    db.session.flush()


def _forget_conflicts(client_id: UUID, identity: Identity) -> None:
    """Forget the possible conflicts that nobody has decided about and that are none by the client's new details."""
    matches = find_possible_matches(identity, exclude_id=client_id)
    db.session.execute(
        sa.delete(PossibleConflict).where(
            PossibleConflict.decided_at.is_(None),
            sa.or_(
                sa.and_(
                    PossibleConflict.client_id == client_id,
                    PossibleConflict.other_id.not_in(matches),
                ),
                sa.and_(
                    PossibleConflict.other_id == client_id,
                    PossibleConflict.client_id.not_in(matches),
                ),
            ),
        )
    )


def _count_question(actor: Actor, connection: Connection) -> None:
    """Count that somebody is told of a possible conflict, and forget what no longer counts."""
    moment = now()
    past = ConflictQuestion.asked_at <= moment - timedelta(hours=QUESTION_HOURS)
    asked = {"id": new_id(), "user_id": actor.id, "asked_at": moment}
    connection.execute(sa.delete(ConflictQuestion).where(past))
    connection.execute(sa.insert(ConflictQuestion).values(asked))


def _describe_conflicts(actor: Actor, found: dict[UUID, str]) -> list[Reason]:
    return [
        Reason(
            ASK_SUPERVISOR.code,
            f"{match.name} (coach: {' and '.join(match.coaches)}) {match.reason}.",
            "Decide who can coach whom, then tick the box to save.",
        )
        for match in describe_matches(actor, found)
    ]


def update_client(
    actor: Actor,
    client: LockedClient,
    details: ClientDetails,
    expected_version: int,
    *,
    agreed: bool = False,
) -> None:
    """Replace a client's details.

    A name, email address or phone number that matches another record is refused, see `require_decision`.
    A new channel, email address or phone number has to be confirmed anew where a confirmation is needed. Raises Stale
    when someone saved a newer version first.
    """
    require(actor, Action.CLIENT_EDIT)
    decided = require_decision(actor, details, client.record, agreed=agreed)
    row = db.session.get_one(Client, client.id)
    set_committed_value(row, "version", expected_version)
    _fill_columns(row, details, client.key)
    if needs_new_confirmation(client.record, details):
        row.contact_confirmed_at = row.contact_confirmed_by = None
    db.session.flush()
    if identify(details) != identify(client.record):
        _write_hashes(client.id, identify(details))
        _forget_conflicts(client.id, identify(details))
    _note_conflicts(client.id, decided)
    if not details.safe.allows("portal"):
        end_all_sessions(client.id)
        forget_devices(client.id)
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
        details={"fields": changed, **_describe_decision(actor, decided)},
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
    client.email_hash = email_hash(details.email) if details.email else None
    client.compared_as = current_comparison()
    client.language = details.language
    client.consent_on = details.consent_on
    client.consent_method = details.consent_method


def _write_hashes(client_id: UUID, identity: Identity) -> None:
    """Write the words and hashes by which a client is found, in place of those that are stored."""
    for table in (ClientNameWord, NameHash, PhoneHash):
        db.session.execute(sa.delete(table).where(table.client_id == client_id))
    words = searched_words(identity.name) | searched_words(identity.preferred_name)
    names = {
        "client": make_comparable(identity.name, identity.preferred_name),
        "partner": make_comparable(identity.partner_name or ""),
    }
    db.session.add_all(ClientNameWord(word=word, client_id=client_id) for word in words)
    db.session.add_all(
        NameHash(hash=value, client_id=client_id, whose=whose)
        for whose, name in names.items()
        for value in name_hashes(name)
    )
    db.session.add_all(
        PhoneHash(hash=value, client_id=client_id) for value in phone_hashes(identity.phone)
    )


def enqueue_comparison() -> None:
    """Enqueue, at most once a day, the comparison of clients whose hashes other rules have made.

    Those are the clients of an earlier release, and all of them after the practice has moved to another country.
    """
    if list_outdated_clients(None, 1):
        name = f"{COMPARISON} {current_comparison()} {today()}"
        outbox.enqueue_once(name, COMPARISON, {}, now())


def refresh_hashes(client_id: UUID) -> None:
    """Make the words and hashes of a client again, by the present rules, and note whom the client may conflict with.

    The record and its version stay as they are.
    The client's key is used, but nobody is shown anything. Raises SealBroken for a record that doesn't open.
    """
    take_client_lock(client_id)
    note_shown([client_id])
    client, wrapped = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == client_id)
    ).one()
    if client.is_merged:
        return
    identity = identify(unseal_client(client, open_listed_client_key(wrapped, client_id)))
    _write_hashes(client_id, identity)
    matches = find_possible_matches(identity, exclude_id=client_id)
    _note_conflicts(client_id, dict.fromkeys(matches))
    # Not through the entity, whose version would count it as a change of the record.
    db.session.execute(
        sa.update(Client)
        .where(Client.id == client_id)
        .values(
            email_hash=email_hash(identity.email) if identity.email else None,
            compared_as=current_comparison(),
        )
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


def send_client_mail(
    client_id: UUID,
    flags: Collection[str],
    template: str,
    values: dict[str, object],
    *,
    is_requested: bool = False,
) -> bool:
    """Send a neutral email to a client in their language if email is safe for them now; return whether it was sent.

    This is the only function that sends mail to clients: it checks safe contact when the mail is sent, not when it was
    queued. `flags` are the client's active flags at this moment, and `is_requested` says that the client asked for this
    mail. The subject names no person and no service.
    """
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == client_id)
    ).first()
    if row is None:
        raise NotFound
    if row.Client.is_merged:
        return False
    client = unseal_client(row.Client, open_client_key(row.wrapped, client_id, "client", client_id))
    language = client.language or get_practice_info().practice.language
    db.session.rollback()
    if client.email is None or not may_be_mailed(client, flags, is_requested=is_requested):
        return False
    with in_language(language):
        subject, _, body = render_text(f"emails/{template}.txt", values).partition("\n\n")
    mail.send(mail.MailMessage(client.email, subject.removeprefix("Subject: "), body))
    return True
