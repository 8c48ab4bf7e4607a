import re
from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.contacts.queries import list_contacts
from caseapp.domain.dashboard import no_shows
from tests.api.api_client import program
from tests.support import builders
from tests.support.staff_pages import forms_in


@pytest.fixture
def case(coach):
    return builders.case(coach.actor, "Ines Okafor")


@pytest.mark.slow
def test_no_show_is_recorded_from_today_with_two_clicks(coach, case):
    path = f"/case/{case.number}/contacts"
    assert f'href="{path}"' in coach.text("/today")
    answer = coach.send(path, kind="no_show", words="Her phone was off.", follow_up="yes")
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    page = coach.text(path)
    assert "Her phone was off." in page
    assert "No session in this case so far, according to signed notes." in page
    assert "Get in touch after the no-show" in coach.text(f"/case/{case.number}/follow-ups")
    assert "No-show" in coach.text("/today")
    overview = coach.text(f"/case/{case.number}/timeline?kind=contact")
    assert "Her phone was off." in overview
    assert "<dt>No-show</dt>" in overview


def test_enter_in_a_field_records_nothing(coach, case):
    """The first button of a form is the one that Enter presses."""
    page = coach.text(f"/case/{case.number}/contacts")
    assert page.index('name="kind" value=""') < page.index('name="kind" value="contact"')


@pytest.mark.slow
def test_form_keeps_what_was_typed_when_it_is_refused(coach, case):
    path = f"/case/{case.number}/contacts"
    for fields, told in (
        ({}, "Choose what happened."),
        ({"kind": ""}, "Choose what happened."),
        ({"kind": "contact", "method": ""}, "Choose how you made contact, or tried to."),
        ({"kind": "contact", "follow_up": "yes"}, "You were in contact, so"),
        ({"kind": "no_show", "cancelled_by": "client"}, "This is only for a cancelled session."),
        ({"kind": "no_show", "happened_at": "2099-01-01T10:00"}, "This time is in the future."),
    ):
        answer = coach.send(path, words="Her phone was off.", **fields)
        assert answer.status_code == 422
        text = answer.get_data(as_text=True)
        assert told in text
        assert forms_in(text, path)[0].fields["words"] == ["Her phone was off."]
    assert "Nothing has been recorded yet." in coach.text(path)


def test_line_breaks_count_and_are_stored_as_the_field_counts_them(app, coach, case):
    path = f"/case/{case.number}/contacts"
    lines = "ab\n" * 166 + "cd"
    answer = coach.send(path, kind="no_show", words=lines.replace("\n", "\r\n"))
    assert answer.status_code == 303
    by_web = list_contacts(coach.actor, case.client_id, None, 10).items
    body = {"kind": "no_show", "words": lines.replace("\n", "\r\n")}
    made = program(app, coach.actor).post(f"/clients/{case.client_id}/contacts", body)
    assert made.get_json()["words"] == by_web[0].words == lines


def test_fault_about_the_follow_up_is_tied_to_its_box(coach, case):
    answer = coach.send(f"/case/{case.number}/contacts", kind="contact", follow_up="yes")
    page = answer.get_data(as_text=True)
    [box] = re.findall(r'<input[^>]* id="follow_up"[^>]*>', page)
    assert 'aria-describedby="follow_up-e" aria-invalid="true"' in box
    assert page.count('id="follow_up-e"') == 1


def test_fields_for_what_was_wrong_say_of_which_entry(coach, case):
    path = f"/case/{case.number}/contacts"
    for kind in ("no_show", "cancelled"):
        coach.send(path, kind=kind)
    page = coach.text(path)
    labels = re.findall(r'What was wrong<span class="visually-hidden">: ([^,<]*),', page)
    assert sorted(labels) == ["Cancelled session", "No-show"]
    assert page.count("At least 5 characters.") == 2


@pytest.mark.slow
def test_entry_is_marked_as_recorded_in_error(coach, case):
    path = f"/case/{case.number}/contacts"
    coach.send(path, kind="contact", method="call")
    page = coach.text(path)
    action = page.partition(f'action="{path}/')[2].partition('"')[0]
    answer = coach.send(path, f"{path}/{action}", reason="It was her sister.")
    assert answer.headers["Location"] == path
    page = coach.text(path)
    assert "It was her sister." in page
    assert "Mark as recorded in error" not in page
    other = builders.case(coach.actor, "Tom Vale")
    wrong = coach.post(
        f"/case/{other.number}/contacts/{action}",
        coach.token | coach.key_for(f"/case/{other.number}/contacts") | {"reason": "Wrong case."},
    )
    assert wrong.status_code == 404


@pytest.mark.slow
def test_attention_shows_a_no_show_during_a_hold(coach, case):
    with at(now() - timedelta(hours=1)):
        builders.screen(coach.actor, case.client_id, fear_at_home=2)
    coach.send(f"/case/{case.number}/contacts", kind="no_show")
    page = coach.text("/today")
    assert page.index("Safety hold, day ") < page.index("All required actions are still due.")


@pytest.mark.slow
def test_today_says_when_more_clients_did_not_come_than_it_looks_at(coach, case, monkeypatch):
    monkeypatch.setattr(no_shows, "MAX_NO_SHOWS", 0)
    assert "more no-shows than are listed" not in coach.text("/today")
    builders.screen(coach.actor, case.client_id, days_ago=1)
    coach.send(f"/case/{case.number}/contacts", kind="no_show")
    assert "more no-shows than are listed" in coach.text("/today")
