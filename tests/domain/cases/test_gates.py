"""Every gate, with each of its conditions failing alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Attestation, Case
from caseapp.domain.cases.operations import change_case, move_case
from caseapp.domain.cases.queries import case_head, gate_of, steps_of
from caseapp.domain.cases.schemas import CaseDetails, Move, MoveSchema
from caseapp.domain.cases.stages import criteria_between, following, stage_by_id, stages
from caseapp.domain.screening.operations import raise_flag
from tests.support import builders, staff
from tests.support.concurrency import together

pytestmark = pytest.mark.both

TODAY = datetime(2026, 5, 14, 12, tzinfo=UTC)
OPEN = CaseDetails({"spouse_contact_wish": "open"}, "together", TODAY.date() + timedelta(days=30))
PAIRS = [(stage, following(stage)) for stage in stages() if following(stage)]
CASES = [(here, to, criterion) for here, to in PAIRS for criterion in criteria_between(here, to)]


def day(number):
    return at(TODAY + timedelta(days=number))


@pytest.fixture
def team(app):
    with day(-60):
        return staff.team()


def lines(here):
    """Write evidence for everything that a coach attests at this gate."""
    asked = criteria_between(here, following(here))
    return {criterion.id: f"Seen: {criterion.id}" for criterion in asked if not criterion.check}


def ready(coach, here, *, details=OPEN, screenings=(-8, 0), alone=True, **client):
    """Make a case that stands in `here` and meets whatever the next gate computes."""
    with day(-30):
        made = builders.case(
            coach, facts=details.facts, goal=details.goal, review_date=details.review_date, **client
        )
    for number in screenings:
        with day(number):
            builders.screen(coach, made.client_id, asked_alone=alone)
    put_in(made, here.id)
    return made


def put_in(made, stage):
    with transaction() as session:
        session.execute(sa.update(Case).where(Case.id == made.case_id).values(stage=stage))


def move(actor, made, to, reason="", evidence=None, version=None):
    db.session.rollback()
    with transaction():
        move_case(
            actor,
            made.case_id,
            Move(to, reason, evidence or {}),
            version or db.session.get(Case, made.case_id).version,
        )


def stage_of(actor, made):
    db.session.rollback()
    return case_head(actor, made.case_id).case.stage


def refused(actor, made, here, evidence=None, on=0):
    before = stage_of(actor, made)
    with pytest.raises(RuleBroken) as broken, day(on):
        move(
            actor, made, following(here).id, evidence=lines(here) if evidence is None else evidence
        )
    assert stage_of(actor, made) == before
    return {reason.code for reason in broken.value.reasons}


@pytest.mark.parametrize(("here", "to"), PAIRS, ids=lambda stage: stage.id)
def test_a_gate_opens_when_all_is_met(team, here, to):
    made = ready(team["coach"], here)
    with day(0):
        move(team["coach"], made, to.id, evidence=lines(here))
    assert stage_of(team["coach"], made) == to.id
    head = case_head(team["coach"], made.case_id)
    assert head.case.stage_since == TODAY
    step = steps_of(head)[0]
    assert (step.kind, step.from_stage, step.to_stage, step.by) == (
        "moved",
        here.id,
        to.id,
        team["coach"].id,
    )


BREAKING: dict[str, dict[str, Any]] = {
    "consent_and_safe_contact": {"consent_on": None},
    "two_steady_screenings": {"screenings": (0,)},
    "goal_chosen": {"details": CaseDetails(OPEN.facts, "undecided", None)},
    "review_date_set": {"details": CaseDetails(OPEN.facts, "together", None)},
    "private_safety_screen": {"alone": False},
    "spouse_contact_open": {
        "details": CaseDetails({"spouse_contact_wish": "space"}, "together", OPEN.review_date)
    },
    "no_contact_block": {},
}


@pytest.mark.parametrize(
    ("here", "to", "criterion"),
    CASES,
    ids=[f"{here.id}-{criterion.id}" for here, _, criterion in CASES],
)
def test_each_condition_alone_keeps_the_gate_shut(team, here, to, criterion):
    evidence = lines(here)
    if not criterion.check:
        del evidence[criterion.id]
        made = ready(team["coach"], here)
    else:
        made = ready(team["coach"], here, **BREAKING[criterion.check])
        if criterion.check == "no_contact_block":
            with transaction():
                raise_flag(team["coach"], made.client_id, "contact_block")
    assert refused(team["coach"], made, here, evidence) == {criterion.id}


@pytest.mark.parametrize(
    ("details", "chosen"),
    [
        (CaseDetails({}, "undecided", None), False),
        (CaseDetails({}, "undecided", OPEN.review_date), True),
        (CaseDetails({}, "apart_well", None), True),
    ],
)
def test_undecided_is_a_goal_once_it_has_a_review_date(team, details, chosen):
    here = stage_by_id()["understand"]
    made = ready(team["coach"], here, details=details)
    if chosen:
        with day(0):
            move(team["coach"], made, "rebuild", evidence=lines(here))
    else:
        assert refused(team["coach"], made, here) == {"goal_chosen"}


def test_a_review_date_in_the_past_is_none(team):
    here = stage_by_id()["rebuild"]
    past = CaseDetails(OPEN.facts, "together", TODAY.date() - timedelta(days=1))
    made = ready(team["coach"], here, details=past)
    assert refused(team["coach"], made, here) == {"review_date_set"}


@pytest.mark.parametrize("here", [stage for stage, _ in PAIRS], ids=lambda stage: stage.id)
class TestWhatAlwaysHolds:
    def private(self, here):
        found = criteria_between(here, following(here))
        return {one.id for one in found if one.check == "private_safety_screen"}

    def steady(self, here):
        found = criteria_between(here, following(here))
        return {one.id for one in found if one.check == "two_steady_screenings"}

    def test_an_open_hold(self, team, here):
        made = ready(team["coach"], here, screenings=())
        for number, level in ((-20, "concern"), (-8, "none"), (0, "none")):
            with day(number):
                builders.screen(team["coach"], made.client_id, sleep=level)
        assert refused(team["coach"], made, here) == {"hold_open"}

    def test_no_screening(self, team, here):
        made = ready(team["coach"], here, screenings=())
        expected = {"never_screened"} | self.private(here) | self.steady(here)
        assert refused(team["coach"], made, here) == expected

    def test_an_old_screening(self, team, here):
        made = ready(team["coach"], here)
        assert refused(team["coach"], made, here, on=15) == {"screening_old"} | self.private(here)

    def test_a_question_left_out(self, team, here):
        made = ready(team["coach"], here)
        with day(0):
            builders.screen(team["coach"], made.client_id, eating=None)
        assert refused(team["coach"], made, here) == {"screening_incomplete"}


def test_on_the_fourteenth_day_a_screening_still_counts(team):
    here = stage_by_id()["rebuild"]
    made = ready(team["coach"], here)
    with day(14):
        move(team["coach"], made, "contact", evidence=lines(here))
        assert stage_of(team["coach"], made) == "contact"


def test_every_condition_that_fails_is_named_at_once(team):
    here = stage_by_id()["rebuild"]
    made = ready(team["coach"], here, screenings=(), details=CaseDetails({}, "undecided", None))
    expected = {criterion.id for criterion in criteria_between(here, following(here))}
    expected -= {"contact_no_block"}
    assert refused(team["coach"], made, here, {}) == expected | {"never_screened"}


@pytest.mark.parametrize(
    "fact", [{"order": "protects_spouse"}, {"spouse_contact_wish": "asked_for_none"}]
)
def test_an_order_or_a_clear_wish_shuts_the_way_to_contact(team, fact):
    here = stage_by_id()["rebuild"]
    made = ready(team["coach"], here)
    with transaction():
        change_case(
            team["coach"],
            made.case_id,
            CaseDetails({**OPEN.facts, **fact}, "together", OPEN.review_date),
            db.session.get(Case, made.case_id).version,
        )
    assert "contact_no_block" in refused(team["coach"], made, here)


@pytest.mark.parametrize("steps", [2, 3])
def test_forward_goes_one_stage_at_a_time(team, steps):
    made = ready(team["coach"], stages()[0])
    with pytest.raises(RuleBroken) as broken, day(0):
        move(team["coach"], made, stages()[steps].id, evidence=lines(stages()[0]))
    assert broken.value.reasons[0].code == "one_stage_at_a_time"


@pytest.mark.parametrize("here", stages()[1:], ids=lambda stage: stage.id)
def test_back_is_always_possible_with_a_reason_even_under_a_hold(team, here):
    made = ready(team["coach"], here, screenings=())
    with day(0):
        builders.screen(team["coach"], made.client_id, self_harm="urgent")
        with pytest.raises(Invalid):
            move(team["coach"], made, "steady")
        move(team["coach"], made, "steady", "A hard week.")
    head = case_head(team["coach"], made.case_id)
    assert head.case.stage == "steady"
    assert head.safety.hold == "safety"
    assert steps_of(head)[0].reason == "A hard week."


@pytest.mark.parametrize("here", stages()[:5], ids=lambda stage: stage.id)
def test_the_last_stage_can_be_entered_from_any_other(team, here):
    made = ready(team["coach"], here)
    with day(0):
        move(team["coach"], made, "close")
    assert stage_of(team["coach"], made) == "close"


@pytest.mark.parametrize("here", stages()[:5], ids=lambda stage: stage.id)
def test_but_not_under_a_hold(team, here):
    made = ready(team["coach"], here, screenings=())
    with day(0):
        builders.screen(team["coach"], made.client_id, sleep="concern")
        with pytest.raises(RuleBroken) as broken:
            move(team["coach"], made, "close")
    assert [reason.code for reason in broken.value.reasons] == ["hold_open"]


def test_where_it_already_stands_it_does_not_move(team):
    made = ready(team["coach"], stages()[0])
    with pytest.raises(RuleBroken) as broken:
        move(team["coach"], made, "steady", "why not")
    assert broken.value.reasons[0].code == "same_stage"


def test_evidence_is_kept_sealed_and_need_not_be_written_twice(team):
    here = stage_by_id()["understand"]
    made = ready(team["coach"], here)
    with day(0):
        move(team["coach"], made, "rebuild", evidence={**lines(here), "made_up": "x"})
        move(team["coach"], made, "understand", "Once more.")
        move(team["coach"], made, "rebuild")
    rows = db.session.scalars(sa.select(Attestation)).all()
    assert {row.criterion for row in rows} == set(lines(here))
    assert all(b"Seen" not in row.evidence for row in rows)
    put_in(made, "understand")
    gate = gate_of(case_head(team["coach"], made.case_id), today=TODAY.date())
    assert {check.evidence for check in gate.checks if check.attested} == set(lines(here).values())


def test_blank_evidence_is_none():
    found = MoveSchema().load({"to": "rebuild", "evidence": {"limits_written": "   "}})
    assert found.evidence == {}
    assert MoveSchema().validate({"to": "nowhere"})


def test_the_last_stage_has_no_gate(team):
    made = ready(team["coach"], stages()[-1])
    assert gate_of(case_head(team["coach"], made.case_id), today=TODAY.date()) is None


def test_two_who_move_at_once_move_it_once(team, app):
    here = stage_by_id()["steady"]
    made = ready(team["coach"], here)

    def go(_number):
        with day(0):
            move(team["coach"], made, "understand", evidence=lines(here), version=1)

    answers = together(app, 4, go)
    assert answers.count(None) == 1
    assert all(isinstance(one, (Stale, RuleBroken)) for one in answers if one is not None), answers
    head = case_head(team["coach"], made.case_id)
    assert [step.kind for step in steps_of(head)] == ["moved", "opened"]


def test_only_those_on_the_care_team_move_a_case(team):
    made = ready(team["coach"], stages()[0])
    with pytest.raises(NotFound):
        move(team["coach2"], made, "understand", evidence=lines(stages()[0]))
    with pytest.raises(Forbidden):
        move(team["admin"], made, "understand")
