"""Bulk inserts that bypass the operations, for counting the statements of a page."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.core.vault import new_wrapped_key, seal_code, seal_json, wrapping_key_id
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.cases.models import Case, CaseEvent
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.contacts.models import Contact
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.notes.models import Note, NoteSignature
from caseapp.domain.notes.sealing import unseal_note
from caseapp.domain.notes.signatures import make_signature, signature_row
from caseapp.domain.safety_plans.models import SafetyPlan
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.events import HoldOpened, HoldReleased, ScreeningRecorded
from caseapp.domain.screening.marks import add_marks, list_marked
from caseapp.domain.screening.models import ClientSafety, SafetyEvent
from caseapp.domain.screening.sealing import NO_TAG, CurrentSafety, seal_events, seal_state
from caseapp.domain.screening.state import DerivedState


def _note(actor, case_id, client_id, key, number, status):
    moment = now() - timedelta(minutes=number)
    row = Note(id=new_id(), client_id=client_id)
    return {
        "id": row.id,
        "case_id": case_id,
        "client_id": client_id,
        "author_id": actor.id,
        "format": "free",
        "session_at": moment,
        "actual_session_at": moment,
        "in_error": False,
        "addenda": 0,
        "modality": "video",
        "status": status,
        "sections": seal_json(row, "sections", {"text": f"Session {number}."}, key),
        "created_at": moment,
        "updated_at": moment,
        "signed_at": moment if status == "signed" else None,
        "version": 1,
    }


def _sign(row, key):
    """Sign a note: return the row of its signature."""
    note = unseal_note(Note(**row), key)
    by, moment = row["author_id"], row["signed_at"]
    signature = make_signature(note, "author", by, "coach", "Europe/London", moment)
    row["sha256"] = signature.digest
    return signature_row(signature)


def _screening(number):
    moment = now() - timedelta(minutes=number)
    answers = {"sleep": number % 3}
    return moment, new_id(), ScreeningRecorded(None, moment, answers, asked_alone=True)


def _hold(screening, number, *, released):
    moment, hold_id = now() - timedelta(minutes=number), new_id()
    reasons = [{"item": "sleep", "level": 2, "screening": str(screening[1])}]
    yield moment, hold_id, HoldOpened("care", reasons)
    if released:
        yield moment + timedelta(seconds=30), new_id(), HoldReleased(hold_id, "Steady.")


def _append(actor, key, current, facts):
    """Build a client's next safety events, in order of time, and the state after them."""
    rows = []
    for moment, event_id, fact in sorted(facts, key=lambda one: one[0]):
        new, current = seal_events(current, key, actor.id, moment, [(event_id, fact)])
        rows += new
    return rows, current


def _task(actor, client_id, key, number, *, completed):
    moment, task_id = now() - timedelta(minutes=number), new_id()
    return {
        "id": task_id,
        "client_id": client_id,
        "kind": seal_code("follow_up", "kind", task_id, "recheck", key),
        "due_at": moment,
        "assigned_to": actor.id,
        "origin_kind": "screening",
        "created_at": moment,
        "created_by": actor.id,
        "completed_at": moment if completed else None,
        "completed_by": actor.id if completed else None,
        "version": 1,
    }


def _assignment(actor, case_id, client_id, handout_version_id, number, *, channel="portal"):
    moment = now() - timedelta(minutes=number)
    return {
        "id": new_id(),
        "case_id": case_id,
        "client_id": client_id,
        "handout_version_id": handout_version_id,
        "position": number + 1,
        "stage": "steady",
        "channel": channel,
        "assigned_at": moment,
        "assigned_by": actor.id,
        "read_at": moment + timedelta(seconds=20),
        "version": 1,
    }


def _plan(actor, client_id, key, seq, number):
    moment = now() - timedelta(minutes=number)
    row = SafetyPlan(id=new_id(), client_id=client_id)
    content = {"kind": "exit", "change": "written", "answers": {}, "note": "", "shown_on": None}
    return {
        "id": row.id,
        "client_id": client_id,
        "seq": seq,
        "created_at": moment,
        "created_by": actor.id,
        "review_on": moment.date(),
        "content": seal_json(row, "content", content, key),
    }


def _contact(actor, client_id, key, number):
    moment = now() - timedelta(minutes=number)
    row = Contact(id=new_id(), client_id=client_id)
    content = {"method": None, "cancelled_by": None, "words": ""}
    return {
        "id": row.id,
        "client_id": client_id,
        "kind": ("contact", "no_show")[number % 2],
        "happened_at": moment,
        "recorded_at": moment,
        "recorded_by": actor.id,
        "content": seal_json(row, "content", content, key),
    }


def _insert(model, rows):
    db.session.execute(sa.insert(model), rows)


