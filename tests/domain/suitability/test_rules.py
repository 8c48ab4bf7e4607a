"""The verdict, over every tag and effect, and the promise that a refusing condition never yields a yes."""

from dataclasses import replace
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.domain.cases.stages import stages
from caseapp.domain.clients.rules import list_channel_blockers
from caseapp.domain.handouts.bars import get_bars
from caseapp.domain.handouts.library import (
    ANY_STAGE,
    CHANNELS,
    CONTACT_STAGES,
    EFFECTS,
    TAGS,
    Contraindication,
    library,
)
from caseapp.domain.handouts.queries import LibraryItem
from caseapp.domain.practice.queries import HelpLines
from caseapp.domain.screening.protocol import FLAG_LABELS
from caseapp.domain.suitability.rules import (
    PORTAL_NOT_SAFE,
    assess_for_situation,
    assess_suitability,
    choose_channel,
    condition_applies,
    delivery_blockers,
    list_suitability_blockers,
    situation_in_case,
)
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION, ELIGIBLE, Situation, Suitability
from tests.support.contexts import NOW, complete, contexts

OPEN = {
    "spouse_willingness": "agreed",
    "spouse_contact_wish": "open",
    "living_arrangement": "long_distance",
    "affair_disclosed": "no",
    "order": "none",
}
QUIET = Situation(facts=OPEN)
NO_LINES = HelpLines((), None, stale=False)
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
    "fear_unknown": [replace(QUIET, fear_known=False)],
    "fear_watch": [replace(QUIET, fear_level=level) for level in (1, 2, 3)],
    "court_order": [
        replace(QUIET, facts=OPEN | {"order": which})
        for which in ("protects_client", "protects_spouse", "both")
    ],
}
OUTCOME = {"block": BLOCKED, "warn": CAUTION, "in_session": CAUTION}
PLAIN = replace(
    library()["better-nights", "en"],
    id="evening-page",
    contraindications=(),
    hold_ok="safety",
    stage=ANY_STAGE,
)


def with_one(tag, effect, **changed):
    found = Contraindication(tag, effect, f"Because of {tag}.", None)
    return replace(PLAIN, contraindications=(found,), **changed)


def test_tags_table_covers_every_tag():
    assert set(MET) == set(TAGS)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("tag", TAGS)
def test_assess_each_tag_and_effect_gives_its_outcome(tag, effect):
    handout = with_one(tag, effect)
    quiet = assess_for_situation(handout, QUIET)
    assert quiet.outcome == ELIGIBLE
    assert quiet.reasons == ()
    for situation in MET[tag]:
        suitability = assess_for_situation(handout, situation)
        assert suitability.outcome == OUTCOME[effect]
        assert f"Because of {tag}." in [reason.message for reason in suitability.reasons]
        if effect == "block":
            assert suitability.channels == ()
        if effect == "in_session":
            assert suitability.channels == ("in_person",)


@pytest.mark.parametrize(
    ("hold", "mark", "outcome"),
    [
        ("safety", "safety", ELIGIBLE),
        ("safety", "care", BLOCKED),
        ("safety", "none", BLOCKED),
        ("care", "safety", ELIGIBLE),
        ("care", "care", ELIGIBLE),
        ("care", "none", BLOCKED),
        (None, "none", ELIGIBLE),
    ],
)
def test_assess_open_hold_requires_the_handout_mark(hold, mark, outcome):
    suitability = assess_for_situation(replace(PLAIN, hold_ok=mark), replace(QUIET, hold=hold))
    assert suitability.outcome == outcome
    assert all(hold in reason.message for reason in suitability.reasons)


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
def test_assess_contact_stage_is_blocked_whatever_the_handout_says(stage, changed, code):
    """A contact sheet without a single contraindication, marked for every hold, is still refused."""
    suitability = assess_for_situation(replace(PLAIN, stage=stage), replace(QUIET, **changed))
    assert suitability.outcome == BLOCKED
    assert [reason.code for reason in suitability.reasons] == [code]


