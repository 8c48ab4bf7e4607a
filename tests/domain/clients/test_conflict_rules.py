from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.domain.clients.codes import COACH_DECIDES, MATCH_REASONS, MOST_QUESTIONS
from caseapp.domain.clients.rules import OwnMatch, list_match_blockers, list_question_blockers

OWN = st.lists(
    st.builds(
        OwnMatch,
        st.just("Priya Raman"),
        st.sampled_from(["C-2026-0005", None]),
        st.sampled_from([*MATCH_REASONS]),
    ),
    max_size=4,
)


@given(OWN, st.booleans())
def test_coach_never_decides_about_another_coachs_client(own, agreed):
    *named, last = list_match_blockers(own, has_foreign=True, agreed=agreed)
    assert last.code == "possible_conflict"
    assert {reason.code for reason in named} <= {"possible_duplicate"}
    assert len(named) == len(own)


@given(OWN.filter(bool))
def test_coach_decides_about_own_clients_with_a_similar_name_only(own):
    is_decided = {match.reason for match in own} <= COACH_DECIDES
    assert (list_match_blockers(own, has_foreign=False, agreed=True) == []) is is_decided
    codes = [reason.code for reason in list_match_blockers(own, has_foreign=False, agreed=False)]
    assert codes == ["possible_duplicate"] * len(own) + ["possible_conflict"] * (not is_decided)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            "C-2026-0005",
            "You already have a client, Priya Raman, C-2026-0005, who has the same name.",
        ),
        (None, "You already have a client, Priya Raman, who has the same name."),
    ],
)
def test_own_client_is_named(number, message):
    own = [OwnMatch("Priya Raman", number, "same_name")]
    [reason] = list_match_blockers(own, has_foreign=False, agreed=False)
    assert reason.message == message


def test_message_about_another_coachs_client_says_nothing_of_it():
    for agreed in (False, True):
        [reason] = list_match_blockers([], has_foreign=True, agreed=agreed)
        assert "name" not in reason.message + reason.way_out


@pytest.mark.parametrize(
    ("questions", "codes"),
    [(0, []), (MOST_QUESTIONS - 1, []), (MOST_QUESTIONS, ["too_many_conflicts"])],
)
def test_questions_are_limited(questions, codes):
    assert [reason.code for reason in list_question_blockers(questions)] == codes