def caseload(actor, count, since=0):
    """Insert `count` open cases for a coach, each with a hold, screening, draft, signed note, follow-up and handout."""
    moment = now()
    ids = [(new_id(), new_id()) for _ in range(count)]
    numbered = list(enumerate(ids, since))
    with transaction():
        handout_version_id = get_handout_version("better-nights").handout_version_id
        _insert(
            Client,
            [
                {
                    "id": client_id,
                    "name": f"Client {n}",
                    "preferred_name": "Client",
                    "pronouns": "",
                    "consent_method": "",
                    "created_at": moment,
                    "created_by": actor.id,
                    "version": 1,
                }
                for n, (client_id, _) in numbered
            ],
        )
        _insert(
            ClientKey,
            [
                {
                    "client_id": client_id,
                    "wrapped": new_wrapped_key(client_id),
                    "wrapped_by": wrapping_key_id(),
                }
                for client_id, _ in ids
            ],
        )
        _insert(
            CareTeamMember,
            [
                {"user_id": actor.id, "client_id": client_id, "starts_at": moment}
                for client_id, _ in ids
            ],
        )
        _insert(
            Case,
            [
                {
                    "id": case_id,
                    "number": f"C-1999-{n:04d}",
                    "client_id": client_id,
                    "coach_id": actor.id,
                    "status": "open",
                    "stage": ("steady", "rebuild")[n % 2],
                    "stage_since": moment,
                    "opened_at": moment,
                    "updated_at": moment,
                    "goal": "undecided",
                    "version": 1,
                }
                for n, (client_id, case_id) in numbered
            ],
        )
        keys = {client_id: get_client_key(client_id) for client_id, _ in ids}
        for status in ("draft", "signed"):
            _insert(
                Note,
                [
                    _note(actor, case, client, keys[client], n, status)
                    for n, (client, case) in numbered
                ],
            )
        events, states = [], []
        for n, (client_id, _) in numbered:
            screening = _screening(n)
            facts = [screening, *_hold(screening, n, released=False)]
            none = CurrentSafety(0, NO_TAG, DerivedState())
            rows, current = _append(actor, keys[client_id], none, facts)
            events += rows
            states.append({"client_id": client_id, **seal_state(current, keys[client_id])})
            add_marks(list_marked(current.state, client_id), client_id)
        _insert(SafetyEvent, events)
        _insert(ClientSafety, states)
        _insert(
            FollowUp,
            [_task(actor, client, keys[client], n, completed=False) for n, (client, _) in numbered],
        )
        _insert(
            Assignment,
            [
                _assignment(actor, case, client, handout_version_id, n, channel="print")
                for n, (client, case) in numbered
            ],
        )


def history(actor, made, count, since=0):
    """Insert `count` events of every kind for one case."""
    case_id, client_id = made.case_id, made.client_id
    key, numbers = get_client_key(client_id), range(since, since + count)
    with transaction():
        handout_version_id = get_handout_version("better-nights").handout_version_id
        notes = [_note(actor, case_id, client_id, key, n, "signed") for n in numbers]
        signatures = [_sign(row, key) for row in notes]
        _insert(Note, notes)
        _insert(NoteSignature, signatures)
        screenings = {n: _screening(n) for n in numbers}
        facts = [*screenings.values()]
        facts += [fact for n in numbers for fact in _hold(screenings[n], n, released=True)]
        before = get_current_safety(key)
        rows, current = _append(actor, key, before, facts)
        _insert(SafetyEvent, rows)
        if before.seq:
            db.session.execute(
                sa.update(ClientSafety)
                .where(ClientSafety.client_id == client_id)
                .values(seal_state(current, key))
            )
        else:
            _insert(ClientSafety, [{"client_id": client_id, **seal_state(current, key)}])
        _insert(FollowUp, [_task(actor, client_id, key, n, completed=True) for n in numbers])
        _insert(Contact, [_contact(actor, client_id, key, n) for n in numbers])
        next_seq = 1 + db.session.scalar(
            sa.select(sa.func.count()).where(SafetyPlan.client_id == client_id)
        )
        _insert(
            SafetyPlan,
            [_plan(actor, client_id, key, seq, n) for seq, n in enumerate(numbers, next_seq)],
        )
        _insert(
            Assignment,
            [_assignment(actor, case_id, client_id, handout_version_id, n) for n in numbers],
        )
        _insert(
            CaseEvent,
            [
                {
                    "id": new_id(),
                    "case_id": case_id,
                    "client_id": client_id,
                    "kind": "moved",
                    "from_stage": "rebuild",
                    "to_stage": "steady",
                    "occurred_at": now() - timedelta(minutes=n),
                    "recorded_by": actor.id,
                }
                for n in numbers
            ],
        )
