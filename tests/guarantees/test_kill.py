"""The server is killed while notes are being saved: every acknowledged save is complete afterwards."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection, HTTPException

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import SCOPES
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.stored_log_verification import verify_log
from caseapp.domain.auth.operations import create_token
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.operations import create_note
from caseapp.domain.notes.queries import lock_case_for_note
from caseapp.domain.notes.schemas import NewNote
from tests.support import builders, staff
from tests.support.depth import times
from tests.support.patience import PATIENCE
from tests.support.served import serving

pytestmark = pytest.mark.both

KILLS = times(1)
DRAFTS = 3
WORDS = "Handover at the library, then soup. " * 40


@dataclass
class Draft:
    """What the server has acknowledged about one draft, and the save that was under way."""

    note_id: str
    version: int = 1
    text: str = ""
    sent: str | None = None
    count: int = 0


@dataclass
class StaffBrowser:
    """Everything that the clients know, outside the server and its database."""

    token: str
    case_id: str
    drafts: list[Draft]
    started: dict[str, str] = field(default_factory=dict)
    pending: str | None = None
    acks: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    surprises: list[str] = field(default_factory=list)

    def call(self, port, method, path, body=None, **headers):
        """Send one request; nobody answering raises OSError or HTTPException."""
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request(
                method,
                f"/api/v1{path}",
                None if body is None else json.dumps(body),
                {
                    "Authorization": f"Bearer {self.token}",
                    "Content-Type": "application/json",
                    **{name.replace("_", "-"): value for name, value in headers.items()},
                },
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def save(self, port, draft):
        """Save one draft once, and write down what was acknowledged."""
        draft.count += 1
        draft.sent = f"Save {draft.count}. {WORDS}".strip()
        status, body = self.call(
            port,
            "PATCH",
            f"/notes/{draft.note_id}",
            {"sections": {"data": draft.sent}},
            If_Match=f'"{draft.version}"',
        )
        if status == 200:
            draft.version, draft.text, draft.sent = body["version"], draft.sent, None
            self.acks.release()
        else:
            self.surprises.append(f"PATCH {status}: {body}")

    def start(self, port):
        """Start one note, with the key of a start that was never answered if there is one."""
        self.pending = self.pending or f"start-{len(self.started)}"
        new: dict = {
            "format": "free",
            "session_at": "2026-01-02T10:00:00Z",
            "sections": {"text": f"{self.pending} {WORDS}".strip()},
            "another": True,
        }
        status, body = self.call(
            port, "POST", f"/cases/{self.case_id}/notes", new, Idempotency_Key=self.pending
        )
        if status == 201:
            self.started[body["id"]] = new["sections"]["text"]
            self.pending = None
            self.acks.release()
        else:
            self.surprises.append(f"POST {status}: {body}")


def keep_writing(port, act):
    """Repeat `act` until the server no longer answers."""
    try:
        while True:
            act(port)
    except (OSError, HTTPException, ValueError):
        return


def write(desk, port):
    """Run several clients at once: one for each draft, and one that starts notes."""
    saves = [lambda port, draft=draft: desk.save(port, draft) for draft in desk.drafts]
    writers = [
        threading.Thread(target=keep_writing, args=(port, act)) for act in (*saves, desk.start)
    ]
    for writer in writers:
        writer.start()
    return writers


@pytest.fixture
def desk(app):
    coach = staff.add("coach")
    made = builders.case(coach)
    drafts = []
    for _ in range(DRAFTS):
        with transaction():
            note_id = create_note(
                coach,
                lock_case_for_note(coach, made.case_id),
                NewNote("dap", now() - timedelta(hours=1), 50, "phone", another=True),
            ).id
        drafts.append(Draft(str(note_id)))
    with transaction():
        _, token = create_token(operator(), "coach@practice.test", "kill", SCOPES)
    db.session.remove()
    return StaffBrowser(token, str(made.case_id), drafts)


@pytest.mark.fault
@pytest.mark.timeout(300 + 120 * KILLS)
def test_no_acknowledged_save_is_lost(desk, database_url, settings, tmp_path):
    before = db.session.scalar(sa.select(sa.func.count()).select_from(Note))
    db.session.remove()
    for number in range(KILLS):
        with serving(database_url, settings, tmp_path) as served:
            look(desk, served.port)
            writers = write(desk, served.port)
            # Each round dies at another moment of its load.
            for _ in range(9 + 7 * number % 20):
                assert desk.acks.acquire(timeout=PATIENCE), desk.surprises
        for writer in writers:
            writer.join(PATIENCE)
        assert desk.surprises == []
    with serving(database_url, settings, tmp_path) as served:
        look(desk, served.port)
    everything_is_whole(desk, before)


def look(desk, port):
    """Read every note back; a save under way is complete or absent, and the client continues from it."""
    for draft in desk.drafts:
        status, body = desk.call(port, "GET", f"/notes/{draft.note_id}")
        assert status == 200
        found = (body["version"], body["sections"]["data"])
        allowed = [(draft.version, draft.text)]
        if draft.sent:
            allowed.append((draft.version + 1, draft.sent))
        assert found in allowed
        draft.version, draft.text, draft.sent = *found, None
    if desk.pending:
        desk.start(port)
    for note_id, text in desk.started.items():
        status, body = desk.call(port, "GET", f"/notes/{note_id}")
        assert status == 200
        assert body["sections"]["text"] == text


def everything_is_whole(desk, before):
    """Check the database: no note twice, none without its key, one event for each version, and a whole log."""
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Note)) == before + len(
        desk.started
    )
    versions = {row.id: row.version for row in db.session.execute(sa.select(Note.id, Note.version))}
    written = dict(
        db.session.execute(
            sa.select(AuditEvent.object_id, sa.func.count())
            .where(AuditEvent.action == "note.write", AuditEvent.outcome == "done")
            .group_by(AuditEvent.object_id)
        ).all()
    )
    assert written == versions
    db.session.rollback()
    assert verify_log().faults == []
    if db.engine.dialect.name == "sqlite":
        assert db.session.scalar(sa.text("PRAGMA integrity_check")) == "ok"
