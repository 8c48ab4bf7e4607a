"""What an erasure does with each table that reaches a client.

Rows that never change, and those that others refer to, stay: what they say about the person is sealed under the
client's key, which is destroyed. Everything else is deleted, or its columns are emptied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from caseapp.core.database import Model, db
from caseapp.core.outbox import OutboxRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

AREAS = {
    "identity": "Names, contact details and the data used to search for them",
    "access": "Access to the portal, and what staff can see",
    "safety": "Screenings, holds, alerts and safety plans",
    "notes": "Notes with everything attached to them, and the contact log",
    "work": "Cases, follow-ups, handouts, answers and files",
    "agreements": "Consent and disclosures",
}


@dataclass(frozen=True)
class Treatment:
    """What happens to a table's rows about an erased client.

    `deleted`: they go. `emptied`: they stay with `columns` set to these values. `sealed`: they stay, and what they say
    is sealed under the destroyed key. `kept`: they say nothing about the person but ids, codes and times. `by` are the
    columns that name the client where no foreign key does. `drafts` is a condition for rows that go all the same.
    """

    area: str
    how: Literal["deleted", "emptied", "sealed", "kept"]
    columns: Mapping[str, Any] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    drafts: str = ""


def _deleted(area: str, *by: str) -> Treatment:
    return Treatment(area, "deleted", by=by)


def _emptied(area: str, **columns: object) -> Treatment:
    return Treatment(area, "emptied", columns)


def _sealed(area: str, drafts: str = "") -> Treatment:
    return Treatment(area, "sealed", drafts=drafts)


KEPT = Treatment("", "kept")

TREATMENTS: dict[str, Treatment] = {
    "client": _emptied(
        "identity",
        name="",
        preferred_name="",
        pronouns="",
        language=None,
        email=None,
        phone=None,
        partner_name=None,
        birth_year=None,
        safe_contact=None,
        email_hash=None,
        compared_as=None,
        consent_on=None,
        consent_method="",
        consent_version=None,
        contact_confirmed_at=None,
        contact_confirmed_by=None,
    ),
    "client_merge": _sealed("identity"),
    "client_name_word": _deleted("identity"),
    "name_hash": _deleted("identity"),
    "phone_hash": _deleted("identity"),
    "possible_conflict": _deleted("identity"),
    "client_key": _deleted("identity"),
    "writing_key": _deleted("access"),
    "portal_access": _deleted("access"),
    "portal_invitation": _deleted("access"),
    "remembered_device": _deleted("access"),
    "credential": _deleted("access", "person_id"),
    "session": _deleted("access", "subject_id"),
    "idempotency_key": _deleted("access", "subject_id"),
    "form_draft": _deleted("work", "client_id", "author_id"),
    "care_team": _deleted("access"),
    "access_denial": _deleted("access"),
    "emergency_access": _deleted("access"),
    "covered_client": _deleted("access"),
    "transfer": _deleted("access"),
    "safety_event": _sealed("safety"),
    "client_safety": _deleted("safety"),
    "safety_plan": _sealed("safety"),
    "alert": _deleted("safety"),
    "alert_step": _deleted("safety"),
    "alert_recipient": _deleted("safety"),
    # What was moved from or to another record is the history of that one too.
    "note": _sealed("notes", drafts="status = 'draft' AND moves = 0"),
    "note_signature": KEPT,
    "note_addendum": _sealed("notes"),
    "note_move": _sealed("notes"),
    "note_review": _deleted("notes"),
    "note_revision": _deleted("notes"),
    "amendment_request": _deleted("notes"),
    "note_return": _sealed("notes"),
    "process_note": _deleted("notes"),
    "contact": _sealed("notes"),
    "coaching_case": _emptied("work", facts=None),
    "case_event": _emptied("work", reason=None),
    "attestation": _deleted("work"),
    "follow_up": _deleted("work"),
    "assignment": _emptied("work", message=None),
    "bulk_assignment_item": _deleted("work"),
    "worksheet_response": _deleted("work"),
    "worksheet_upload": _deleted("work"),
    "consent": _sealed("agreements"),
    "disclosure": _sealed("agreements"),
    "audit_event": KEPT,
    "audit_event_client": KEPT,
    "security_event": KEPT,
    "erasure": KEPT,
    "legal_hold": KEPT,
}
"""By table. A test compares it with the models: a table that reaches a client and has no treatment fails it."""


def erase_rows(client_id: UUID) -> dict[str, int]:
    """Do with every row about a client what its table's treatment says; return the numbers of rows by area.

    The caller holds the client's lock. Rows that refer to others go before them.
    """
    counts = dict.fromkeys(AREAS, 0)
    for table in reversed(Model.metadata.sorted_tables):
        found = TREATMENTS.get(table.name, KEPT)
        if found.how != "kept":
            counts[found.area] += _treat(table, found, client_id)
    db.session.execute(
        sa.delete(OutboxRow).where(
            OutboxRow.delivered_at.is_(None),
            OutboxRow.payload["client"].as_string() == client_id.hex,
        )
    )
    db.session.expire_all()
    return counts


def _treat(table: sa.Table, found: Treatment, client_id: UUID) -> int:
    where = is_about(table, client_id)
    count = db.session.scalar(sa.select(sa.func.count()).select_from(table).where(where)) or 0
    if found.drafts:
        db.session.execute(sa.delete(table).where(where, sa.text(found.drafts)))
    if not count or found.how == "sealed":
        return count
    if found.how == "deleted":
        db.session.execute(sa.delete(table).where(where))
    else:
        db.session.execute(sa.update(table).where(where).values(**found.columns))
    return count


def is_about(table: sa.Table, client_id: UUID) -> sa.ColumnElement[bool]:
    """Build the condition that a row is about a client: it names them, or belongs to a row that does."""
    by = TREATMENTS[table.name].by
    if table.name == "client":
        return table.c.id == client_id
    named = [table.c[name] for name in by] or [
        key.parent for key in table.foreign_keys if key.column.table.name == "client"
    ]
    if named:
        return sa.or_(*(column == client_id for column in named))
    owners = [
        key.parent.in_(sa.select(key.column).where(is_about(key.column.table, client_id)))
        for key in table.foreign_keys
        if key.column.table.name in TREATMENTS
    ]
    return sa.or_(*owners)
