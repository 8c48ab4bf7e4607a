import pytest

from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_supervisor_returns_a_note_and_cosigns_it_and_pages_show_both_signatures(app, team):
    coach, supervisor, admin = (
        StaffBrowser(app, team[who]) for who in ("coach", "supervisor", "admin")
    )
    person, choices = f"/people/{team['coach'].id}", "/notes/co-signatures"
    answer = admin.send(person, f"{person}/cosignature", needs_cosignature="yes")
    assert answer.status_code == 303
    assert choices in supervisor.text("/notes/co-signing")
    choice = f"{choices}/{team['coach'].id}"
    for needed in ("no", "yes"):
        assert supervisor.send(choices, choice, needs_cosignature=needed).status_code == 303
        shown = " ".join(supervisor.text(choices).split())
        assert f'<option value="{needed}" selected' in shown
    assert f"{choices}/{team['coach2'].id}" not in supervisor.text(choices)
    assert f"{choices}/{team['coach2'].id}" in admin.text(choices)
    assert coach.get(choices).status_code == 403
    case = builders.case(team["coach"], "Ines Okafor")
    note_id = builders.note(team["coach"], case.case_id)
    page, note = f"/note/{note_id}/co-sign", f"/note/{note_id}"
    assert "Notes waiting for your signature" in supervisor.text("/today")
    assert page in supervisor.text("/today")
    assert page in supervisor.text("/notes/co-signing")
    assert page in supervisor.text(note)
    assert page not in coach.text(note)
    assert "needs a co-signature" in coach.text(f"/case/{case.number}/notes")
    back = f"/note/{note_id}/return"
    refused = supervisor.send(page, back, comment="No.")
    assert "in 10 characters or more" in refused.get_data(as_text=True)
    answer = supervisor.send(page, back, comment="Say who was in the room.")
    assert answer.headers["Location"] == note
    assert "Returned notes" in coach.text("/today")
    assert "Say who was in the room." in coach.text(note)
    late = supervisor.form(page)
    coach.send(f"{note}/addendum", kind="addition", text="Her sister was.")
    assert supervisor.post(page, late.fields).status_code == 412
    late, asked = supervisor.form(page), f"{note}/correction"
    assert coach.send(asked, words="I was alone.").status_code == 303
    refused = supervisor.post(page, late.fields)
    assert refused.status_code == 409
    for shown in (refused.get_data(as_text=True), supervisor.text(page)):
        assert "I was alone." in shown
        assert f'href="{asked}"' in shown
    supervisor.send(asked, f"{asked}/decline", reason="Her sister says so too.")
    answer = supervisor.send(page)
    assert answer.headers["Location"] == note
    shown = coach.text(note)
    assert "coach, as the author" in shown
    assert "supervisor, co-signed it" in shown
    assert "Say who was in the room." in shown
    assert "already been co-signed" in supervisor.text(page)
