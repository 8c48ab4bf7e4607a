import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.settings import ROOT
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.http.guard import LOGGED_AS, LOGGED_WHEN_DONE
from tests.guarantees import sample_data as w
from tests.support import builders

WORDS = w.PROCESS_NOTE
# What knows of process notes beside package and page: nothing that lists, exports, prints, logs or sends anything.
KNOWING = {
    "caseapp/domain/keys/purposes.py",
    "caseapp/domain/merges/operations.py",
    "caseapp/domain/erasure/treatments.py",
    "caseapp/domain/merges/treatments.py",
    "caseapp/domain/models.py",
    "caseapp/http/guard.py",
    "caseapp/web/__init__.py",
    "templates/notes/case_notes.html",
}


@pytest.fixture
def case(coach):
    return builders.case(coach.actor, "Ines Okafor")


def path_of(case):
    return f"/case/{case.number}/process-notes"


@pytest.mark.slow
def test_note_is_saved_and_found_from_the_page_of_notes(coach, supervisor, case):
    path = path_of(case)
    assert f'href="{path}"' in coach.text(f"/case/{case.number}/notes")
    form = coach.form(path)
    answer = coach.send(path, words=WORDS)
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    page = coach.text(path)
    assert "Saved. Only you can see it." in page
    assert WORDS in page
    assert "Last saved today" in page
    late = coach.post(path, form.fields | {"words": "From another window."})
    assert late.status_code == 412
    assert WORDS in late.get_data(as_text=True)
    assert "From another window." in late.get_data(as_text=True)
    assert WORDS not in supervisor.text(path)
    assert coach.send(path, words="x" * 50_001).status_code == 422


def test_no_log_tells_a_process_note_from_a_session_note(coach, admin, app, case, logged):
    """Whoever reads the logs sees somebody who opens a new note and discards its words."""
    path = path_of(case)
    saved = coach.send(path, words=WORDS)
    coach.browser.post("/drafts", data=coach.form(path).fields | {"words": f"{WORDS} Again."})
    coach.text("/case/C-1999-0001/process-notes", 404)
    admin.text(path, 403)
    coach.text(path)
    lines = logged()
    assert "notes.new_note_page" in lines
    assert "form_drafts.discard" in lines
    assert "notes.create" not in lines
    for names in (LOGGED_AS, LOGGED_WHEN_DONE):
        assert {*names, *names.values()} <= app.view_functions.keys()
    db.session.rollback()
    of_saving = AuditEvent.request_id == saved.headers["X-Request-Id"]
    assert db.session.scalars(sa.select(AuditEvent).where(of_saving)).all() == []
    events = db.session.execute(sa.select(AuditEvent)).scalars().all()
    told = [f"{one.action} {one.object_kind} {one.outcome} {one.details}".lower() for one in events]
    for text in (lines.lower(), *told):
        assert "process" not in text
        assert "heron" not in text
    assert {
        "case.read case done {}",
        "note.write notes new_note_page refused {'reasons': ['not_found']}",
    } <= {*told}
    assert not any("note.write" in text and "refused" not in text for text in told)
    # What was typed and not sent is kept for its author only.
    draft = db.session.scalars(sa.select(FormDraft)).one()
    assert (draft.author_id, draft.ring_number) == (coach.actor.id, 1)


def test_nothing_else_knows_of_process_notes():
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("caseapp", "templates")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in {".py", ".html", ".txt", ".js"}
        and "process_note" not in path.as_posix()
        and "process_note" in path.read_text(encoding="utf-8")
    }
    assert found == KNOWING
