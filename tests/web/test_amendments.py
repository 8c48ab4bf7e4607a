import pytest

from tests.support import builders


@pytest.mark.slow
def test_request_is_recorded_shown_and_declined_and_a_refused_form_keeps_its_words(
    coach, supervisor
):
    case = builders.case(coach.actor, "Ines Okafor")
    note = f"/note/{builders.note(coach.actor, case.case_id)}"
    path, words = f"{note}/correction", "I never said that."
    assert f'href="{path}"' in coach.text(note)
    answer = coach.send(path, requested_on="2999-01-01", words=words)
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    answer = coach.send(path, words=words)
    assert (answer.status_code, answer.headers["Location"]) == (303, note)
    assert words in coach.text(note)
    assert "Not answered yet." in coach.text(note)
    for page in ("/notes/corrections", "/today"):
        assert f'href="{path}"' in supervisor.text(page)
    assert 'name="words"' not in supervisor.text(path)
    answer = supervisor.send(path, f"{path}/decline", reason="No.")
    assert answer.status_code == 422
    answer = supervisor.send(path, f"{path}/decline", reason="It is in the log of that week.")
    assert (answer.status_code, answer.headers["Location"]) == (303, note)
    shown = coach.text(note)
    assert all(text in shown for text in (words, "It is in the log of that week.", "Declined by"))
    assert coach.send(path, words="It was four.").status_code == 303
    assert coach.send(path, f"{path}/accept", text="She slept four.").status_code == 303
    shown = coach.text(note)
    assert "She slept four." in shown
    assert "Accepted by" in shown


@pytest.mark.slow
def test_note_that_was_entered_in_error_leads_to_the_request_that_still_waits(coach):
    note = f"/note/{builders.note(coach.actor, builders.case(coach.actor).case_id)}"
    path = f"{note}/correction"
    assert coach.send(path, words="I never said that.").status_code == 303
    answer = coach.send(f"{note}/addendum", kind="in_error", reason="It is another client’s.")
    assert answer.status_code == 303
    assert f'href="{path}"' in coach.text(note)
    answer = coach.send(path, f"{path}/decline", reason="The whole note was marked as an error.")
    assert answer.status_code == 303
    assert f'href="{path}"' not in coach.text(note)
