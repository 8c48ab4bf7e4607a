"""Pages of bulk assignments."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, runtime
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.bulk_assignments.models import BulkAssignment, BulkAssignmentItem
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.queries import get_handout_version
from tests.domain.dashboard import bulk_rows
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements, forms_in

SLUG = "my-limits"
CHOOSE, GIVE = f"/handouts/{SLUG}/bulk-assign", f"/handouts/{SLUG}/bulk-assignments"


@pytest.fixture
def team(team, monkeypatch):
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    return team


@pytest.fixture
def desk(app, team):
    return StaffBrowser(app, team["coach"])


@pytest.fixture
def cases(team):
    """Make three clients: one steady in the first stage, one in a hold, one who has the handout."""
    made = [builders.case(team["coach"], name) for name in ("Ana Brandt", "Bo Castell", "Cy Dorn")]
    for one in made:
        builders.screen(team["coach"], one.client_id)
    builders.screen(team["coach"], made[1].client_id, fear_at_home="concern")
    with transaction():
        assign_handout(
            team["coach"],
            lock_case(team["coach"], made[2].case_id),
            SLUG,
            message="",
            channel="print",
            confirmed=True,
        )
    return made


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))


def parts(page):
    """Split a page into its panels by heading id."""
    found = re.split(r"<h2 id=\"h-", page)[1:]
    return {one.partition('"')[0]: one for one in found}


def look(desk, **changed):
    """Select all three and continue to the confirm page."""
    sent = desk.send(CHOOSE, **({"all": "yes", "channel": "print"} | changed))
    assert sent.status_code == 200, sent.get_data(as_text=True)
    return sent.get_data(as_text=True)


def confirmation(desk, page):
    """Read the form of the confirm page."""
    fields: dict = {name: [] for name in re.findall(r'<input[^>]*name="(\w+)"', page)}
    for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page):
        fields[name].append(value)
    return {name: values for name, values in fields.items() if values}


@pytest.mark.slow
def test_choose_page_preselects_neither_client_nor_channel_and_validates(desk, cases):
    page = desk.text(CHOOSE)
    assert "All on this list (3)" in page
    assert "channel" not in desk.form(CHOOSE).fields
    assert "checked" not in page.split('id="cases"')[1].split("</fieldset>")[0]
    assert "Safety hold" in page
    nothing = desk.send(CHOOSE, channel="print")
    assert nothing.status_code == 422
    assert "Choose at least one client." in nothing.get_data(as_text=True)
    pigeon = desk.send(CHOOSE, all="yes", channel="pigeon")
    assert pigeon.status_code == 422
    assert "Choose a channel." in pigeon.get_data(as_text=True)
    past = desk.send(CHOOSE, all="yes", channel="print", due_on="2020-01-01")
    assert past.status_code == 422
    assert "Choose a day this week or later" in past.get_data(as_text=True)
    assert "No open case in this stage." in desk.text(f"{CHOOSE}?stage=repair")


def test_confirm_page_groups_clients_with_reasons(desk, cases):
    found = parts(look(desk))
    assert "Ana Brandt" in found["caution"]
    assert "It belongs to Rebuild" in found["caution"]
    assert "Bo Castell" in found["blocked"]
    assert "A safety hold is open" in found["blocked"]
    assert "Cy Dorn" in found["blocked"]
    assert "already has this handout" in found["blocked"]
    assert "eligible" not in found
    assert count(BulkAssignment) == 0


@pytest.mark.slow
def test_bulk_assignment_from_selection_to_end(desk, cases, team):
    fields = confirmation(desk, look(desk, message="Take your time."))
    sent = desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"})
    assert sent.status_code == 303
    again = desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"})
    assert again.location == sent.location
    assert (count(BulkAssignment), count(BulkAssignmentItem)) == (1, 3)
    waiting = desk.get(sent.location)
    page = waiting.get_data(as_text=True)
    assert 'data-progress="running"' in page
    assert "0 assigned, 2 skipped, 1 waiting." in page
    assert '<progress class="meter" value="2" max="3"' in page
    with at(now() + timedelta(minutes=11)):
        late = desk.get(sent.location)
    assert "This is taking longer than usual" in late.get_data(as_text=True)
    outbox.sweep()
    done = desk.get(sent.location)
    assert 'data-progress="done"' in done.get_data(as_text=True)
    found = parts(done.get_data(as_text=True))
    assert "1 assigned, 2 skipped, 0 waiting." in found["progress"]
    assert "Ana Brandt" in found["assigned"]
    assert "A hold is open." in found["skipped"]
    assert "Take your time." in desk.text(f"/case/{cases[0].number}/handouts")
    assert count(Assignment) == 2


@pytest.mark.slow
def test_start_without_confirmation_is_refused_and_keeps_the_selection(desk, cases):
    fields = confirmation(desk, look(desk, message="Take your time."))
    sent = desk.post(GIVE, fields)
    assert sent.status_code == 409
    page = sent.get_data(as_text=True)
    assert "None of the clients you chose can get this handout now." in page
    kept = forms_in(page, CHOOSE)[0].fields
    assert sorted(kept["cases"]) == sorted(str(case.case_id) for case in cases)
    assert kept["message"] == ["Take your time."]
    assert (
        "This handout needs caution, and nobody confirmed that they had read the reasons." in page
    )
    assert count(BulkAssignment) == 0


@pytest.mark.slow
def test_start_recalled_version_is_refused(desk, cases, team):
    fields = confirmation(desk, look(desk))
    with transaction():
        recall(
            team["supervisor"], get_handout_version(SLUG).handout_version_id, "A number is wrong."
        )
    assert (
        desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"}).status_code
        == 409
    )
    assert desk.get(CHOOSE).status_code == 409
    assert count(BulkAssignment) == 0


@pytest.mark.slow
def test_progress_page_is_visible_to_creator_and_supervisor_only(app, desk, cases, team):
    fields = confirmation(desk, look(desk))
    sent = desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"})
    assert "Ana Brandt" in StaffBrowser(app, team["supervisor"]).text(sent.location)
    stranger = StaffBrowser(app, team["coach2"])
    assert stranger.get(sent.location).status_code == 404
    assert "Ana Brandt" not in stranger.text(CHOOSE)
    theirs = stranger.post(GIVE, fields | stranger.token | stranger.key_for(CHOOSE))
    assert theirs.status_code == 404
    admin = StaffBrowser(app, team["admin"])
    assert admin.get(sent.location).status_code == admin.get(CHOOSE).status_code == 403
    assert count(BulkAssignment) == 1


@pytest.mark.slow
def test_pages_run_a_fixed_number_of_statements(app, desk, team):
    counts, path = [], "/handouts/help-right-now/bulk-assign"
    for more, since in ((10, 0), (190, 10)):
        bulk_rows.caseload(team["coach"], more, since=since)
        desk.text(path)
        with Statements() as choosing:
            desk.text(path)
        form = desk.form(path).fields | {"all": "yes", "channel": "print"}
        desk.post(path, form)
        with Statements() as confirming:
            page = desk.post(path, form).get_data(as_text=True)
        assert page.count('name="cases"') == more + since
        counts.append((len(choosing.seen), len(confirming.seen)))
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_suspended_handouts_are_shown_on_every_related_page(app, desk, team):
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id)
    with transaction():
        assign_handout(
            team["coach"],
            lock_case(team["coach"], made.case_id),
            "first-days-pause",
            message="",
            channel="portal",
        )
    assert "No suspended handouts." in desk.text("/handouts/suspended")
    assert "for now" not in desk.text("/today").split("</h1>")[1].split("</p>")[0]
    case = f"/case/{made.number}"
    raised = desk.send(f"{case}/details", f"{case}/flags", kind="unsafe_delivery")
    words = "1 handout is suspended"
    assert words in desk.text(raised.location.partition("#")[0])
    screened = desk.send(f"{case}/screening", fear_at_home="concern")
    assert screened.location.endswith("/hold")
    for path in (screened.location, f"{case}/screening", case, f"{case}/handouts"):
        assert words in desk.text(path), path
    page = desk.text("/handouts/suspended")
    assert "Ines Okafor" in page
    assert "The first days: pause before you act" in page
    assert "A safety hold is open" in page
    assert "One handout is suspended" in desk.text("/today")
    assert "Ines Okafor" not in StaffBrowser(app, team["coach2"]).text("/handouts/suspended")
    assert StaffBrowser(app, team["admin"]).get("/handouts/suspended").status_code == 403


@pytest.mark.slow
def test_suspended_page_is_paged_at_constant_cost(desk, team, monkeypatch):
    coach, counts = team["coach"], []
    for more, since in ((10, 0), (110, 10)):
        bulk_rows.caseload(coach, more, since=since)
        desk.text("/handouts/suspended")
        with Statements() as asked:
            page = desk.text("/handouts/suspended")
        counts.append(len(asked.seen))
    assert counts[0] == counts[1]
    assert "Each page covers 100 open cases" in page
    following = page.split('rel="next"')[0].rpartition('href="')[2].split('"')[0]
    rest = desk.text(following.replace("&amp;", "&"))
    assert "First page" in rest
    assert "Next page" not in rest
