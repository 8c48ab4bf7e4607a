"""The pages that search notes; what somebody looks for is in no address, and no log."""

import pytest

from tests.support import builders

WORDS = {"data": "At Kastanienallee she slept.", "assessment": "Calmer.", "plan": "Walk."}


@pytest.mark.slow
def test_words_are_found_in_the_notes_of_a_case_and_of_all_clients(coach, logged):
    case = builders.case(coach.actor, "Ines Okafor")
    note = builders.note(coach.actor, case.case_id, WORDS)
    here, all_notes = f"/case/{case.number}/notes/search", "/notes/search"
    assert f'href="{here}"' in coach.text(f"/case/{case.number}/notes")
    assert f'href="{all_notes}"' in coach.text("/notes")
    for path in (here, all_notes):
        answer = coach.send(path, words="kastanienallee SLEPT")
        assert (answer.status_code, answer.location) == (200, None)
        page = answer.get_data(as_text=True)
        assert f'href="/note/{note}"' in page
        assert "At <mark>Kastanienallee</mark> she slept." in page
        assert "Searched 1 note, back to" in page
        assert 'value="kastanienallee SLEPT"' in page
        assert "Nothing found." in coach.send(path, words="acacia").get_data(as_text=True)
        refused = coach.send(path, words="")
        assert refused.status_code == 422
        assert "Enter what you are looking for" in refused.get_data(as_text=True)
        # A letter that nothing is left of when it is compared.
        refused = coach.send(path, words="\u0627\u0627")
        assert refused.status_code == 422
        assert "We can’t search for" in refused.get_data(as_text=True)
    assert "kastanienallee" not in logged().lower()
