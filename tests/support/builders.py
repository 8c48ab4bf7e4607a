"""Builders of clients, cases, screenings and notes; they use the operations, as a coach would."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.permissions import Action
from caseapp.core.tokens import generate_token, hash_token
from caseapp.core.transaction import transaction
from caseapp.domain.auth.rules import DEVICE_LIFETIME
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.cases.schemas import CaseDetails
from caseapp.domain.clients.models import RememberedDevice
from caseapp.domain.clients.operations import create_client
from caseapp.domain.clients.queries import lock_client, take_client_lock
from caseapp.domain.clients.schemas import ClientDetails, SafeContact
from caseapp.domain.handouts.library import library, parse_handout
from caseapp.domain.handouts.operations import publish_library
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.operations import create_note, save_draft, sign_note
from caseapp.domain.notes.queries import lock_case_for_note, lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.schemas import DraftChange, NewNote
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.schemas import LEVEL_NAMES, NewScreening
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.emergency_operations import open_emergency_access
from caseapp.domain.staffing.schemas import NewEmergencyAccess
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from uuid import UUID

NAME = "Ines Okafor"
_numbers = count(1)


@dataclass(frozen=True)
class CaseIds:
    """The ids and number of a case that a builder created."""

    client_id: UUID
    case_id: UUID
    number: str


def details(name=NAME, **changed):
    """Build the details of a client who has given consent."""
    plain = ClientDetails(
        name=name,
        preferred_name=name.split()[0],
        pronouns="she/her",
        email=None,
        phone=None,
        partner_name=None,
        birth_year=None,
        safe=SafeContact(("call", "portal"), "before 17:00"),
        consent_on=today(),
        consent_method="written",
    )
    return replace(plain, **changed)


def client(actor, name=None, *, coach_id=None, agreed=False, **changed):
    """Create a client and return the id; without `name` the client gets a unique one."""
    # No word of it is made of letters alone: nothing is hashed for names that differ by a letter.
    name = name or f"Client0 Number{next(_numbers)}"
    with transaction():
        return create_client(
            actor, details(name, **changed), coach_id=coach_id or actor.id, agreed=agreed
        )


def case(
    actor, name=None, facts=None, *, goal="undecided", review_date=None, coach_id=None, **changed
):
    """Create a client and open a case in stage `steady`."""
    client_id = client(actor, name, coach_id=coach_id, **changed)
    with transaction():
        case_id = open_case(
            actor,
            lock_client(actor, client_id),
            CaseDetails(facts or {}, goal, review_date),
            coach_id=coach_id or actor.id,
        )
        number = get_case_context(actor, case_id).case.number
    return CaseIds(client_id, case_id, number)


def screen(
    actor,
    client_id,
    *,
    asked_alone=True,
    actions_taken=(),
    comment="",
    days_ago=0,
    session_at=None,
    circumstances=(),
    below_reason="Asked again at length.",
    **levels,
):
    """Record a screening: every item is at none except those in `levels` (a level name, a number or None).

    It gives a reason for levels that are much lower than before.
    """
    answers = {item.key: 0 for item in ITEMS} | {
        key: LEVEL_NAMES[level] if isinstance(level, str) else level
        for key, level in levels.items()
    }
    moment = at(now() - timedelta(days=days_ago)) if days_ago else nullcontext()
    with moment, transaction():
        return record_screening(
            actor,
            lock_client(actor, client_id),
            NewScreening(
                answers,
                asked_alone,
                tuple(actions_taken),
                comment,
                tuple(circumstances),
                below_reason,
            ),
            session_at=session_at,
        ).id


def steady_case(actor, name=None, **changed):
    """Open a case that meets every computed criterion of its first gate; the attested ones are missing."""
    with at(now() - timedelta(days=9)):
        made = case(actor, name, **changed)
    screen(actor, made.client_id, days_ago=8)
    screen(actor, made.client_id)
    return made


SECTIONS = {"data": "Slept six hours.", "assessment": "More rested.", "plan": "Keep the log."}


def draft(actor, case_id, sections=None, *, format="dap", days_ago=0, levels=None, **answers):  # noqa: A002
    """Start a note, with all sections; `levels` are screening answers that are not recorded yet."""
    moment = now() - timedelta(days=days_ago)
    new = NewNote(
        format,
        moment - timedelta(hours=1),
        50,
        "video",
        SECTIONS if sections is None else sections,
        another=True,
    )
    with at(moment), transaction():
        note_id = create_note(actor, lock_case_for_note(actor, case_id), new).id
        if levels is not None:
            change = DraftChange(screening=DraftScreening(levels, **answers))
            save_draft(actor, lock_note(actor, note_id), change, 1)
    return note_id


def revised_draft(actor, case_id, plan="Keep the log, version {}."):
    """Start a note ten minutes ago and change its plan twice, so that it has two earlier texts."""
    start = now()
    with at(start - timedelta(minutes=10)):
        note_id = draft(actor, case_id)
    for version, minutes in ((1, 5), (2, 0)):
        change = DraftChange(sections={"plan": plan.format(version)})
        with at(start - timedelta(minutes=minutes)), transaction():
            save_draft(actor, lock_note(actor, note_id), change, version)
    return note_id


def left_draft(coach, leaver, case_id, sections=None, **more):
    """Start a note and let it be one that somebody wrote who has left; return its id."""
    note_id = draft(coach, case_id, sections, **more)
    with transaction() as session:
        session.execute(sa.update(Note).where(Note.id == note_id).values(author_id=leaver.id))
        session.execute(sa.update(User).where(User.id == leaver.id).values(disabled_at=now()))
    return note_id


def note(actor, case_id, sections=None, *, days_ago=0, **more):
    """Save a note and sign it."""
    note_id = draft(actor, case_id, sections, days_ago=days_ago, **more)
    with at(now() - timedelta(days=days_ago)), transaction():
        sign_note(actor, lock_note(actor, note_id), 2 if more.get("levels") is not None else 1)
    return note_id


def read_in_emergency(reader, number, reason="contact", words="She rang, and their coach is ill."):
    """Open the record of the client with a case number by emergency access and return its id."""
    with transaction():
        access = lock_access(reader, number, Action.EMERGENCY_OPEN)
        return open_emergency_access(reader, access, NewEmergencyAccess(number, reason, words))


def remember_devices(client_id, number):
    """Have some devices remembered for a client, whose cookies nobody has."""
    with transaction() as session:
        take_client_lock(client_id)
        moment = now()
        for _ in range(number):
            session.add(
                RememberedDevice(
                    client_id=client_id,
                    device_hash=hash_token(generate_token()),
                    created_at=moment,
                    used_at=moment,
                    expires_at=moment + DEVICE_LIFETIME,
                )
            )


def write_second_version(slug, language="en"):
    """Write the next version of a handout of the library."""
    handout = library()[slug, language]
    head, end, body = handout.source.partition("\n---\n")
    number = handout.version + 1
    head = head.replace(f"version: {handout.version}\nstatus", f"version: {number}\nstatus", 1)
    change = f'  - {{version: {number}, date: 2026-12-01, change: "A clearer line."}}'
    return parse_handout(f"{head}\n{change}{end}{body}")


def second_version(monkeypatch, slug, language="en"):
    """Publish a second version of a handout of the library."""
    changed = library() | {(slug, language): write_second_version(slug, language)}
    monkeypatch.setattr("caseapp.domain.handouts.operations.library", lambda: changed)
    with transaction():
        assert publish_library() == 1


@contextmanager
def supervised(actor):
    """Let the notes that a coach signs meanwhile need a co-signature."""

    def need(needed):
        with transaction() as session:
            change = sa.update(User).where(User.id == actor.id).values(needs_cosignature=needed)
            session.execute(change)

    need(needed=True)
    yield
    need(needed=False)
