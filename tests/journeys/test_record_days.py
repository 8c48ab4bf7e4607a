"""Days in the life of a record, in a real browser: notes go back and forth, duplicates are merged, two people write."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pikepdf
import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from caseapp.core.actor import operator
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.staffing.members import set_cosignature
from caseapp.domain.staffing.queries import lock_member
from tests.journeys.page_waits import saving
from tests.journeys.test_account import let_time_pass
from tests.journeys.test_browser_day import Person
from tests.journeys.test_form_drafts import BACK, type_name
from tests.journeys.test_writing_a_note import load_note, sign_in
from tests.support import builders, staff
from tests.support.processes import watched

pytestmark = [
    pytest.mark.journey,
    # The pages are the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def people(app, live, browser):
    """Give the browsers of a coach whose notes need a co-signature and of the supervisor, both signed in."""
    team = staff.team()
    with transaction():
        set_cosignature(operator(), lock_member(team["coach"].id), needed=True)
    found = {who: Person(browser, live, looking=True) for who in ("coach", "supervisor")}
    for who, person in found.items():
        person.sign_in(team[who])
    return team["coach"], found["coach"], found["supervisor"]


def test_note_is_returned_completed_cosigned_and_moved(people):
    actor, coach, supervisor = people
    case, other = builders.case(actor, "Ines Okafor"), builders.case(actor, "Tom Vale")
    note_id = builders.note(actor, case.case_id)
    supervisor.go("/today")
    expect(supervisor.page.get_by_text("Notes waiting for your signature")).to_be_visible()
    supervisor.go(f"/note/{note_id}")
    supervisor.follow("Co-sign or return")
    supervisor.page.locator("#comment").fill("Say who was in the room.")
    supervisor.see("a note to co-sign")
    supervisor.press("Return the note")
    supervisor.page.get_by_text("It was returned to Marta Lindqvist.").wait_for()
    coach.go("/today")
    expect(coach.page.get_by_text("Returned notes")).to_be_visible()
    coach.go(f"/note/{note_id}")
    expect(coach.page.get_by_text("Say who was in the room.")).to_be_visible()
    coach.follow("Correct this note or add to it")
    coach.page.get_by_label("What it is").select_option("addition")
    coach.page.get_by_label("What is right, or what is missing").fill("Her sister was.")
    coach.press("Sign the addendum")
    coach.page.wait_for_url(f"**/note/{note_id}*")
    supervisor.go(f"/note/{note_id}")
    supervisor.follow("Co-sign or return")
    expect(supervisor.page.get_by_text("Her sister was.")).to_be_visible()
    supervisor.press("Co-sign", exact=True)
    supervisor.page.get_by_text("supervisor, co-signed it").wait_for()
    # It was about somebody else.
    coach.go(f"/note/{note_id}")
    coach.follow("Filed under the wrong client? Move it")
    coach.follow(re.compile("Move here.*Tom Vale"))
    coach.page.get_by_label("Reason").fill("I had the wrong case open.")
    coach.see("a note to move")
    coach.press("Move the note")
    coach.page.get_by_text("Moved here from another record").first.wait_for()
    expect(coach.page.get_by_text("supervisor, co-signed it")).to_be_visible()
    coach.go(f"/case/{case.number}/notes")
    expect(coach.page.get_by_text("A note was filed here in error and moved by")).to_be_visible()
    assert "Her sister" not in coach.page.content()
    moved = load_note(actor, note_id)
    assert (moved.client_id, moved.is_as_signed) == (other.client_id, True)


def test_duplicates_are_merged_and_the_client_gets_a_copy_with_the_earlier_record(people):
    actor, coach, supervisor = people
    stays, gone = (
        builders.case(actor, "Ines Okafor"),
        builders.client(actor, "Ines Okafor", agreed=True),
    )
    for client_id, words in ((gone, "Wakes at four."), (stays.client_id, "Sleeps badly.")):
        builders.screen(actor, client_id, sleep="concern", comment=words)
    supervisor.go(f"/client/{gone}/merge")
    supervisor.follow("Compare with the record of Ines Okafor")
    expect(supervisor.page.get_by_text("Are both records about the same client?")).to_be_visible()
    supervisor.page.get_by_label("How do you know").fill("She says that she called twice.")
    supervisor.page.get_by_label("I know of the decision").check()
    supervisor.press("Merge the records")
    supervisor.page.wait_for_url(f"**/case/{stays.number}/details*")
    supervisor.follow("Earlier records")
    expect(supervisor.page.get_by_text("Wakes at four.")).to_be_visible()
    expect(supervisor.page.get_by_text("Sleeps badly.")).to_have_count(0)

    coach.go(f"/case/{stays.number}/details")
    coach.follow("Disclosures")
    coach.follow("Make a copy")
    coach.page.get_by_label("How Ines gets it").select_option("in_person")
    passphrase = coach.page.locator(".code").inner_text()
    coach.press("Make the copy")
    coach.page.get_by_text("Ask with nobody else present").wait_for()
    passphrase = coach.page.locator(".code").inner_text()
    coach.page.get_by_label(re.compile("I asked .* with nobody else present")).check()
    with coach.page.expect_download() as download:
        coach.press("Make the copy")
    copy = download.value.path()
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(copy)
    with pikepdf.open(copy, password=passphrase) as document:
        record = json.loads(document.attachments["record.json"].get_file().read_bytes())
    texts = [each["text"] for part in record["earlier_records"] for each in part["entries"]]
    assert any("Wakes at four." in text for text in texts)
    coach.go(f"/case/{stays.number}/disclosures")
    expect(coach.page.get_by_text("The client, in person")).to_have_count(1)


def stored(actor, made):
    db.session.rollback()
    found = get_client_record(actor, made.client_id)
    return found.pronouns, found.safe.code_word


def test_two_people_with_the_same_form_overwrite_nothing(people):
    actor, coach, supervisor = people
    made = builders.case(actor, "Ines Okafor")
    for person in (coach, supervisor):
        person.go(f"/case/{made.number}/details")
    supervisor.page.get_by_label("Pronouns").fill("they/them")
    supervisor.page.get_by_label("Code word").fill("Stepsister")
    supervisor.press("Save client")
    supervisor.page.get_by_text("Saved.").first.wait_for()
    coach.page.get_by_label("Code word").fill("Blue sky")
    coach.press("Save client")
    coach.page.get_by_text("Saved in the meantime: Stepsister").wait_for()
    # What only the other one changed is taken over, and what both changed is for whoever is second to decide.
    expect(coach.page.get_by_label("Pronouns")).to_have_value("they/them")
    expect(coach.page.get_by_label("Code word")).to_have_value("Blue sky")
    assert stored(actor, made) == ("they/them", "Stepsister")
    coach.press("Save client")
    coach.page.get_by_text("Saved.").first.wait_for()
    assert stored(actor, made) == ("they/them", "Blue sky")


def find_process(folder):
    """Find the main process of the browser whose profile is in a folder."""
    marks = f"--user-data-dir={folder}".encode(), b"--type="
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes()
        except ProcessLookupError:
            continue
        if marks[0] in arguments and marks[1] not in arguments:
            return int(path.parent.name)
    raise AssertionError("the browser has no process")


def test_words_are_back_after_the_browser_was_killed(
    app, live, page, browser_type, browser_type_launch_args, tmp_path
):
    actor = staff.team()["coach"]
    note_id = builders.draft(actor, builders.case(actor).case_id)
    folder = tmp_path / "profile"
    killed = browser_type.launch_persistent_context(folder, **browser_type_launch_args)
    note = killed.pages[0]
    sign_in(note, live)
    note.goto(f"{live}/note/{note_id}")
    with saving(note, "Ring on Tuesday."):
        note.get_by_label("Plan", exact=True).fill("Ring on Tuesday.")
    intake = killed.new_page()
    intake.goto(f"{live}/cases/new")
    type_name(intake)
    pid = find_process(folder)
    with watched(pid) as has_ended:
        os.kill(pid, signal.SIGKILL)
        assert has_ended()
    sign_in(page, live)
    page.goto(f"{live}/note/{note_id}")
    expect(page.get_by_label("Plan", exact=True)).to_have_value("Ring on Tuesday.")
    page.goto(f"{live}/cases/new")
    expect(page.get_by_text(BACK)).to_be_visible()
    expect(page.locator("#name")).to_have_value("Ines Okafor")


def press_and_confirm(person, button):
    """Press a button that asks who somebody is, answer with the password; the form is then sent."""
    person.press(button)
    expect(person.page.get_by_role("heading", level=1)).to_have_text("Confirm that it’s you")
    # The browser reports the status 403 of that page.
    person.look.said.clear()
    person.page.get_by_label("Password").fill(staff.PASSWORD)
    person.press("Continue")


def test_record_is_erased_by_two_people_who_are_asked_who_they_are(people):
    actor, coach, supervisor = people
    made = builders.case(actor, "Ines Okafor")
    with transaction() as session:
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    let_time_pass()
    coach.go(f"/case/{made.number}/details")
    coach.follow("Erase this record")
    coach.page.get_by_label("Why the record should be erased").select_option("client")
    press_and_confirm(coach, "Request erasure")
    coach.page.get_by_text("requested the erasure").wait_for()
    coach.see("a record to erase")
    supervisor.go("/erasures")
    supervisor.follow(made.number)
    supervisor.see("a request to erase a record")
    press_and_confirm(supervisor, "Erase the record")
    expect(supervisor.page.get_by_role("heading", level=1)).to_have_text("Certificate of erasure")
    supervisor.see("a certificate of erasure")
    expect(supervisor.page.get_by_text("Save the certificate as a PDF")).to_be_visible()
    assert "Okafor" not in supervisor.page.content()
    for person in (coach, supervisor):
        assert person.go(f"/case/{made.number}").status == 404
