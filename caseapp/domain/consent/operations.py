"""Operations on consent: publish a text, record that a client gave or withdrew consent, or that this was an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_padded_json
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.models import Client
from caseapp.domain.consent.codes import GIVEN, IN_ERROR, WITHDRAWN
from caseapp.domain.consent.models import Consent, ConsentText
from caseapp.domain.consent.queries import counts, list_counting
from caseapp.domain.consent.rules import (
    check_consent_error,
    check_publish,
    check_withdraw,
    derive_standing,
    find_consent_faults,
    find_withdrawal_faults,
)
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import local_day, today

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.consent.queries import LockedConsent, LockedTexts
    from caseapp.domain.consent.schemas import ConsentWithdrawal, NewConsent, NewConsentText

BLOCK_SIZE = 4096
"""Bytes: every sealed content has this length, since the longest words fit into it, whatever their characters."""


def publish_text(actor: Actor, texts: LockedTexts, new: NewConsentText) -> UUID:
    """Publish a text as a new version, or as a translation of the newest one, and return its id.

    After a new version, every client's consent is to an earlier text; nothing is refused for that. Raises RuleBroken
    for a translation that there can't be.
    """
    require(actor, Action.CONSENT_TEXT_PUBLISH)
    version = check_publish(texts, new)
    row = ConsentText(
        id=new_id(),
        version=version,
        language=new.language,
        words=new.words,
        published_at=now(),
        published_by=actor.id,
    )
    db.session.add(row)
    # Not through the entity, whose version would count it as a change of the settings.
    db.session.execute(sa.update(Practice).values(consent_version=version))
    db.session.flush()
    details = {"version": version, "language": new.language}
    record(actor, Action.CONSENT_TEXT_PUBLISH, "consent_text", row.id, details=details)
    return row.id


def record_consent(actor: Actor, client: LockedClient, new: NewConsent) -> UUID:
    """Record that a client gave consent, which ends a withdrawal, and return the entry's id.

    Raises Invalid naming each wrong field.
    """
    require(actor, Action.CONSENT_WRITE)
    texts = {row.id: row for row in db.session.execute(_TEXTS)}
    published = {text_id: local_day(row.published_at) for text_id, row in texts.items()}
    if faults := find_consent_faults(new, client.record, published, today()):
        raise Invalid(faults)
    before = client.record.consent_version or 0
    version = texts[new.text_id].version if new.text_id else 0
    if client.record.consent_withdrawn_on is None:
        version = max(version, before)
    entry_id = _add(actor, client, GIVEN, new.given_on, new.method, text_id=new.text_id)
    _set(client, consent_version=version, consent_withdrawn_on=None)
    return entry_id


def withdraw_consent(actor: Actor, client: LockedClient, new: ConsentWithdrawal) -> UUID:
    """Record that a client withdrew consent, and return the entry's id.

    From then on no handout reaches the client, no export contains them, and no mail is sent to them but a link to the
    portal that they request. Screening, holds, alerts and safety plans go on. Raises RuleBroken when it is withdrawn
    already, and Invalid.
    """
    require(actor, Action.CONSENT_WRITE)
    check_withdraw(client)
    if faults := find_withdrawal_faults(new, _find_last_given(client), today()):
        raise Invalid(faults)
    entry_id = _add(actor, client, WITHDRAWN, new.withdrawn_on, new.method, words=new.told)
    _set(client, consent_withdrawn_on=new.withdrawn_on)
    return entry_id


def mark_consent_in_error(actor: Actor, consent: LockedConsent, reason: str) -> None:
    """Mark an entry as recorded in error; it stays readable with the reason, but no longer counts.

    How consent stands then follows from the other entries: a withdrawal that was recorded in error stops nothing any
    more. Raises RuleBroken when the entry is marked already.
    """
    require(actor, Action.CONSENT_WRITE)
    check_consent_error(consent)
    client, entry_id = consent.client, consent.record.id
    marked = _store(actor, client, IN_ERROR, today(), "", words=reason, corrects_id=entry_id)
    version, withdrawn_on = derive_standing(list_counting(client.id))
    _set(client, consent_version=version, consent_withdrawn_on=withdrawn_on)
    details = {"corrects": str(entry_id), "version": version, "is_withdrawn": bool(withdrawn_on)}
    _record(actor, client, marked, {"kind": IN_ERROR} | details)


_TEXTS = sa.select(ConsentText.id, ConsentText.version, ConsentText.published_at)


def _find_last_given(client: LockedClient) -> date | None:
    """Find the newest day on which a client gave consent, at intake or later."""
    last = sa.select(sa.func.max(Consent.happened_on)).where(
        Consent.client_id == client.id, Consent.kind == GIVEN, counts(Consent)
    )
    days = (client.record.consent_on, db.session.scalar(last))
    return max((day for day in days if day is not None), default=None)


def _set(client: LockedClient, **values: object) -> None:
    """Set columns of a client; the version stays, since the form of the client's details shows none of them."""
    db.session.execute(sa.update(Client).where(Client.id == client.id).values(**values))


def _add(
    actor: Actor,
    client: LockedClient,
    kind: str,
    happened_on: date,
    method: str,
    *,
    text_id: UUID | None = None,
    words: str = "",
) -> UUID:
    """Store an entry about consent and record it in the log; return its id."""
    entry_id = _store(actor, client, kind, happened_on, method, text_id=text_id, words=words)
    _record(actor, client, entry_id, {"kind": kind})
    return entry_id


def _store(
    actor: Actor,
    client: LockedClient,
    kind: str,
    happened_on: date,
    method: str,
    *,
    text_id: UUID | None = None,
    words: str = "",
    corrects_id: UUID | None = None,
) -> UUID:
    row = Consent(
        id=new_id(),
        client_id=client.id,
        kind=kind,
        text_id=text_id,
        happened_on=happened_on,
        recorded_at=now(),
        recorded_by=actor.id,
        corrects_id=corrects_id,
    )
    content = {"method": method, "words": words}
    row.content = seal_padded_json(row, "content", content, BLOCK_SIZE, client.key)
    db.session.add(row)
    db.session.flush()
    return row.id


def _record(actor: Actor, client: LockedClient, entry_id: UUID, details: dict[str, Any]) -> None:
    action = Action.CONSENT_WRITE
    record(actor, action, "consent", entry_id, client_id=client.id, details=details)
