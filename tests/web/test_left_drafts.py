import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.domain.audit.models import AuditEvent
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser

LEFT = "/notes/left"


@pytest.mark.slow
def test_supervisor_reads_and_files_a_draft_and_every_page_says_it_was_never_signed(app, team):
    coach, supervisor = (StaffBrowser(app, team[who]) for who in ("coach", "supervisor"))
    leaver = staff.add("leaver", role="coach")
    assert "no drafts of people who have left" in supervisor.text(LEFT)
    made = builders.case(team["coach"], "Ines Okafor")
    note_id = builders.left_draft(
        team["coach"], leaver, made.case_id, levels={"sleep": 1}, comment="Tired."
    )
    page = f"{LEFT}/{note_id}"
    assert LEFT in supervisor.text("/board")
    assert page in supervisor.text(LEFT)
    assert coach.get(LEFT).status_code == 403
    assert coach.get(page).status_code == 403
    shown = supervisor.text(page)
    for words in (f"{leaver.name} never signed this", builders.SECTIONS["plan"], "Tired."):
        assert words in shown
    db.session.rollback()
    # The list is an event of its own, and so is a refusal.
    is_read = sa.and_(
        AuditEvent.action == "draft.read",
        AuditEvent.object_id == note_id,
        AuditEvent.outcome == "done",
    )
    [read] = db.session.scalars(sa.select(AuditEvent).where(is_read))
    assert (read.actor_id, read.object_id, read.client_id) == (
        supervisor.actor.id,
        note_id,
        made.client_id,
    )
    refused = supervisor.send(page, reason="Gone.")
    assert refused.status_code == 422
    assert builders.SECTIONS["plan"] in refused.get_data(as_text=True)
    answer = supervisor.send(page, reason="She left in May; it is all there is.")
    assert answer.location == f"/note/{note_id}"
    assert supervisor.get(page).status_code == 404
    for browser in (coach, supervisor):
        shown = browser.text(f"/note/{note_id}")
        assert f"Written by {leaver.name}, who never signed it." in shown
        assert "She left in May; it is all there is." in shown
        assert "as the author" not in shown
        assert "Filed unsigned" in browser.text(f"/case/{made.number}/notes")
        assert "Filed unsigned" in browser.text(f"/case/{made.number}/timeline")
