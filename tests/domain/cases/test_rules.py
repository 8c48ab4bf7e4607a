"""Stage gates, closing, reopening and clearing flags, without a database: every context that can be drawn."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caseapp.core.actor import Actor
from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.permissions import Role
from caseapp.domain.cases.facts import OUTCOMES
from caseapp.domain.cases.queries import LockedCase
from caseapp.domain.cases.rules import (
    Progress,
    assess_stage_gate,
    check_clear_case_flag,
    check_close,
    check_move,
    check_reopen,
    list_closing_blockers,
    list_common_blockers,
    list_move_blockers,
    propose_move_back,
    sets_contact_block,
)
from caseapp.domain.cases.schemas import CaseClosing, StageMove
from caseapp.domain.cases.stages import criteria_between, next_stage, stage_by_id, stages
from caseapp.domain.screening.protocol import Level
from tests.support.contexts import (
    ALL_NONE,
    COACH,
    NOW,
    SUPERVISOR,
    answers_after,
    complete,
    context,
    contexts,
    facts_sets,
    histories,
    safety,
    screening,
)

TODAY = NOW.date()
STAGES = [stage.id for stage in stages()]
CRITERIA = [
    criterion.id
    for here, to in zip(stages(), stages()[1:], strict=False)
    for criterion in criteria_between(here, to)
    if not criterion.check
]
evidence_sets = st.sets(st.sampled_from(CRITERIA)).map(lambda ids: dict.fromkeys(ids, "Seen."))


@st.composite
def moves(draw):
    """Draw a context with a history that it is derived from, and a move."""
    found = tuple(draw(histories()))
    here = draw(contexts())
    here = replace(here, safety=replace(here.safety, answers=answers_after(found)))
    move = StageMove(draw(st.sampled_from(STAGES)), draw(st.sampled_from(["", "Too early."])), {})
    return here, Progress(found, draw(evidence_sets)), replace(move, evidence=draw(evidence_sets))


def known(safety):
    """Name the items that are known at NOW, by the rule in words: asked in the last 14 days, fear at home alone."""
    return {
        item
        for item, answer in safety.answers.items()
        if timedelta(0) <= NOW - answer.asked_at <= timedelta(days=14)
        and (item != "fear_at_home" or answer.asked_alone)
    }


def codes(reasons):
    return {reason.code for reason in reasons}


@pytest.mark.slow
@given(moves())
def test_move_forward_is_never_possible_with_a_hold_or_an_item_that_is_not_known_now(drawn):
    here, progress, move = drawn
    reasons = list_move_blockers(here, progress, move, TODAY)
    assert complete(reasons)
    forward = stage_by_id()[move.to].number > here.stage.number
    if not reasons and forward:
        assert here.case.status == "open"
        assert not here.safety.holds
        assert known(here.safety) == {*ALL_NONE}


@pytest.mark.slow
@given(moves())
def test_move_is_possible_exactly_when_its_gate_is_open(drawn):
    here, progress, move = drawn
    to = next_stage(here.stage)
    if here.case.status != "open" or to is None or to.id != move.to:
        return
    seen = replace(progress, evidence=progress.evidence | move.evidence)
    gate = assess_stage_gate(here, to, seen, TODAY)
    assert gate.is_open == (not list_move_blockers(here, progress, move, TODAY))
    assert {check.criterion.id for check in gate.checks if check.attested and check.met} == {
        criterion.id
        for criterion in criteria_between(here.stage, to)
        if not criterion.check and criterion.id in seen.evidence
    }


@pytest.mark.slow
@given(moves())
def test_move_back_is_always_possible_in_an_open_case_and_needs_a_reason(drawn):
    here, progress, move = drawn
    if stage_by_id()[move.to].number >= here.stage.number:
        return
    reasons = codes(list_move_blockers(here, progress, move, TODAY))
    assert reasons == (set() if here.case.status == "open" else {"case_closed"})
    locked = LockedCase(**vars(here))
    if reasons:
        with pytest.raises(RuleBroken):
            check_move(locked, progress, move, TODAY)
    elif move.reason:
        check_move(locked, progress, move, TODAY)
    else:
        with pytest.raises(Invalid) as refused:
            check_move(locked, progress, move, TODAY)
        assert set(refused.value.fields) == {"reason"}


@pytest.mark.slow
@given(moves(), st.sampled_from(CRITERIA))
def test_more_evidence_never_closes_a_gate(drawn, criterion):
    here, progress, move = drawn
    more = replace(move, evidence=move.evidence | {criterion: "Seen."})
    before = codes(list_move_blockers(here, progress, move, TODAY))
    assert codes(list_move_blockers(here, progress, more, TODAY)) <= before


def ready(here):
    """Build a context that meets everything that the gate after this stage computes, with its history."""
    found = (screening(), screening(days_ago=8))
    case = context(
        state=safety(last=found[0]),
        facts={"spouse_contact_wish": "open"},
        stage=here.id,
        goal="together",
        goal_chosen_on=TODAY,
        review_date=TODAY,
    )
    asked = criteria_between(here, next_stage(here))
    evidence = {criterion.id: "Seen." for criterion in asked if not criterion.check}
    return case, Progress(found, evidence)


@pytest.mark.parametrize("here", [stage for stage in stages() if next_stage(stage)], ids=str)
def test_every_gate_has_an_open_context_and_one_closed_by_each_of_its_conditions(here):
    case, progress = ready(here)
    move = StageMove(next_stage(here).id, "", {})
    assert list_move_blockers(case, progress, move, TODAY) == []
    found = set()
    old = tuple(
        replace(
            one,
            recorded_at=one.recorded_at.replace(year=2025),
            session_at=one.session_at.replace(year=2025),
        )
        for one in progress.screenings
    )
    not_asked, not_alone = screening(fear_at_home=None), screening(asked_alone=False)
    for broken, history in (
        (replace(case, safety=safety(holds=["care"], last=progress.screenings[0])), progress),
        (replace(case, safety=safety(holds=["safety"], last=progress.screenings[0])), progress),
        (replace(case, safety=safety()), replace(progress, screenings=())),
        (replace(case, safety=safety(last=old[0])), replace(progress, screenings=old)),
        (replace(case, safety=safety(last=not_asked)), replace(progress, screenings=(not_asked,))),
        (replace(case, safety=safety(last=not_alone)), progress),
        *(
            (case, replace(progress, evidence=progress.evidence | {one: ""}))
            for one in progress.evidence
        ),
        (replace(case, client=replace(case.client, consent_on=None)), progress),
        (
            replace(case, safety=safety(flags=["contact_block"], last=progress.screenings[0])),
            progress,
        ),
        (context(state=case.safety, stage=here.id), progress),
    ):
        found |= codes(list_move_blockers(broken, history, move, TODAY))
    expected = {criterion.id for criterion in criteria_between(here, next_stage(here))}
    assert found == expected | {
        "hold_open",
        "never_screened",
        "screening_old",
        "screening_incomplete",
        "fear_not_alone",
    }


def test_gate_names_each_item_that_is_missing_or_too_old_and_no_other():
    week_ago, old = screening(days_ago=7), screening(days_ago=15)
    brief = dict.fromkeys(ALL_NONE)
    for found, expected in (
        ([week_ago], {}),
        ([screening(**brief | {"sleep": 1}), week_ago], {}),
        ([screening(asked_alone=False), week_ago], {}),
        ([old], {"screening_old": "No question was asked in the last 14 days."}),
        (
            [screening(**ALL_NONE | {"sleep": None, "work": None}), old],
            {"screening_old": "Not asked in the last 14 days: Sleep, Work or study."},
        ),
        (
            [screening(**brief | {"sleep": 1}), screening(days_ago=7, sleep=None, eating=None)],
            {"screening_incomplete": "Not asked yet: Eating."},
        ),
        (
            [screening(asked_alone=False), old],
            {"screening_old": "Not asked in the last 14 days: Fear at home."},
        ),
        ([screening(asked_alone=False)], {"fear_not_alone": None}),
        ([screening(asked_alone=False, fear_at_home=1), week_ago], {"fear_not_alone": None}),
    ):
        state = replace(safety(), answers=answers_after(found))
        reasons = {reason.code: reason.message for reason in list_common_blockers(state)}
        assert reasons.keys() == expected.keys()
        assert all(reasons[code] == text for code, text in expected.items() if text)
        assert state.is_complete == (not expected)


def test_move_to_the_same_or_a_later_stage_is_refused():
    for here in STAGES:
        for to in STAGES:
            case, progress = ready(stage_by_id()["steady"])
            case.case.stage = here
            found = list_move_blockers(case, progress, StageMove(to, "", {}), TODAY)
            steps = STAGES.index(to) - STAGES.index(here)
            if steps == 0:
                assert codes(found) == {"same_stage"}
            elif steps > 1 and to != "close":
                assert codes(found) == {"one_stage_at_a_time"}
            assert complete(found)


closings = st.builds(
    CaseClosing,
    outcome=st.sampled_from([*OUTCOMES]),
    reason=st.just("decision"),
    final_screening=st.sampled_from(["done", "not_possible"]),
    not_screened_reason=st.just(""),
    follow_up_consent=st.booleans(),
    follow_up_on=st.none(),
)


@pytest.mark.slow
@given(contexts(), closings, st.booleans(), st.booleans())
@settings(max_examples=300)
def test_closing_is_possible_exactly_when_it_is_safe(
    here, closing, may_release_holds, screened_today
):
    reasons = list_closing_blockers(
        here,
        closing,
        may_release_holds=may_release_holds,
        screened_today=screened_today,
        is_coach=not may_release_holds,
    )
    assert complete(reasons)
    safe_without = may_release_holds or (here.safety.highest_level or 0) <= Level.WATCH
    complete_now = known(here.safety) == {*ALL_NONE}
    screened = complete_now if closing.final_screening == "done" else safe_without
    if closing.outcome in {"separated", "divorcing", "stopped_hoping"}:
        screened = screened_today and screened
    allowed = here.case.status == "open" and here.safety.hold != "safety" and screened
    assert allowed == (not reasons)
    role = Role.SUPERVISOR if may_release_holds else Role.COACH
    actor = Actor(SUPERVISOR if may_release_holds else COACH, role, "", "web")
    if reasons:
        with pytest.raises(RuleBroken) as refused:
            check_close(actor, LockedCase(**vars(here)), closing, screened_today=screened_today)
        assert [*refused.value.reasons] == reasons
    else:
        check_close(actor, LockedCase(**vars(here)), closing, screened_today=screened_today)


def test_closing_is_refused_by_each_of_its_conditions():
    bad = screening(sleep=2)
    done, impossible = (
        CaseClosing("other", "decision", final, "", follow_up_consent=False, follow_up_on=None)
        for final in ("done", "not_possible")
    )
    apart = replace(done, outcome="separated")
    for case, closing, code in (
        (context(status="closed"), done, "case_closed"),
        (context(state=safety(holds=["safety"], last=screening())), done, "hold_open"),
        (context(state=safety()), done, "final_screening"),
        (context(state=safety(last=bad)), impossible, "supervisor_needed"),
        (context(state=safety()), apart, "screening_of_the_day"),
    ):
        found = list_closing_blockers(case, closing, may_release_holds=False, screened_today=False)
        assert codes(found) == {code}


@pytest.mark.parametrize("is_contact_lost", [True, False])
@pytest.mark.parametrize("who", ["supervisor", "coach who is a supervisor", "coach"])
def test_safety_hold_lets_only_a_second_person_close_a_case_of_lost_contact(who, is_contact_lost):
    case = context(state=safety(holds=["safety"], last=screening(self_harm=3)), kind=LockedCase)
    role = Role.COACH if who == "coach" else Role.SUPERVISOR
    actor = Actor(SUPERVISOR if who == "supervisor" else COACH, role, "", "web")
    closing = CaseClosing(
        "lost_contact",
        "decision",
        "not_possible",
        "No answer.",
        follow_up_consent=False,
        follow_up_on=None,
    )
    expected = set() if is_contact_lost else {"contact_not_lost"}
    expected |= set() if who == "supervisor" else {"second_person_needed"}
    expected |= {"supervisor_needed"} if who == "coach" else set()

    def refusal(closing):
        reasons = list_closing_blockers(
            case,
            closing,
            may_release_holds=role == Role.SUPERVISOR,
            screened_today=True,
            is_contact_lost=is_contact_lost,
            is_coach=actor.id == COACH,
        )
        assert complete(reasons)
        with pytest.raises(RuleBroken) if reasons else nullcontext():
            check_close(actor, case, closing, screened_today=True, is_contact_lost=is_contact_lost)
        return codes(reasons)

    assert refusal(closing) == expected
    assert "contact_lost" in refusal(replace(closing, final_screening="done"))
    for outcome in OUTCOMES.keys() - {"lost_contact"}:
        assert "hold_open" in refusal(replace(closing, outcome=outcome))


@pytest.mark.parametrize("status", ["open", "closed"])
@pytest.mark.parametrize("has_open_case", [True, False])
def test_reopening_needs_a_closed_case_and_no_other_open_one(status, has_open_case):
    case = context(status=status, kind=LockedCase)
    may_reopen = status == "closed" and not has_open_case
    with nullcontext() if may_reopen else pytest.raises(RuleBroken) as refused:
        check_reopen(case, has_open_case=has_open_case)
    if not may_reopen:
        assert codes(refused.value.reasons) == {"case_open"}
        assert complete(refused.value.reasons)


@given(facts_sets)
def test_contact_block_stays_while_any_case_has_an_order_or_a_wish_for_no_contact(facts):
    case, both = context(kind=LockedCase), {"C-2026-0001": {}, "C-2025-0009": facts}
    standing = set()
    if facts.get("order", "none") != "none":
        standing.add("order_in_force")
    if facts.get("spouse_contact_wish") == "asked_for_none":
        standing.add("no_contact_asked")
    assert sets_contact_block(facts) == bool(standing)
    check_clear_case_flag(case, "violence_flag", both)
    if not standing:
        check_clear_case_flag(case, "contact_block", both)
        return
    with pytest.raises(RuleBroken) as refused:
        check_clear_case_flag(case, "contact_block", both)
    assert codes(refused.value.reasons) == standing
    assert complete(refused.value.reasons)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("status", ["open", "closed"])
@pytest.mark.parametrize(
    "flags",
    [(), ("self_harm_flag",), ("contact_block",), ("violence_flag",), ("client_harm_flag",)],
)
def test_move_back_is_proposed_only_where_contact_is_barred_in_a_stage_about_it(
    stage, status, flags
):
    found = propose_move_back(context(state=safety(flags=flags), stage=stage, status=status))
    is_barred = flags not in {(), ("self_harm_flag",)}
    if is_barred and status == "open" and stage in {"contact", "reconnect", "repair"}:
        assert (found.to, found.evidence) == ("rebuild", {})
        assert "flag" not in found.reason
    else:
        assert found is None
