"""Bulk data for measurements: a practice of any size, inserted directly but encrypted as the application does.

Only measurements may do this; everywhere else rows come from the operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import transaction
from caseapp.core.vault import new_wrapped_key, seal, seal_json, unwrap_client_key, wrapping_key_id
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.comparison import make_comparable, searched_words
from caseapp.domain.clients.matches import name_hashes
from caseapp.domain.clients.models import (
    CareTeamMember,
    Client,
    ClientNameWord,
    NameHash,
)
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.notes.models import Note, NoteSignature
from caseapp.domain.notes.operations import create_note
from caseapp.domain.notes.queries import lock_case_for_note
from caseapp.domain.notes.schemas import NewNote
from caseapp.domain.notes.sealing import unseal_note
from caseapp.domain.notes.signatures import make_signature, signature_row
from caseapp.domain.screening.events import ScreeningRecorded
from caseapp.domain.screening.models import ClientSafety, SafetyEvent
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.sealing import NO_TAG, CurrentSafety, seal_events, seal_state
from caseapp.domain.screening.state import DerivedState
from caseapp.domain.users.models import User
from tests.support import builders
from tests.support.owner import analyze, owner_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from caseapp.core.vault import DataKey

FIRST_NAMES = (
    "Ana",
    "Ben",
    "Chloe",
    "Dev",
    "Elif",
    "Femi",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Kofi",
)
LAST_NAMES = (
    "Smith",
    "Garcia",
    "Okafor",
    "Nguyen",
    "Silva",
    "Kowalski",
    "Haddad",
    "Tanaka",
    "Larsen",
)
STAGES = ("steady", "understand", "rebuild", "contact", "reconnect", "repair", "close")
TEXT = "She slept six hours, kept the handover short and rang her sister in the evening. " * 8
FIRST_OPENED_AT = datetime(2020, 1, 1, tzinfo=UTC)
CASES_PER_COACH = 200
NOTES = 5
"""How many notes a case has, where it has some."""
CHUNK_SIZE = 2000


@dataclass(frozen=True)
class Filled:
    """The actors of a filled practice and their cases with notes."""

    coach: Actor
    supervisor: Actor
    readers: list[tuple[Actor, list[UUID]]]


def fill(cases: int, own: int, *, readers: int = 0, notes: int = NOTES) -> Filled:
    """Insert so many cases: one coach has `own` of them, spread evenly in time, the others have `CASES_PER_COACH` each.

    All coaches have the same supervisor. The cases of that coach and of `readers` others get `notes` signed notes each.
    """
    supervisor = _user("supervisor", Role.SUPERVISOR, None)
    coach = _user("coach", Role.COACH, supervisor["id"])
    others = [
        _user(f"other{number}", Role.COACH, supervisor["id"])
        for number in range(max(1, (cases - own) // CASES_PER_COACH))
    ]
    with transaction() as session:
        session.execute(sa.insert(User), [supervisor])
        session.execute(sa.insert(User), [coach, *others])
    mine = {round(number * (cases - 1) / max(1, own - 1)) for number in range(own)}
    made = _people(cases, lambda n: coach["id"] if n in mine else others[n % len(others)]["id"])
    noted: dict[UUID, list[UUID]] = {user["id"]: [] for user in [coach, *others[:readers]]}
    while chunk := list(islice(made, CHUNK_SIZE)):
        written, signatures = [], []
        for person in chunk:
            (case,) = person[Case]
            if readers and case["coach_id"] in noted:
                case["status"] = "open"
                noted[case["coach_id"]].append(case["id"])
                signed = [_note(case, person["key"], number) for number in range(notes)]
                written += [row for row, _ in signed]
                signatures += [signature for _, signature in signed]
        with transaction() as session:
            for table in (
                Client,
                ClientKey,
                CareTeamMember,
                ClientNameWord,
                NameHash,
                Case,
                SafetyEvent,
                ClientSafety,
            ):
                session.execute(
                    sa.insert(table), [row for person in chunk for row in person[table]]
                )
            if written:
                session.execute(sa.insert(Note), written)
                session.execute(sa.insert(NoteSignature), signatures)
    db.session.remove()
    # PostgreSQL does this by itself while a practice grows over days.
    if db.engine.dialect.name == "postgresql":
        engine = sa.create_engine(owner_url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM")
        engine.dispose()
    analyze()
    return Filled(
        Actor(coach["id"], Role.COACH, "Bench Coach", "web"),
        Actor(supervisor["id"], Role.SUPERVISOR, "Bench Supervisor", "web"),
        [(Actor(who, Role.COACH, "Bench Reader", "web"), found) for who, found in noted.items()],
    )


def add_needs(filled: Filled, number: int) -> None:
    """Give so many clients of the coach a safety hold with an alert and overdue actions, and an unsigned note."""
    _, case_ids = filled.readers[0]
    found = db.session.execute(
        sa.select(Case.id, Case.client_id).where(Case.id.in_(case_ids[:number]))
    ).all()
    for case_id, client_id in found:
        builders.screen(filled.coach, client_id, self_harm=3)
        with transaction():
            new = NewNote("dap", now(), 50, "video", builders.SECTIONS, another=True)
            create_note(filled.coach, lock_case_for_note(filled.coach, case_id), new)
    # The clock can't be set in production.
    with transaction() as session:
        session.execute(sa.update(FollowUp).values(due_at=now() - timedelta(days=1)))
    db.session.remove()


def add_notes(case_id: UUID, number: int) -> None:
    """Add so many signed notes, one for every three days, to a case that has some."""
    case = db.session.execute(
        sa.select(Case.id, Case.client_id, Case.coach_id, Case.opened_at, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Case.client_id)
        .where(Case.id == case_id)
    ).one()
    key = unwrap_client_key(case.client_id, case.wrapped)
    made = [_note(case._asdict(), key, place, days_apart=3) for place in range(10, number + 10)]
    with transaction() as session:
        session.execute(sa.insert(Note), [row for row, _ in made])
        session.execute(sa.insert(NoteSignature), [signature for _, signature in made])
    db.session.remove()


def add_log(actor: Actor, number: int) -> None:
    """Add so many events to the log, as if that often something was recorded about the practice."""
    with transaction():
        for _ in range(number):
            record(actor, Action.PRACTICE_EDIT, "practice", details={"fields": ["name"]})
    db.session.remove()


def _user(who: str, role: Role, supervisor_id: UUID | None) -> dict[str, Any]:
    return {
        "id": new_id(),
        "email": f"{who}@bench.test",
        "name": f"Bench {who.title()}",
        "role": role.value,
        "supervisor_id": supervisor_id,
        "created_at": FIRST_OPENED_AT,
        "version": 1,
    }


def _people(cases: int, coach_of) -> Iterator[dict]:
    for number in range(cases):
        client_id, moment = new_id(), FIRST_OPENED_AT + timedelta(minutes=17 * number)
        first, last = (
            FIRST_NAMES[number % len(FIRST_NAMES)],
            LAST_NAMES[number // len(FIRST_NAMES) % len(LAST_NAMES)],
        )
        name = f"{first} {last}{number:x}"
        wrapped = new_wrapped_key(client_id)
        key = unwrap_client_key(client_id, wrapped)
        client = SimpleNamespace(__tablename__="client", id=client_id, client_id=client_id)
        case = SimpleNamespace(__tablename__="coaching_case", id=new_id(), client_id=client_id)
        coach_id = coach_of(number)
        events, safety = _screening(key, coach_id, moment)
        yield {
            "key": key,
            Client: [
                {
                    "id": client_id,
                    "name": name,
                    "preferred_name": first,
                    "pronouns": "they/them",
                    "phone": seal(client, "phone", f"07700 9{number:05d}", key),
                    "safe_contact": seal_json(client, "safe_contact", {"channels": ["call"]}, key),
                    "consent_on": moment.date(),
                    "consent_method": "written",
                    "created_at": moment,
                    "created_by": coach_id,
                    "version": 1,
                }
            ],
            ClientKey: [
                {"client_id": client_id, "wrapped": wrapped, "wrapped_by": wrapping_key_id()}
            ],
            CareTeamMember: [{"user_id": coach_id, "client_id": client_id, "starts_at": moment}],
            ClientNameWord: [
                {"word": word, "client_id": client_id} for word in searched_words(name)
            ],
            NameHash: [
                {"hash": value, "client_id": client_id, "whose": "client"}
                for value in name_hashes(make_comparable(name))
            ],
            Case: [
                {
                    "id": case.id,
                    "number": f"C-{moment.year}-{number:06d}",
                    "client_id": client_id,
                    "coach_id": coach_id,
                    "status": "open" if number % 3 else "closed",
                    "stage": STAGES[number % len(STAGES)],
                    "stage_since": moment,
                    "opened_at": moment,
                    "updated_at": moment,
                    "goal": "undecided",
                    "facts": seal_json(case, "facts", {"children": number % 4}, key),
                    "version": 1,
                }
            ],
            SafetyEvent: events,
            ClientSafety: [safety],
        }


def _screening(key: DataKey, coach_id: UUID, moment: datetime) -> tuple[list[dict], dict]:
    """Seal a screening without concerns as a client's first safety event, and the state after it."""
    asked = ScreeningRecorded(None, moment, {item.key: 0 for item in ITEMS}, asked_alone=True)
    before = CurrentSafety(0, NO_TAG, DerivedState())
    events, after = seal_events(before, key, coach_id, moment, [(new_id(), asked)])
    return events, {"client_id": key.client_id, **seal_state(after, key)}


def _note(
    case: dict, key, number: int, days_apart: int = 7
) -> tuple[dict[str, object], dict[str, object]]:
    """Make up a signed note and its signature."""
    row = SimpleNamespace(__tablename__="note", id=new_id(), client_id=case["client_id"])
    held = case["opened_at"] + timedelta(days=days_apart * number)
    sections = {"data": TEXT, "assessment": TEXT[:400], "plan": TEXT[:300]}
    made = {
        "id": row.id,
        "case_id": case["id"],
        "client_id": case["client_id"],
        "author_id": case["coach_id"],
        "format": "dap",
        "session_at": held,
        "minutes": 50,
        "actual_session_at": held,
        "actual_minutes": 50,
        "in_error": False,
        "addenda": 0,
        "modality": "phone",
        "status": "signed",
        "sections": seal_json(row, "sections", sections, key),
        "created_at": held,
        "updated_at": held,
        "signed_at": held,
        "signed_by": case["coach_id"],
        "version": 1,
    }
    note = unseal_note(Note(**made), key)
    signature = make_signature(note, "author", case["coach_id"], "coach", "Europe/London", held)
    made["sha256"] = signature.digest
    return made, signature_row(signature)