@pytest.mark.parametrize(
    "situation",
    [
        replace(QUIET, flags=frozenset({"unsafe_delivery"})),
        replace(QUIET, flags=frozenset({"violence_flag"})),
        replace(QUIET, in_person_only=True),
    ],
)
def test_assess_unsafe_delivery_allows_only_channels_by_hand(situation):
    suitability = assess_for_situation(PLAIN, situation)
    assert suitability.outcome == CAUTION
    assert "portal" not in suitability.channels
    assert [reason.code for reason in suitability.reasons] == ["by_hand_only"]


def test_assess_later_stage_needs_caution_and_earlier_does_not():
    later = assess_for_situation(library()["reaching-out", "en"], QUIET, stage="steady")
    assert later.outcome == CAUTION
    assert "Contact" in later.reasons[0].message
    assert (
        assess_for_situation(library()["first-days-pause", "en"], QUIET, stage="repair").outcome
        == ELIGIBLE
    )
    fits_early = assess_for_situation(
        library()["old-fears-new-trust", "en"], QUIET, stage="contact"
    )
    assert fits_early.outcome == ELIGIBLE


def test_assess_use_instead_names_the_other_handout():
    suitability = assess_for_situation(
        library()["first-days-pause", "en"], replace(QUIET, flags=frozenset({"violence_flag"}))
    )
    assert suitability.reasons[0].way_out == "Use “A few quiet minutes” instead."


def test_assess_every_block_has_reason_and_way_out():
    worst = Situation(
        "care", frozenset(FLAG_LABELS), screened=False, safety_known=False, recent=False
    )
    for handout in library().values():
        for reason in assess_for_situation(handout, worst).reasons:
            assert reason.message.endswith((".", "”"))


situations = st.builds(
    Situation,
    hold=st.sampled_from([None, "care", "safety"]),
    flags=st.frozensets(st.sampled_from([*FLAG_LABELS])),
    screened=st.booleans(),
    safety_known=st.booleans(),
    fear_known=st.booleans(),
    fear_level=st.sampled_from([None, 0, 1, 2, 3]),
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
    contact_confirmed_at=st.sampled_from([None, NOW]),
    portal_blockers=st.sampled_from([(), (PORTAL_NOT_SAFE,)]),
)
real = st.sampled_from([*library().values()])
stage_ids = st.sampled_from([None, *(stage.id for stage in stages())])


@pytest.mark.slow
@given(real, situations, stage_ids)
def test_assess_blocking_condition_never_gives_eligible(handout, situation, stage):
    suitability = assess_for_situation(handout, situation, stage=stage)
    bars = get_bars(handout)
    blocked = [bar for bar in bars.conditions if bar.effect == "block"]
    refusing = (
        any(condition_applies(found.tag, situation) for found in blocked)
        or (situation.hold == "safety" and bars.hold_ok != "safety")
        or (situation.hold == "care" and bars.hold_ok == "none")
        or (
            handout.stage in CONTACT_STAGES
            and (
                situation.hold is not None
                or situation.contact_blocked
                or not situation.safety_known
                or not situation.recent
            )
        )
    )
    assert (suitability.outcome == BLOCKED) == refusing
    assert (suitability.outcome == ELIGIBLE) == (not suitability.reasons)
    assert (suitability.outcome == BLOCKED) == (not suitability.channels)
    if situation.by_hand_only:
        assert "portal" not in suitability.channels
    if any(
        bar.effect == "in_session" and condition_applies(bar.tag, situation)
        for bar in bars.conditions
    ):
        assert set(suitability.channels) <= {"in_person"}


ORDER = {BLOCKED: 0, CAUTION: 1, ELIGIBLE: 2}


def worse(situation):
    """Yield the situation with one more thing against it."""
    for flag in FLAG_LABELS:
        yield replace(situation, flags=situation.flags | {flag})
    yield replace(situation, hold="safety")
    if situation.hold is None:
        yield replace(situation, hold="care")
    yield replace(situation, recent=False)
    yield replace(situation, safety_known=False)
    yield replace(situation, fear_known=False)
    yield replace(situation, fear_level=max(situation.fear_level or 0, 1))
    yield replace(situation, in_person_only=True)
    yield replace(situation, facts={**situation.facts, "order": "protects_spouse"})


