from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from tests.support import builders
from tests.support.staff_pages import forms_in


@pytest.fixture
def case(coach):
    return builders.case(coach.actor, "Ines Okafor")


def test_no_show_is_recorded_from_today_with_two_clicks(coach, case):
    path = f"/case/{case.number}/contacts"
    assert f'href="{path}"' in coach.text("/today")
    answer = coach.send(path, kind="no_show", words="Her phone was off.", follow_up="yes")
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    page = coach.text(path)
    assert "Her phone was off." in page
    assert "No session in this case so far, by signed notes." in page
    assert "Get in touch after the no-show" in coach.text(f"/case/{case.number}/follow-ups")
    assert "No-show" in coach.text("/today")
    overview = coach.text(f"/case/{case.number}?kind=contact")
    assert "Her phone was off." in overview
    assert "<dt>No-show</dt>" in overview


def test_enter_in_a_field_records_nothing(coach, case):
    """The first button of a form is the one that Enter presses."""
    page = coach.text(f"/case/{case.number}/contacts")
    assert page.index('name="kind" value=""') < page.index('name="kind" value="contact"')


def test_form_keeps_what_was_typed_when_it_is_refused(coach, case):
    path = f"/case/{case.number}/contacts"
    for fields, told in (
        ({}, "Choose what happened."),
        ({"kind": ""}, "Choose what happened."),
        ({"kind": "contact", "method": ""}, "Choose how."),
        ({"kind": "contact", "follow_up": "yes"}, "You were in contact."),
        ({"kind": "no_show", "cancelled_by": "client"}, "Only a cancelled session has this."),
        ({"kind": "no_show", "happened_at": "2099-01-01T10:00"}, "This time is in the future."),
    ):
        answer = coach.send(path, words="Her phone was off.", **fields)
        assert answer.status_code == 422
        text = answer.get_data(as_text=True)
        assert told in text
        assert forms_in(text, path)[0].fields["words"] == ["Her phone was off."]
    assert "Nothing recorded yet." in coach.text(path)


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


def test_attention_shows_a_no_show_during_a_hold(coach, case):
    with at(now() - timedelta(hours=1)):
        builders.screen(coach.actor, case.client_id, fear_at_home=2)
    coach.send(f"/case/{case.number}/contacts", kind="no_show")
    page = coach.text("/today")
    assert page.index("Safety hold, day 1") < page.index("Every required action stays due.")
