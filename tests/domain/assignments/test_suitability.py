"""The verdict, over every tag and effect, and the promise that a refusing condition never yields a yes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.domain.assignments.suitability import (
    CAREFUL,
    CONTACT_STAGES,
    GIVE,
    REFUSE,
    Situation,
    applies,
    judge,
)
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import ANY_STAGE, EFFECTS, TAGS, Contraindication, library
from caseapp.domain.screening.schemas import FLAGS

OPEN = {
    "spouse_willingness": "agreed",
    "spouse_contact_wish": "open",
    "living_arrangement": "long_distance",
    "affair_disclosed": "no",
    "order": "none",
}
QUIET = Situation(facts=OPEN)
# The situation in which each tag's condition is there, and nothing else is.
MET = {
    "contact_block": [
        replace(QUIET, flags=frozenset({"contact_block"})),
        replace(QUIET, facts=OPEN | {"spouse_contact_wish": "asked_for_none"}),
        replace(QUIET, facts=OPEN | {"order": "protects_spouse"}),
    ],
    "violence_flag": [replace(QUIET, flags=frozenset({"violence_flag"}))],
    "client_harm_flag": [replace(QUIET, flags=frozenset({"client_harm_flag"}))],
    "self_harm_flag": [replace(QUIET, flags=frozenset({"self_harm_flag"}))],
    "eating_disorder_flag": [replace(QUIET, flags=frozenset({"eating_disorder_flag"}))],
    "withdrawal_risk": [replace(QUIET, flags=frozenset({"withdrawal_risk"}))],
    "unsafe_delivery": [
        replace(QUIET, flags=frozenset({"unsafe_delivery"})),
        replace(QUIET, in_person_only=True),
    ],
    "joint_consent": [
        replace(QUIET, facts={}),
        replace(QUIET, facts=OPEN | {"spouse_willingness": "few"}),
        replace(QUIET, facts=OPEN | {"spouse_contact_wish": "space"}),
        replace(QUIET, facts=OPEN | {"spouse_contact_wish": "unknown"}),
    ],
    "distance_only": [replace(QUIET, facts=OPEN | {"living_arrangement": "nearby"})],
    "safety_screen_unknown": [replace(QUIET, safety_known=False)],
    "safety_screen_older_than_14_days": [replace(QUIET, recent=False)],
    "recent_affair": [
        replace(QUIET, facts=OPEN | {"affair_disclosed": who})
        for who in ("spouse", "client", "both")
    ],
    "court_order": [
        replace(QUIET, facts=OPEN | {"order": which})
        for which in ("protects_client", "protects_spouse", "both")
    ],
}
OUTCOME = {"block": REFUSE, "warn": CAREFUL, "in_session": CAREFUL}
PLAIN = replace(
    library()["better-nights", "en"], contraindications=(), hold_ok="safety", stage=ANY_STAGE
)


def with_one(tag, effect, **changed):
    found = Contraindication(tag, effect, f"Because of {tag}.", None)
    return replace(PLAIN, contraindications=(found,), **changed)


def test_the_table_names_every_tag():
    assert set(MET) == set(TAGS)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_and_effect(tag, effect):
    handout = with_one(tag, effect)
    quiet = judge(handout, QUIET)
    assert quiet.outcome == GIVE
    assert quiet.reasons == ()
    for situation in MET[tag]:
        verdict = judge(handout, situation)
        assert verdict.outcome == OUTCOME[effect]
        assert f"Because of {tag}." in [reason.message for reason in verdict.reasons]
        if effect == "block":
            assert verdict.channels == ()
        if effect == "in_session":
            assert verdict.channels == ("in_person",)


@pytest.mark.parametrize(
    ("hold", "mark", "outcome"),
    [
        ("safety", "safety", GIVE),
        ("safety", "care", REFUSE),
        ("safety", "none", REFUSE),
        ("care", "safety", GIVE),
        ("care", "care", GIVE),
        ("care", "none", REFUSE),
        (None, "none", GIVE),
    ],
)
def test_a_hold_asks_for_the_mark(hold, mark, outcome):
    verdict = judge(replace(PLAIN, hold_ok=mark), replace(QUIET, hold=hold))
    assert verdict.outcome == outcome
    assert all(hold in reason.message for reason in verdict.reasons)


@pytest.mark.parametrize("stage", sorted(CONTACT_STAGES))
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"hold": "care"}, "hold_open"),
        ({"hold": "safety"}, "hold_open"),
        ({"flags": frozenset({"contact_block"})}, "contact_block"),
        ({"safety_known": False}, "safety_screen_unknown"),
        ({"recent": False}, "safety_screen_older_than_14_days"),
        ({"screened": False, "safety_known": False, "recent": False}, "never_screened"),
    ],
)
def test_the_global_rule_holds_whatever_a_sheet_says_of_itself(stage, changed, code):
    """A contact sheet without a single contraindication, marked for every hold, is still refused."""
    verdict = judge(replace(PLAIN, stage=stage), replace(QUIET, **changed))
    assert verdict.outcome == REFUSE
    assert [reason.code for reason in verdict.reasons] == [code]


@pytest.mark.parametrize(
    "situation",
    [
        replace(QUIET, flags=frozenset({"unsafe_delivery"})),
        replace(QUIET, flags=frozenset({"violence_flag"})),
        replace(QUIET, in_person_only=True),
    ],
)
def test_nothing_travels_without_a_safe_way(situation):
    verdict = judge(PLAIN, situation)
    assert verdict.outcome == CAREFUL
    assert "portal" not in verdict.channels
    assert [reason.code for reason in verdict.reasons] == ["by_hand_only"]


def test_a_later_stage_asks_for_care_and_an_earlier_one_does_not():
    later = judge(library()["reaching-out", "en"], QUIET, stage="steady")
    assert later.outcome == CAREFUL
    assert "Contact" in later.reasons[0].message
    assert judge(library()["first-days-pause", "en"], QUIET, stage="repair").outcome == GIVE
    fits_early = judge(library()["old-fears-new-trust", "en"], QUIET, stage="contact")
    assert fits_early.outcome == GIVE


def test_another_sheet_is_named_by_its_title():
    verdict = judge(
        library()["first-days-pause", "en"], replace(QUIET, flags=frozenset({"violence_flag"}))
    )
    assert verdict.reasons[0].how == "Use “A private check-in” instead."


def test_every_refusal_says_why_and_a_way_on():
    worst = Situation("care", frozenset(FLAGS), screened=False, safety_known=False, recent=False)
    for handout in library().values():
        for reason in judge(handout, worst).reasons:
            assert reason.message.endswith((".", "”"))


situations = st.builds(
    Situation,
    hold=st.sampled_from([None, "care", "safety"]),
    flags=st.frozensets(st.sampled_from([*FLAGS])),
    screened=st.booleans(),
    safety_known=st.booleans(),
    recent=st.booleans(),
    facts=st.fixed_dictionaries(
        {},
        optional={
            "spouse_willingness": st.sampled_from(["none_seen", "few", "several", "agreed"]),
            "spouse_contact_wish": st.sampled_from(["open", "space", "asked_for_none", "unknown"]),
            "living_arrangement": st.sampled_from(["same_home", "nearby", "long_distance"]),
            "affair_disclosed": st.sampled_from(["no", "spouse", "client", "both", "not_said"]),
            "order": st.sampled_from(["none", "protects_client", "protects_spouse", "both"]),
        },
    ),
    in_person_only=st.booleans(),
)
real = st.sampled_from([*library().values()])
stage_ids = st.sampled_from([None, *(stage.id for stage in stages())])


@given(real, situations, stage_ids)
def test_a_refusing_condition_never_yields_a_yes(handout, situation, stage):
    verdict = judge(handout, situation, stage=stage)
    blocked = [c for c in handout.contraindications if c.effect == "block"]
    refusing = (
        any(applies(found.tag, situation) for found in blocked)
        or (situation.hold == "safety" and handout.hold_ok != "safety")
        or (situation.hold == "care" and handout.hold_ok == "none")
        or (
            handout.stage in CONTACT_STAGES
            and (
                situation.hold is not None
                or situation.contact_barred
                or not situation.safety_known
                or not situation.recent
            )
        )
    )
    assert (verdict.outcome == REFUSE) == refusing
    assert (verdict.outcome == GIVE) == (not verdict.reasons)
    assert (verdict.outcome == REFUSE) == (not verdict.channels)
    if situation.by_hand_only:
        assert "portal" not in verdict.channels
    if any(
        found.effect == "in_session" and applies(found.tag, situation)
        for found in handout.contraindications
    ):
        assert set(verdict.channels) <= {"in_person"}