@pytest.mark.slow
@given(real, situations, stage_ids)
def test_assess_worse_situation_never_allows_more(handout, situation, stage):
    before = assess_for_situation(handout, situation, stage=stage)
    for other in worse(situation):
        after = assess_for_situation(handout, other, stage=stage)
        assert ORDER[after.outcome] <= ORDER[before.outcome]
        assert {*after.channels} <= {*before.channels}


@pytest.mark.slow
@given(real, situations, st.sampled_from(CHANNELS), stage_ids)
def test_every_refusal_of_a_handout_names_a_way_out(handout, situation, channel, stage):
    suitability = assess_for_situation(handout, situation, stage=stage)
    item = LibraryItem(handout, UUID(int=1), NOW, None)
    for recalled, (hidden, already_assigned, confirmed) in product(
        (None, NOW), product((False, True), repeat=3)
    ):
        found = list_suitability_blockers(
            replace(item, recalled_at=recalled, hidden=hidden),
            suitability,
            channel,
            situation,
            already_assigned=already_assigned,
            confirmed=confirmed,
        )
        assert complete(found)
        fits = suitability.outcome != BLOCKED and channel in suitability.channels
        usable = recalled is None and not hidden and not already_assigned
        read = suitability.outcome == ELIGIBLE or confirmed
        assert (not found) == (fits and usable and read)
        if fits and usable and not read:
            assert found[0].code == "confirmation_required"
            assert tuple(found[1:]) == suitability.reasons


def test_every_reason_against_an_assignment_can_be_met():
    item = LibraryItem(library()["better-nights", "en"], UUID(int=1), NOW, None)
    open_to_all, caution = Suitability(ELIGIBLE), Suitability(CAUTION, (), ("print",))
    found = set()
    for one, suitability, already in (
        (replace(item, recalled_at=NOW), open_to_all, False),
        (replace(item, hidden=True), open_to_all, False),
        (item, caution, False),
        (item, open_to_all, True),
        (item, replace(caution, channels=CHANNELS), False),
        (item, open_to_all, False),
    ):
        reasons = list_suitability_blockers(
            one, suitability, "portal", QUIET, already_assigned=already, confirmed=False
        )
        found |= {reason.code for reason in reasons[:1]}
    assert found == {
        "recalled",
        "hidden",
        "channel_not_available",
        "already_assigned",
        "confirmation_required",
    }


@pytest.mark.slow
@given(contexts(), real)
def test_nothing_reaches_a_client_by_a_channel_that_is_not_safe(case, handout):
    situation = situation_in_case(case)
    assert situation.in_person_only == ("in_person" in case.client.safe.channels)
    suitability = assess_for_situation(handout, situation)
    portal = list_channel_blockers(case.client, case.safety.flags, "portal")
    if portal or (situation.hold == "safety" and handout.hold_ok != "safety"):
        assert "portal" not in suitability.channels
    for channel in CHANNELS:
        blockers = delivery_blockers(handout, channel, situation, NO_LINES)
        possible = assess_suitability(handout, situation, NO_LINES)
        fits = possible.outcome != BLOCKED and channel in possible.channels
        assert (not blockers) == fits
        assert complete(blockers)


@pytest.mark.slow
@given(contexts())
def test_form_proposes_a_channel_that_is_safe(case):
    situation = situation_in_case(case)
    proposed = choose_channel(situation)
    portal = list_channel_blockers(case.client, case.safety.flags, "portal")
    assert (proposed == "portal") == (not portal)
    assert proposed in assess_for_situation(PLAIN, situation).channels
    if case.client.safe.channels == ("in_person",):
        assert proposed == "in_person"


@pytest.mark.parametrize("flag", ["unsafe_delivery", "violence_flag"])
def test_confirmed_contact_opens_the_portal_and_paper_still_names_nobody(flag):
    unsafe = replace(QUIET, flags=frozenset({flag}))
    confirmed = replace(unsafe, contact_confirmed_at=NOW)
    assert "portal" not in assess_for_situation(PLAIN, unsafe).channels
    assert assess_for_situation(PLAIN, confirmed).channels == CHANNELS
    assert unsafe.is_discreet
    assert confirmed.is_discreet
