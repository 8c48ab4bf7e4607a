"""Circumstances that a coach ticks: which levels they raise, what that requires, and how long it lasts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.notes.operations import save_draft, sign_note
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.current import get_current_safety, get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import CIRCUMSTANCES, FEAR_AT_HOME
from caseapp.domain.screening.queries import lock_screening
from caseapp.domain.screening.records import Answer
from caseapp.domain.screening.rules import list_opening_circumstances, list_stated, list_steep_falls
from caseapp.domain.screening.schemas import NewScreening
from caseapp.domain.screening.state import fold
from caseapp.domain.suitability.rules import situation_in_case
from tests.domain.screening.hold_helpers import KEYS
from tests.support import builders
from tests.support.contexts import NOW, SUPERVISOR

# By circumstance: the answers, the levels that they are raised to. Content map, section (e), 4a to 4c.
RAISED = [
    ("choking", {}, {"fear_at_home": 3}),
    ("choking", {"fear_at_home": 0}, {"fear_at_home": 3}),
    ("children_at_risk", {"fear_at_home": 1}, {"fear_at_home": 3}),
    ("coercive_control", {"fear_at_home": 0}, {"fear_at_home": 2}),
    ("coercive_control", {"fear_at_home": 3}, {"fear_at_home": 2}),
    ("weapons", {"self_harm": 0, "harm_to_others": 0, "following": 0}, {}),
    ("weapons", {"self_harm": 1, "harm_to_others": 2}, {"self_harm": 3, "harm_to_others": 3}),
    ("weapons", {"following": 1, "fear_at_home": 1}, {"following": 3}),
    ("weapons", {}, {}),
    ("pregnancy", {"fear_at_home": 1, "eating": 1}, {}),
    ("vital_medicine", {"eating": 1}, {}),
    ("leaving", {"fear_at_home": 1}, {}),
]


@pytest.mark.parametrize(("circumstance", "levels", "raised"), RAISED)
def test_circumstance_raises_the_levels_of_the_table(circumstance, levels, raised):
    at_least, stated = list_stated(NewScreening(levels, circumstances=(circumstance,)))
    assert at_least == raised
    assert stated == {
        key: max(levels.get(key, 0), raised.get(key, 0)) for key in {*levels, *raised}
    }


def test_table_names_every_circumstance():
    assert {name for name, _, _ in RAISED} == {*CIRCUMSTANCES}


def test_circumstance_raises_an_answer_that_was_given_before():
    new = NewScreening({}, circumstances=("weapons",))
    assert list_stated(new, before={"self_harm": 1}) == ({"self_harm": 3}, {"self_harm": 3})
    later = NewScreening({"self_harm": 0}, circumstances=("weapons",))
    assert list_stated(later, before={"self_harm": 1}) == ({}, {"self_harm": 0})


def test_circumstance_that_never_expires_raises_only_the_first_time():
    new = NewScreening({"fear_at_home": 0}, circumstances=("choking",))
    assert list_stated(new, known={"choking"}) == ({}, {"fear_at_home": 0})
    again = NewScreening({"fear_at_home": 0}, circumstances=("children_at_risk",))
    assert list_stated(again, known={"children_at_risk"})[0] == {"fear_at_home": 3}


def test_what_a_note_has_recorded_requires_nothing_more_and_still_counts():
    new = NewScreening({"fear_at_home": 2, "self_harm": 1}, circumstances=("choking", "weapons"))
    repeats = {"choking": 1, "weapons": 1, "fear_at_home": 1}
    assert list_stated(new, known={"choking"}, repeats=repeats) == (
        {"fear_at_home": 3, "self_harm": 3},
        {"self_harm": 3},
    )


def test_page_asks_about_circumstances_that_open_a_safety_hold():
    alone = {"choking", "children_at_risk", "coercive_control"}
    assert list_opening_circumstances({}) == alone
    assert list_opening_circumstances({}, {"choking", "coercive_control"}) == alone - {"choking"}
    watch = {"self_harm": Answer(1, NOW, asked_alone=True, screening_id=SUPERVISOR)}
    assert list_opening_circumstances(watch) == alone | {"weapons"}
    calm = {"self_harm": Answer(0, NOW, asked_alone=True, screening_id=SUPERVISOR)}
    assert list_opening_circumstances(calm) == alone


@pytest.mark.parametrize(
    ("before", "after", "is_steep"),
    [
        (3, 2, True),
        (3, 0, True),
        (2, 0, True),
        (2, 1, False),
        (1, 0, False),
        (1, 3, False),
        (3, 3, False),
    ],
)
def test_level_falls_steeply_by_two_steps_or_from_urgent(before, after, is_steep):
    levels = [
        {"sleep": Answer(level, NOW, asked_alone=True, screening_id=SUPERVISOR)}
        for level in (before, after)
    ]
    assert list_steep_falls(*levels) == ({"sleep": (before, after)} if is_steep else {})
    assert list_steep_falls({}, levels[1]) == {}


@pytest.fixture
def ines(team):
    return builders.case(team["coach"])


@pytest.mark.both
@pytest.mark.parametrize("circumstance", ["choking", "children_at_risk", "coercive_control"])
def test_circumstance_opens_a_safety_hold_and_sets_the_flags_without_an_answer(
    team, ines, circumstance
):
    builders.screen(team["coach"], ines.client_id)
    builders.screen(
        team["coach"], ines.client_id, circumstances=[circumstance], **dict.fromkeys(KEYS)
    )
    state = get_safety_state(ines.client_id)
    assert state.hold == "safety"
    assert state.flags == {"contact_block", "violence_flag", "unsafe_delivery"}
    [hold] = state.holds
    level = 2 if circumstance == "coercive_control" else 3
    assert [(each["item"], each["level"]) for each in hold.reasons] == [(FEAR_AT_HOME, level)]
    assert state.levels[FEAR_AT_HOME] == level
    [said] = state.circumstances
    assert said == circumstance
    screening = get_safety_history(ines.client_id).screenings[0]
    assert (screening.levels[FEAR_AT_HOME], screening.counting[FEAR_AT_HOME]) == (None, level)
    assert not screening.full
    history = get_safety_history(ines.client_id)
    stored = get_current_safety(history.key).state
    assert (stored.circumstances, stored.answers) == (
        fold(history.events).circumstances,
        fold(history.events).answers,
    )


@pytest.mark.both
def test_raised_level_falls_with_the_next_answer_and_the_circumstance_stays(team, ines):
    with at(now() - timedelta(days=8)):
        builders.screen(team["coach"], ines.client_id, circumstances=["choking", "leaving"])
        assert not get_safety_history(ines.client_id).screenings[0].steady
    builders.screen(team["coach"], ines.client_id, circumstances=["choking"])
    state = get_safety_state(ines.client_id)
    assert state.levels[FEAR_AT_HOME] == 0
    assert get_safety_history(ines.client_id).screenings[0].steady
    assert state.circumstances.keys() == {"choking", "leaving"}
    assert state.circumstances["choking"] > state.circumstances["leaving"]
    assert "violence_flag" in situation_in_case(get_case_context(team["coach"], ines.case_id)).flags


@pytest.mark.both
def test_choking_that_was_ticked_again_counts_when_the_first_was_recorded_in_error(team, ines):
    coach, supervisor = team["coach"], team["supervisor"]
    first = builders.screen(coach, ines.client_id, circumstances=["choking"])
    again = builders.screen(coach, ines.client_id, circumstances=["choking"], **dict.fromkeys(KEYS))
    third = builders.screen(coach, ines.client_id, circumstances=["choking"])

    def mark(screening_id):
        with transaction():
            locked = lock_screening(supervisor, screening_id)
            mark_in_error(supervisor, locked, "Entered for the wrong client here.")
        db.session.rollback()
        history = get_safety_history(ines.client_id)
        state = get_current_safety(history.key).state
        assert state.answers == fold(history.events).answers
        return state

    for screening_id, counting, level in ((first, [0, 3], 0), (third, [3], 3)):
        state = mark(screening_id)
        assert state.answers[FEAR_AT_HOME].level == level
        history = get_safety_history(ines.client_id)
        assert [one.counting[FEAR_AT_HOME] for one in history.screenings] == counting
        [hold] = state.holds
        assert {reason["screening"] for reason in hold.standing} == {str(again)}
        assert "violence_flag" in {flag.kind for flag in state.flags}
    assert mark(again).holds == ()


@pytest.mark.both
def test_circumstance_of_a_draft_counts_when_it_is_saved_and_requires_nothing_twice(team, ines):
    coach, note_id = team["coach"], builders.draft(team["coach"], ines.case_id)
    first = DraftScreening({}, circumstances=("choking",))
    with transaction():
        save_draft(coach, lock_note(coach, note_id), DraftChange(screening=first), 1)
    [hold] = get_safety_state(ines.client_id).holds
    whole = DraftScreening(
        dict.fromkeys(KEYS, 0), asked_alone=True, circumstances=("choking", "pregnancy")
    )
    with transaction():
        save_draft(coach, lock_note(coach, note_id), DraftChange(screening=whole), 2)
        assert get_note(coach, note_id).draft.circumstances == ("choking", "pregnancy")
    with transaction():
        sign_note(coach, lock_note(coach, note_id), 3)
    state = get_safety_state(ines.client_id)
    assert state.holds == (hold,)
    assert state.levels[FEAR_AT_HOME] == 3
    assert state.circumstances.keys() == {"choking", "pregnancy"}


def record(team, case, reason="", *, session_at=None, alone=True, **levels):
    new = NewScreening(dict.fromkeys(KEYS) | levels, asked_alone=alone, below_reason=reason)
    with transaction():
        client = lock_client(team["coach"], case.client_id)
        return record_screening(team["coach"], client, new, session_at=session_at).id


@pytest.mark.both
@pytest.mark.parametrize("reason", ["", "Better.", "a\u200b b\u200b c\u200b d\u200b"])
def test_level_that_falls_steeply_without_a_reason_is_refused_and_named(team, ines, reason):
    record(team, ines, self_harm=3, sleep=2, eating=1)
    with pytest.raises(Invalid) as refused:
        record(team, ines, reason, self_harm=1, sleep=1, eating=0)
    [text] = refused.value.fields["below_reason"]
    assert "Self-harm (from Urgent to Watch)" in text
    assert "Sleep" not in text
    assert get_safety_state(ines.client_id).levels["self_harm"] == 3
    record(team, ines, "Asked twice, and alone.", self_harm=1, sleep=1, eating=0)
    assert get_safety_state(ines.client_id).levels["self_harm"] == 1
    last = get_safety_history(ines.client_id).screenings[0]
    assert last.below_reason == "Asked twice, and alone."
    assert last.below_reason not in repr(last)


@pytest.mark.both
def test_answer_that_lowers_nothing_needs_no_reason(team, ines):
    record(team, ines, fear_at_home=3)
    record(team, ines, fear_at_home=0, alone=False)
    record(team, ines, fear_at_home=0, session_at=now() - timedelta(days=5))
    assert get_safety_state(ines.client_id).levels["fear_at_home"] == 3


@pytest.mark.both
def test_missing_reason_never_keeps_a_hold_from_being_opened(team, ines):
    record(team, ines, substances=3)
    record(team, ines, substances=0, self_harm=2)
    state = get_safety_state(ines.client_id)
    assert (state.levels["self_harm"], state.levels["substances"]) == (2, 0)
