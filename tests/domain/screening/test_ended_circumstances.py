"""A circumstance that has ended: what it no longer does, what stays, and how it meets corrections and notes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.timeline import list_timeline
from caseapp.domain.dashboard.timeline_filter import TimelineFilter
from caseapp.domain.notes.operations import save_draft, sign_note
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.screening.circumstance_operations import end_circumstance
from caseapp.domain.screening.circumstances import list_end_blockers
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.current import get_current_safety, get_safety_state
from caseapp.domain.screening.events import (
    CircumstanceEnded,
    RecordedEvent,
    ScreeningInError,
    ScreeningRecorded,
)
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import CIRCUMSTANCES, FEAR_AT_HOME
from caseapp.domain.screening.queries import list_circumstances, lock_screening
from caseapp.domain.screening.schemas import CircumstanceEnd, NewScreening
from caseapp.domain.screening.state import fold, list_screenings, state_from_json, state_to_json
from tests.domain.screening.hold_helpers import KEYS, day
from tests.support import builders

START = datetime(2026, 5, 14, 12, tzinfo=UTC)
WHY = "He handed the rifle in at the police station."
CLIENT, COACH = UUID(int=1), UUID(int=2)


def blockers(current, circumstance, mentioned_at=START):
    found = list_end_blockers(current, CircumstanceEnd(circumstance, mentioned_at, WHY))
    assert all(reason.way_out for reason in found)
    return [reason.code for reason in found]


@pytest.mark.parametrize("circumstance", CIRCUMSTANCES)
def test_every_circumstance_can_end_but_for_those_that_never_expire(circumstance):
    expected = ["circumstance_never_ends"] if circumstance == "choking" else []
    assert blockers({circumstance: START}, circumstance) == expected
    assert blockers({}, circumstance) == ["circumstance_not_current"]


def test_circumstance_that_was_mentioned_again_meanwhile_does_not_end():
    later = {"weapons": START + timedelta(days=1)}
    assert blockers(later, "weapons") == ["circumstance_mentioned_again"]
    assert blockers(later, "weapons", None) == ["circumstance_mentioned_again"]


def said(number, *circumstances, repeats=None, session=None):
    """Return the event of a screening with circumstances; `repeats` is the number of the one that had them first."""
    at = START + timedelta(days=number)
    origins = {} if repeats is None else dict.fromkeys(circumstances, str(UUID(int=100 + repeats)))
    fact = ScreeningRecorded(
        None,
        at if session is None else START + timedelta(days=session),
        {"sleep": 0},
        asked_alone=True,
        repeats=origins,
        circumstances=[*circumstances],
    )
    return RecordedEvent(UUID(int=100 + number), CLIENT, number, at, COACH, fact)


def event(number, fact):
    at = START + timedelta(days=number)
    return RecordedEvent(UUID(int=100 + number), CLIENT, number, at, COACH, fact)


def ended(number, circumstance="weapons"):
    return event(number, CircumstanceEnded(circumstance, START, WHY))


def in_error(number, of):
    return event(number, ScreeningInError(UUID(int=100 + of), "Entered for the wrong client."))


@pytest.mark.parametrize(
    ("events", "current"),
    [
        ([said(1, "weapons", "leaving"), ended(2)], {"leaving": 1}),
        ([said(1, "weapons"), ended(2), said(3)], {}),
        ([said(1, "weapons"), ended(2), said(3, "weapons")], {"weapons": 3}),
        ([said(1, "weapons"), ended(2), said(3, "weapons"), ended(4)], {}),
        # A session of before the end that is recorded after it counts as new.
        ([said(1, "weapons"), ended(3), said(4, "weapons", session=2)], {"weapons": 2}),
        # A note that had recorded it before the end says nothing new.
        ([said(1, "weapons"), ended(2), said(3, "weapons", repeats=1)], {}),
        ([said(1, "weapons"), said(2, "weapons", repeats=1), ended(3)], {}),
        # A correction before and after the end, of the first and of the second mention.
        ([said(1, "weapons"), in_error(2, 1)], {}),
        ([said(1, "weapons"), ended(2), in_error(3, 1)], {}),
        ([said(1, "weapons"), said(2, "weapons"), ended(3), in_error(4, 2)], {}),
        ([said(1, "weapons"), said(2, "weapons"), ended(3), in_error(4, 1)], {}),
        ([said(1, "weapons"), ended(2), said(3, "weapons"), in_error(4, 1)], {"weapons": 3}),
        ([said(1, "weapons"), ended(2), said(3, "weapons"), in_error(4, 3)], {}),
    ],
)
def test_state_has_the_circumstances_that_were_ticked_and_have_not_ended_since(events, current):
    state = fold(events)
    days = {key: START + timedelta(days=number) for key, number in current.items()}
    assert state.circumstances == days
    assert state_from_json(state_to_json(state)) == state
    assert len(list_screenings(events, ())) == len(
        [one for one in events if isinstance(one.fact, ScreeningRecorded)]
    )


@pytest.fixture
def made(team):
    with day(-1):
        return builders.case(team["coach"])


def end(actor, made, circumstance, reason=WHY):
    db.session.rollback()
    mentioned_at = get_safety_state(made.client_id).circumstances.get(circumstance)
    with transaction():
        client = lock_client(actor, made.client_id)
        return end_circumstance(actor, client, CircumstanceEnd(circumstance, mentioned_at, reason))


def state_of(made):
    """Return the stored state, which is what the events add up to."""
    db.session.rollback()
    history = get_safety_history(made.client_id)
    state = get_current_safety(history.key).state
    assert state == fold(history.events)
    return state


def codes(refused):
    return [reason.code for reason in refused.value.reasons]


@pytest.mark.both
def test_end_keeps_holds_flags_and_levels_and_is_in_the_history(team, made):
    coach = team["coach"]
    with day(0):
        builders.screen(coach, made.client_id, circumstances=["children_at_risk", "leaving"])
    before = state_of(made)
    with day(3):
        end(coach, made, "children_at_risk", "The child lives with her sister now.")
        after = state_of(made)
        assert after.circumstances.keys() == {"leaving"}
        assert (after.holds, after.flags, after.answers) == (
            before.holds,
            before.flags,
            before.answers,
        )
        assert after.answers[FEAR_AT_HOME].level == 3
        current, gone = list_circumstances(coach, made.client_id)
        assert (current.circumstance, current.ended) == ("leaving", None)
        assert gone.circumstance == "children_at_risk"
        assert gone.mentioned_at == before.circumstances["children_at_risk"]
        assert gone.ended.ended_by == coach.id
        assert gone.ended.ended_by_name == coach.name
        assert gone.ended.reason == "The child lives with her sister now."
        assert gone.ended.reason not in repr(gone)
        context = get_case_context(coach, made.case_id)
        filters = TimelineFilter(frozenset({"screening"}))
        row = list_timeline(coach, context, filters, cursor=None, limit=10).items[0]
        assert (row.title, row.byline) == ("Circumstance ended", coach.name)
        assert row.text == (
            "“A child is hurt or may be at risk at home”: The child lives with her sister now."
        )
    wanted = AuditFilter(action="circumstance.end", client_id=made.client_id)
    found = list_audit_events(team["admin"], wanted, None, 10).items
    [logged] = [event for event in found if event.action == wanted.action]
    assert (logged.object_kind, logged.details) == ("circumstance", {})


@pytest.mark.both
def test_level_that_it_raised_falls_only_with_an_answer_and_a_reason(team, made):
    coach = team["coach"]
    with day(0):
        builders.screen(coach, made.client_id, circumstances=["children_at_risk"])
    with day(1):
        end(coach, made, "children_at_risk")
        calm = NewScreening(dict.fromkeys(KEYS, 0), asked_alone=True)
        with pytest.raises(Invalid) as refused, transaction():
            record_screening(coach, lock_client(coach, made.client_id), calm)
        assert refused.value.fields.keys() == {"below_reason"}
        builders.screen(coach, made.client_id)
        assert state_of(made).answers[FEAR_AT_HOME].level == 0


@pytest.mark.both
def test_circumstance_that_is_ticked_again_after_its_end_raises_levels_again(team, made):
    coach = team["coach"]
    with day(0):
        builders.screen(coach, made.client_id, self_harm="watch", circumstances=["weapons"])
    with day(1):
        end(coach, made, "weapons")
        builders.screen(coach, made.client_id, self_harm="watch")
        assert state_of(made).answers["self_harm"].level == 1
    with day(2):
        builders.screen(coach, made.client_id, self_harm="watch", circumstances=["weapons"])
        state = state_of(made)
        assert state.answers["self_harm"].level == 3
        assert state.circumstances == {"weapons": now()}
        [hold] = state.holds
        assert len(hold.reasons) == 2
    with day(3):
        end(coach, made, "weapons")
        assert state_of(made).circumstances == {}
        assert len(list_circumstances(coach, made.client_id)) == 2


@pytest.mark.both
def test_end_is_refused_when_there_is_nothing_to_end(team, made):
    coach = team["coach"]
    with day(0):
        builders.screen(coach, made.client_id, circumstances=["choking", "pregnancy"])
    with day(1):
        for circumstance, code in (
            ("choking", "circumstance_never_ends"),
            ("leaving", "circumstance_not_current"),
        ):
            with pytest.raises(RuleBroken) as refused:
                end(coach, made, circumstance)
            assert codes(refused) == [code]
        end(coach, made, "pregnancy")
        with pytest.raises(RuleBroken) as refused:
            end(coach, made, "pregnancy")
        assert codes(refused) == ["circumstance_not_current"]
        with pytest.raises(Forbidden), transaction():
            client = lock_client(coach, made.client_id)
            end_circumstance(team["admin"], client, CircumstanceEnd("choking", None, WHY))
    assert state_of(made).circumstances.keys() == {"choking"}


@pytest.mark.both
@pytest.mark.parametrize("ends_first", [True, False])
def test_screening_in_error_and_the_end_of_its_circumstance_meet_in_any_order(
    team, made, ends_first
):
    coach, supervisor = team["coach"], team["supervisor"]
    with day(0):
        builders.screen(coach, made.client_id, circumstances=["leaving"])
    with day(1):
        wrong = builders.screen(coach, made.client_id, circumstances=["children_at_risk"])

    def correct():
        with transaction():
            locked = lock_screening(supervisor, wrong)
            mark_in_error(supervisor, locked, "Entered for the wrong client here.")

    with day(2):
        if ends_first:
            end(coach, made, "children_at_risk")
            assert state_of(made).holds
            correct()
        else:
            correct()
            with pytest.raises(RuleBroken) as refused:
                end(coach, made, "children_at_risk")
            assert codes(refused) == ["circumstance_not_current"]
    state = state_of(made)
    assert state.circumstances.keys() == {"leaving"}
    assert (state.holds, state.answers[FEAR_AT_HOME].level) == ((), 0)


@pytest.mark.both
def test_note_that_had_recorded_it_before_the_end_keeps_its_level_and_makes_nothing_current(
    team, made
):
    coach = team["coach"]
    with day(0):
        note_id = builders.draft(coach, made.case_id)
        first = DraftScreening({}, circumstances=("children_at_risk",))
        with transaction():
            save_draft(coach, lock_note(coach, note_id), DraftChange(screening=first), 1)
    with day(1):
        end(coach, made, "children_at_risk")
        whole = DraftScreening(
            dict.fromkeys(KEYS, 0), asked_alone=True, circumstances=("children_at_risk",)
        )
        with transaction():
            save_draft(coach, lock_note(coach, note_id), DraftChange(screening=whole), 2)
        with transaction():
            sign_note(coach, lock_note(coach, note_id), 3)
        state = state_of(made)
        assert state.circumstances == {}
        assert state.answers[FEAR_AT_HOME].level == 3
        [hold] = state.holds
        assert len(hold.reasons) == 1
