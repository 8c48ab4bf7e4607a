from tests.support import builders


def test_disclosure_is_recorded_and_listed_and_a_refused_form_keeps_its_words(coach):
    case = builders.case(coach.actor, "Ines Okafor")
    path = f"/case/{case.number}/disclosures"
    assert f'href="{path}"' in coach.text(f"/case/{case.number}/details")
    answer = coach.send(path, recipient="Dr Lam", what="Two notes.", why="")
    assert answer.status_code == 422
    assert "Two notes." in answer.get_data(as_text=True)
    answer = coach.send(path, recipient="Dr Lam", what="Two notes.", why="She asked.")
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    page = coach.text(path)
    assert all(words in page for words in ("Dr Lam", "Two notes.", "She asked."))
