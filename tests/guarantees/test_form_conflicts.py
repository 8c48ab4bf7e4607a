"""Two people, two windows or two sessions with the same form: nothing is overwritten, and nothing typed is lost."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from markupsafe import escape

from caseapp.core.database import db
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.form_drafts.models import FormDraft
from tests.guarantees.form_cases import WORD
from tests.support import staff
from tests.support.staff_pages import forms_in

pytestmark = pytest.mark.both(every_set=True)


def details_form(world, who, part):
    path = f"/case/{world.own['number']}/details"
    text = world.browsers[who].get(path).get_data(as_text=True)
    return forms_in(text, path, f"{path}/{part}")[0]


def save_details(world, who, form, **changes):
    return world.browsers[who].post(form.action, data=form.fields | changes)


@pytest.mark.slow
def test_fields_that_one_side_changed_are_merged(world):
    """Two people change different fields of a case: whoever is second sees both, and nothing is overwritten."""
    mine, theirs = details_form(world, "coach", "facts"), details_form(world, "supervisor", "facts")
    assert save_details(world, "supervisor", theirs, faith_variant="yes").status_code == 303
    answer = save_details(world, "coach", mine, gender="woman")
    assert answer.status_code == 412
    page = answer.get_data(as_text=True)
    again = forms_in(page, mine.action, mine.action)[0]
    assert (again.fields["faith_variant"], again.fields["gender"]) == (["yes"], ["woman"])
    assert "Saved in the meantime" not in page
    assert save_details(world, "coach", again).status_code == 303
    saved = details_form(world, "coach", "facts").fields
    assert (saved["faith_variant"], saved["gender"]) == (["yes"], ["woman"])


def test_field_that_both_changed_shows_both_texts(world):
    mine = details_form(world, "coach", "client")
    theirs = details_form(world, "supervisor", "client")
    assert save_details(world, "supervisor", theirs, pronouns="they").status_code == 303
    answer = save_details(world, "coach", mine, pronouns="ze", code_word="Blue sky")
    page = answer.get_data(as_text=True)
    again = forms_in(page, mine.action, mine.action)[0]
    assert answer.status_code == 412
    assert (again.fields["pronouns"], again.fields["code_word"]) == (["ze"], ["Blue sky"])
    assert ">they</strong>" in page


@pytest.mark.slow
def test_text_replaced_after_a_conflict_is_kept_one_version_back(world):
    """Whoever saves over somebody else's text, having seen it, still finds it on the page; nobody else does."""
    mine = details_form(world, "coach", "client")
    theirs = details_form(world, "supervisor", "client")
    assert save_details(world, "supervisor", theirs, code_word="Stepsister").status_code == 303
    late = save_details(world, "coach", mine, code_word="Blue sky")
    again = forms_in(late.get_data(as_text=True), mine.action, mine.action)[0]
    wrong = save_details(world, "coach", again, birth_year="one")
    assert (late.status_code, wrong.status_code) == (412, 422)
    again = forms_in(wrong.get_data(as_text=True), mine.action, mine.action)[0]
    assert save_details(world, "coach", again, birth_year="1980").status_code == 303
    assert details_form(world, "coach", "client").fields["code_word"] == ["Blue sky"]
    assert "Stepsister" in world.browsers["coach"].get(mine.action.rpartition("/")[0]).text
    assert "Stepsister" not in world.browsers["supervisor"].get(mine.action.rpartition("/")[0]).text
    untouched = details_form(world, "coach", "client")
    assert save_details(world, "coach", untouched, code_word="Green tree").status_code == 303
    assert "Blue sky" not in world.browsers["coach"].get(mine.action.rpartition("/")[0]).text


def test_fields_that_belong_together_are_never_mixed(world):
    """Change the goal on one side and its review date on the other: the form keeps one side's and shows the other's."""
    mine, theirs = details_form(world, "coach", "facts"), details_form(world, "supervisor", "facts")
    assert save_details(world, "supervisor", theirs, goal="together").status_code == 303
    answer = save_details(world, "coach", mine, review_date="2027-03-01")
    page = answer.get_data(as_text=True)
    again = forms_in(page, mine.action, mine.action)[0]
    assert again.fields["goal"] == mine.fields["goal"]
    assert again.fields["review_date"] == ["2027-03-01"]
    assert page.count("Saved in the meantime") == 2


@pytest.mark.slow
def test_refused_form_still_notices_a_change_of_somebody_else(world):
    """A form that came back with an error stays what it was opened with, so that it overwrites nothing unseen."""
    mine, theirs = (
        details_form(world, "coach", "client"),
        details_form(world, "supervisor", "client"),
    )
    assert save_details(world, "supervisor", theirs, pronouns="they").status_code == 303
    wrong = save_details(world, "coach", mine, birth_year="one", code_word="Blue sky")
    assert wrong.status_code == 422
    again = forms_in(wrong.get_data(as_text=True), mine.action, mine.action)[0]
    answer = save_details(world, "coach", again, birth_year="1980")
    assert answer.status_code == 412
    merged = forms_in(answer.get_data(as_text=True), mine.action, mine.action)[0]
    assert (merged.fields["pronouns"], merged.fields["code_word"]) == (["they"], ["Blue sky"])


@pytest.mark.slow
def test_restored_words_are_merged_with_what_was_saved_since(world):
    mine = details_form(world, "coach", "client")
    with transaction():
        end_all_sessions(world.actors["coach"].id)
    kept = save_details(world, "coach", mine, code_word="Blue sky")
    assert kept.status_code == 303
    theirs = details_form(world, "supervisor", "client")
    assert save_details(world, "supervisor", theirs, pronouns="they").status_code == 303
    assert staff.sign_in(world.browsers["coach"], world.actors["coach"]).status_code == 303
    again = details_form(world, "coach", "client")
    assert (again.fields["pronouns"], again.fields["code_word"]) == (["they"], ["Blue sky"])
    assert save_details(world, "coach", again).status_code == 303
    with transaction():
        assert db.session.scalars(sa.select(FormDraft)).all() == []


def test_words_of_a_record_that_is_gone_are_listed(world):
    """A page that can't be found has no form; the words stand on the error page, for their author only."""
    number, foreign = world.own["number"], world.foreign["number"]
    form = details_form(world, "coach", "client")
    with transaction():
        db.session.execute(sa.delete(CareTeamMember))
    answer = save_details(world, "coach", form, safe_warning=WORD)
    assert number != foreign
    assert answer.status_code == 404
    assert str(escape(WORD)) in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "address",
    [
        "//elsewhere.test",
        "https://elsewhere.test/today",
        "/\\elsewhere.test",
        "/portal",
        "/nowhere",
    ],
)
def test_signing_in_leads_to_pages_of_ours_only(world, address):
    """The address to go on to names no other site (VULN-14)."""
    browser = world.app.test_client()
    page = browser.get("/sign-in")
    fields = {"csrf_token": staff.csrf(page), "password": staff.PASSWORD}
    answer = browser.post(
        "/sign-in", query_string={"next": address}, data=fields | {"email": "coach@practice.test"}
    )
    assert (answer.status_code, answer.location) == (303, "/today")
