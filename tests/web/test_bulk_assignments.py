"""Giving one sheet to several, through real pages and forms."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign
from caseapp.domain.bulk_assignments.models import Giving, GivingItem
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.queries import edition_of
from tests.domain.dashboard import bulk_rows
from tests.support import builders, staff
from tests.support.staff_pages import Desk, Statements

SLUG = "my-limits"
CHOOSE, GIVE = f"/handouts/{SLUG}/give", f"/handouts/{SLUG}/givings?language=en"
HERE = f"{CHOOSE}?language=en"


@pytest.fixture
def team(app, monkeypatch):
    monkeypatch.setattr(outbox, "_hand_over", [])
    return staff.team()


@pytest.fixture
def desk(app, team):
    return Desk(app, team["coach"])


@pytest.fixture
def cases(team):
    """Make three clients: one steady in the first stage, one in a hold, one who has the sheet."""
    made = [builders.case(team["coach"], name) for name in ("Ana Brandt", "Bo Castell", "Cy Dorn")]
    for one in made:
        builders.screen(team["coach"], one.client_id)
    builders.screen(team["coach"], made[1].client_id, fear_at_home="concern")
    with transaction():
        assign(team["coach"], made[2].case_id, SLUG, line="", channel="print", confirmed=True)
    return made


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))


def parts(page):
    """Part a page by its panels: heading and text."""
    found = re.split(r"<h2 id=\"h-", page)[1:]
    return {one.partition('"')[0]: one for one in found}


def look(desk, **changed):
    """Choose all three and go on to the page that confirms."""
    sent = desk.send(CHOOSE, HERE, **({"all": "yes", "channel": "print"} | changed))
    assert sent.status_code == 200, sent.get_data(as_text=True)
    return sent.get_data(as_text=True)


def confirmation(desk, page):
    """Read the form of the page that confirms."""
    fields: dict = {name: [] for name in re.findall(r'<input[^>]*name="(\w+)"', page)}
    for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page):
        fields[name].append(value)
    return {name: values for name, values in fields.items() if values}


def test_nobody_is_ticked_and_all_is_a_plain_choice(desk, cases):
    page = desk.text(CHOOSE)
    assert "All on this list (3)" in page
    assert "checked" not in page.split('id="cases"')[1].split("</fieldset>")[0]
    assert "Safety hold" in page
    nothing = desk.send(CHOOSE, HERE, channel="print")
    assert nothing.status_code == 422
    assert "Choose at least one client." in nothing.get_data(as_text=True)
    pigeon = desk.send(CHOOSE, HERE, all="yes", channel="pigeon")
    assert pigeon.status_code == 422
    assert "Choose how the clients get it." in pigeon.get_data(as_text=True)
    past = desk.send(CHOOSE, HERE, all="yes", channel="print", due_on="2020-01-01")
    assert past.status_code == 422
    assert "Choose a day from this week on" in past.get_data(as_text=True)
    assert "No open case in this stage." in desk.text(f"{CHOOSE}?stage=repair")


def test_the_confirm_page_says_who_gets_it_and_who_not_and_why(desk, cases):
    found = parts(look(desk))
    assert "Ana Brandt" in found["care"]
    assert "It belongs to Rebuild" in found["care"]
    assert "Bo Castell" in found["out"]
    assert "A safety hold is open" in found["out"]
    assert "Cy Dorn" in found["out"]
    assert "already has this sheet" in found["out"]
    assert "fit" not in found
    assert count(Giving) == 0


def test_from_the_choice_to_the_end(desk, cases, team):
    fields = confirmation(desk, look(desk, line="Take your time."))
    sent = desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"})
    assert sent.status_code == 303
    again = desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"})
    assert again.location == sent.location
    assert (count(Giving), count(GivingItem)) == (1, 3)
    waiting = desk.get(sent.location)
    assert waiting.headers["Refresh"] == "5"
    page = waiting.get_data(as_text=True)
    assert "0 given, 2 left out, 1 waiting." in page
    assert '<progress class="meter" value="2" max="3"' in page
    with at(now() + timedelta(minutes=11)):
        late = desk.get(sent.location)
    assert "Refresh" not in late.headers
    assert "It takes longer than usual" in late.get_data(as_text=True)
    outbox.sweep()
    done = desk.get(sent.location)
    assert "Refresh" not in done.headers
    found = parts(done.get_data(as_text=True))
    assert "1 given, 2 left out, 0 waiting." in found["far"]
    assert "Ana Brandt" in found["given"]
    assert "A hold is open." in found["left_out"]
    assert "Take your time." in desk.text(f"/case/{cases[0].number}/handouts")
    assert count(Assignment) == 2


def test_without_a_tick_nobody_is_left_and_it_says_so(desk, cases):
    fields = confirmation(desk, look(desk))
    sent = desk.post(GIVE, fields)
    assert sent.status_code == 409
    page = sent.get_data(as_text=True)
    assert "None of those you chose can get this sheet like this." in page
    assert "It asked for care and was not confirmed." in page
    assert count(Giving) == 0


def test_a_version_recalled_meanwhile_is_not_given(desk, cases, team):
    fields = confirmation(desk, look(desk))
    with transaction():
        recall(team["supervisor"], edition_of(SLUG).edition_id, "A number is wrong.")
    assert (
        desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"}).status_code
        == 409
    )
    assert desk.get(CHOOSE).status_code == 409
    assert count(Giving) == 0


def test_it_is_hidden_from_others_and_shown_to_the_supervisor(app, desk, cases, team):
    fields = confirmation(desk, look(desk))
    sent = desk.post(GIVE, fields | {f"confirmed.{cases[0].case_id}": "later_stage"})
    assert "Ana Brandt" in Desk(app, team["supervisor"]).text(sent.location)
    stranger = Desk(app, team["coach2"])
    assert stranger.get(sent.location).status_code == 404
    assert "Ana Brandt" not in stranger.text(CHOOSE)
    theirs = stranger.post(GIVE, fields | stranger.token | {"once": "another"})
    assert theirs.status_code == 404
    admin = Desk(app, team["admin"])
    assert admin.get(sent.location).status_code == admin.get(CHOOSE).status_code == 403
    assert count(Giving) == 1


@pytest.mark.slow
def test_the_pages_ask_as_much_for_many_as_for_few(app, desk, team):
    counts, path = [], "/handouts/help-right-now/give"
    for more, since in ((10, 0), (190, 10)):
        bulk_rows.caseload(team["coach"], more, since=since)
        desk.text(path)
        with Statements() as choosing:
            desk.text(path)
        form = desk.form(path, f"{path}?language=en").fields | {"all": "yes", "channel": "print"}
        desk.post(f"{path}?language=en", form)
        with Statements() as confirming:
            page = desk.post(f"{path}?language=en", form).get_data(as_text=True)
        assert page.count('name="cases"') == more + since
        counts.append((len(choosing.seen), len(confirming.seen)))
    assert counts[0] == counts[1]


def test_what_rests_is_shown_after_a_screening_a_flag_and_on_its_own_page(app, desk, team):
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id)
    with transaction():
        assign(team["coach"], made.case_id, "first-days-pause", line="", channel="portal")
    assert "Nothing rests." in desk.text("/handouts/resting")
    assert "for now" not in desk.text("/today").split("</h1>")[1].split("</p>")[0]
    case = f"/case/{made.number}"
    raised = desk.send(f"{case}/details", f"{case}/flags", kind="unsafe_delivery")
    words = "1 sheet rests for now"
    assert words in desk.text(raised.location.partition("#")[0])
    screened = desk.send(f"{case}/screening", fear_at_home="concern")
    assert screened.location.endswith("/hold")
    for path in (screened.location, f"{case}/screening", case, f"{case}/handouts"):
        assert words in desk.text(path), path
    page = desk.text("/handouts/resting")
    assert "Ines Okafor" in page
    assert "The first days: pause before you act" in page
    assert "A safety hold is open" in page
    assert "One sheet rests for now" in desk.text("/today")
    assert "Ines Okafor" not in Desk(app, team["coach2"]).text("/handouts/resting")
    assert Desk(app, team["admin"]).get("/handouts/resting").status_code == 403


def test_resting_sheets_are_paged_by_case_for_a_fixed_price(desk, team, monkeypatch):
    coach, counts = team["coach"], []
    for more, since in ((10, 0), (110, 10)):
        bulk_rows.caseload(coach, more, since=since)
        desk.text("/handouts/resting")
        with Statements() as asked:
            page = desk.text("/handouts/resting")
        counts.append(len(asked.seen))
    assert counts[0] == counts[1]
    assert "Each page looks through 100 open cases" in page
    following = page.split('rel="next"')[0].rpartition('href="')[2].split('"')[0]
    rest = desk.text(following.replace("&amp;", "&"))
    assert "First page" in rest
    assert "Next page" not in rest
