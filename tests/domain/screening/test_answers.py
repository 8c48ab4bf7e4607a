"""Which answer to an item counts: that of the newest session, and never a lower one that says nothing about now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.errors import Invalid
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.cases.rules import list_common_blockers
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, LATE_AFTER
from caseapp.domain.screening.schemas import NewScreening
from caseapp.domain.screening.state import fold
from caseapp.domain.suitability.rules import situation_in_case
from tests.domain.screening.hold_helpers import KEYS, blockers, finish_tasks, only_hold
from tests.support import builders

LATE = LATE_AFTER + timedelta(hours=1)


@pytest.fixture
def ines(team):
    return builders.case(team["coach"])


def answer(team, case, *, held=None, alone=True, full=True, **levels):
    """Record answers about a session that was held so long ago; every other item is none, or not asked."""
    answers = dict.fromkeys(KEYS, 0 if full else None) | levels
    with transaction():
        client = lock_client(team["coach"], case.client_id)
        session_at = None if held is None else now() - held
        new = NewScreening(answers, asked_alone=alone, below_reason="Asked again at length.")
        return record_screening(team["coach"], client, new, session_at=session_at).id


def test_screening_of_an_old_session_is_never_current(team, ines):
    answer(team, ines, held=timedelta(days=300))
    context = get_case_context(team["coach"], ines.case_id)
    assert not context.safety.is_complete
    assert [reason.code for reason in list_common_blockers(context.safety)] == ["screening_old"]
    assert not situation_in_case(context).recent
    answer(team, ines)
    answer(team, ines, held=LATE)
    assert get_safety_state(ines.client_id).is_complete


def test_answer_of_a_late_session_is_not_current_although_it_is_younger_than_14_days(team, ines):
    answer(team, ines, held=LATE)
    state = get_safety_state(ines.client_id)
    assert state.outdated == KEYS
    assert state.answers["sleep"].asked_at is None


def test_validity_begins_with_the_session_and_not_with_its_recording(team, ines):
    with at(now() - timedelta(days=13)):
        answer(team, ines, held=timedelta(days=2))
    assert get_safety_state(ines.client_id).outdated == KEYS


def test_late_answers_raise_a_level_and_open_a_hold_but_lower_nothing(team, ines):
    answer(team, ines, sleep=1)
    answer(team, ines, held=LATE, self_harm=3)
    state = get_safety_state(ines.client_id)
    assert (state.levels["self_harm"], state.levels["sleep"], state.hold) == (3, 1, "safety")
    assert state.outdated == []


def test_screening_of_a_session_before_the_hold_does_not_help_to_release_it(team, ines):
    with at(now() - timedelta(days=9)):
        answer(team, ines, self_harm=3)
    hold = only_hold(ines.client_id)
    finish_tasks(team["coach"], ines.client_id)
    answer(team, ines, held=timedelta(days=10))
    assert "screening_not_steady" in blockers(hold, team["supervisor"])
    answer(team, ines)
    assert "screening_not_steady" not in blockers(hold, team["supervisor"])


def test_older_session_that_is_recorded_later_lowers_nothing(team, ines):
    answer(team, ines, self_harm=3)
    answer(team, ines, held=timedelta(hours=48))
    state = get_safety_state(ines.client_id)
    assert state.levels["self_harm"] == 3
    assert (
        "self_harm_flag" in situation_in_case(get_case_context(team["coach"], ines.case_id)).flags
    )
    assert "screening_not_steady" in blockers(only_hold(ines.client_id), team["supervisor"])


def test_older_session_that_is_recorded_later_raises_a_level_and_not_its_date(team, ines):
    answer(team, ines)
    asked_at = get_safety_state(ines.client_id).answers["sleep"].asked_at
    answer(team, ines, held=timedelta(hours=48), sleep=1)
    found = get_safety_state(ines.client_id).answers["sleep"]
    assert (found.level, found.asked_at) == (1, asked_at)
    assert found.session_at < asked_at


def test_full_session_recorded_after_a_newer_brief_one_is_the_last_full_one(team, ines):
    answer(team, ines, full=False, sleep=1)
    answer(team, ines, held=timedelta(hours=48))
    state = fold(get_safety_history(ines.client_id).events)
    assert state.answers["sleep"].level == 1
    assert state.last_full_at < state.answers["sleep"].asked_at


def test_care_hold_is_not_released_with_a_session_of_before_it(team, ines):
    start = now()
    answer(team, ines, sleep=2)
    answer(team, ines, held=timedelta(hours=71))
    with at(start + timedelta(days=4, hours=2)):
        answer(team, ines)
        hold = only_hold(ines.client_id)
        assert "only_one_steady_screening" in blockers(hold, team["supervisor"])


def test_session_in_the_future_is_refused_and_records_nothing(team, ines):
    with pytest.raises(Invalid) as refused:
        answer(team, ines, held=-timedelta(minutes=1), self_harm=3)
    assert set(refused.value.fields) == {"session_at"}
    assert get_safety_history(ines.client_id).events == ()


def test_brief_check_changes_nothing_that_it_did_not_ask(team, ines):
    answer(team, ines, substances=3)
    answer(team, ines, full=False, sleep=0)
    state = get_safety_state(ines.client_id)
    assert state.levels["substances"] == state.highest_level == 3
    context = get_case_context(team["coach"], ines.case_id)
    assert "withdrawal_risk" in situation_in_case(context).flags


def test_brief_check_refreshes_only_what_it_asked(team, ines):
    start = now()
    answer(team, ines)
    with at(start + timedelta(days=10)):
        answer(team, ines, full=False, sleep=0, eating=1)
        context = get_case_context(team["coach"], ines.case_id)
        assert context.safety.is_complete
        assert list_common_blockers(context.safety) == []
        situation = situation_in_case(context)
        assert situation.recent
        assert situation.safety_known
    with at(start + timedelta(days=15)):
        state = get_safety_state(ines.client_id)
        assert {*KEYS} - {*state.outdated} == {"sleep", "eating"}
        assert not situation_in_case(get_case_context(team["coach"], ines.case_id)).recent
        answer(team, ines, full=False, **dict.fromkeys(state.outdated, 0))
        assert get_safety_state(ines.client_id).is_complete


@pytest.fixture
def before_following(team, ines, monkeypatch):
    """Screen a client fully by a protocol without the question about following."""
    before = replace(PROTOCOL, version=ITEMS_BY_KEY["following"].since - 1)
    with monkeypatch.context() as patch:
        patch.setattr("caseapp.domain.screening.operations.PROTOCOL", before)
        answer(team, ines, following=None)


@pytest.mark.usefixtures("before_following")
def test_question_that_is_newer_than_the_last_full_screening_only_closes_the_gate(team, ines):
    [screening] = get_safety_history(ines.client_id).screenings
    assert (screening.full, screening.steady) == (True, True)
    context = get_case_context(team["coach"], ines.case_id)
    assert [reason.message for reason in list_common_blockers(context.safety)] == [
        "Not asked yet: Following or checking."
    ]
    assert situation_in_case(context).safety_known
    answer(team, ines, full=False, sleep=1)
    assert get_safety_state(ines.client_id).safety_known
    answer(team, ines, full=False, following=0)
    assert get_safety_state(ines.client_id).is_complete


def test_question_of_the_protocol_of_today_that_was_never_asked_is_unknown(team, ines):
    answer(team, ines, following=None)
    [screening] = get_safety_history(ines.client_id).screenings
    assert not screening.full
    assert not get_safety_state(ines.client_id).safety_known


def test_fear_at_home_that_is_confirmed_in_front_of_others_keeps_its_date(team, ines):
    start = now()
    answer(team, ines)
    with at(start + timedelta(days=10)):
        answer(team, ines, alone=False)
        assert get_safety_state(ines.client_id).is_complete
    with at(start + timedelta(days=15)):
        state = get_safety_state(ines.client_id)
        assert state.fear_known
        assert state.outdated == ["fear_at_home"]


def test_fear_at_home_that_others_heard_raised_is_unknown_until_asked_alone(team, ines):
    answer(team, ines)
    answer(team, ines, alone=False, full=False, fear_at_home=1)
    state = get_safety_state(ines.client_id)
    assert not state.fear_known
    assert [reason.code for reason in list_common_blockers(state)] == ["fear_not_alone"]
    answer(team, ines, full=False, fear_at_home=1)
    assert get_safety_state(ines.client_id).is_complete


def test_fear_at_home_is_lowered_only_by_an_answer_given_alone(team, ines):
    answer(team, ines, fear_at_home=1)
    answer(team, ines, alone=False)
    assert get_safety_state(ines.client_id).levels["fear_at_home"] == 1
    answer(team, ines)
    assert get_safety_state(ines.client_id).levels["fear_at_home"] == 0


def test_answer_of_a_clock_that_ran_ahead_does_not_outrank_a_later_one(team, ines):
    with at(now() + timedelta(days=2)):
        answer(team, ines, sleep=0)
    assert get_safety_state(ines.client_id).outdated == KEYS
    answer(team, ines, sleep=1)
    state = get_safety_state(ines.client_id)
    assert state.is_complete
    assert state.levels["sleep"] == 1
    answer(team, ines, sleep=0)
    assert get_safety_state(ines.client_id).levels["sleep"] == 0
