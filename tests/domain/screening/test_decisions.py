"""A coach decides about what is proposed as a concern: it is recorded as one, or why it is none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.cases.operations import close_case, reopen_case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseClosing
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.declined_proposals import list_declined_proposals
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.marks import DECLINED, KINDS, PROPOSED, list_marks
from caseapp.domain.screening.operations import decide_proposals, record_screening
from caseapp.domain.screening.schemas import Decisions, NewScreening
from tests.domain.screening.hold_helpers import START, day
from tests.support import builders

REASON = "Two short nights before an exam, well otherwise."
CLOSING = CaseClosing("other", "decision", "done", "", follow_up_consent=False, follow_up_on=None)


@pytest.fixture
def made(team):
    """Return a case with sleep and eating at watch since day 0."""
    with day(-1):
        found = builders.case(team["coach"], "Mara Lind")
    with day(0):
        builders.screen(team["coach"], found.client_id, sleep="watch", eating="watch")
    return found


def decide(actor, made, *concerns, **declined):
    with transaction():
        decisions = Decisions(concerns, declined)
        decide_proposals(actor, lock_client(actor, made.client_id), decisions)


def proposed(made):
    db.session.rollback()
    return [found.item for found in get_safety_state(made.client_id).proposals]


def test_confirmed_concern_is_a_screening_with_all_that_it_requires(team, made):
    with day(14):
        decide(team["coach"], made, "sleep")
        history = get_safety_history(made.client_id)
        newest = history.screenings[0]
        assert {item: level for item, level in newest.levels.items() if level is not None} == {
            "sleep": 2
        }
        assert newest.comment == "Sleep: at Watch or above since 2026-05-14."
        [hold] = get_safety_state(made.client_id).holds
        tasks = list_client_followups(team["coach"], made.client_id, open_only=True)
        assert hold.kind == "care"
        assert {"referral", "referral_outcome"} <= {task.kind for task in tasks}
        assert proposed(made) == ["eating"]


def test_declined_proposal_is_kept_with_its_reason_and_made_again_after_a_week(team, made):
    with day(14):
        decide(team["coach"], made, sleep=REASON)
        assert proposed(made) == ["eating"]
        raised = get_safety_state(made.client_id).raised["sleep"]
        assert (raised.declined_because, raised.declined_by) == (REASON, team["coach"].id)
    with day(20):
        assert proposed(made) == ["eating"]
    with day(21):
        assert proposed(made) == ["eating", "sleep"]


def test_audit_log_says_that_a_proposal_was_declined_and_not_which(team, made):
    with day(14):
        decide(team["coach"], made, sleep=REASON)
    wanted = AuditFilter(action="screening.record", client_id=made.client_id)
    newest = list_audit_events(team["admin"], wanted, None, 1).items[0]
    assert (newest.object_kind, newest.details) == ("proposal", {})


@pytest.mark.parametrize("item", ["work", "sleep", "self_harm"])
def test_item_that_is_not_proposed_cannot_be_decided(team, made, item):
    with day(13), pytest.raises(RuleBroken) as refused:
        decide(team["coach"], made, **{item: REASON})
    assert [reason.code for reason in refused.value.reasons] == ["not_proposed"]
    with day(13), pytest.raises(RuleBroken):
        decide(team["coach"], made, item)


def test_one_item_that_is_not_proposed_refuses_the_whole_decision(team, made):
    with day(14), pytest.raises(RuleBroken):
        decide(team["coach"], made, "sleep", work=REASON)
    db.session.rollback()
    assert len(get_safety_history(made.client_id).events) == 1


def test_admin_decides_nothing(team, made):
    with day(14), transaction():
        client = lock_client(team["coach"], made.client_id)
        with pytest.raises(Forbidden):
            decide_proposals(team["admin"], client, Decisions(("sleep",)))


def test_reported_day_is_kept_and_makes_the_proposal_at_first_contact(team, made):
    coach = team["coach"]
    with day(1), transaction():
        since = (START - timedelta(days=30)).date()
        new = NewScreening({"work": 1, "household": 0}, lasting_since={"work": since})
        record_screening(coach, lock_client(coach, made.client_id), new)
    with day(1):
        assert proposed(made) == ["work"]
    assert get_safety_history(made.client_id).screenings[0].lasting_since == {"work": since}


def test_reported_day_of_an_item_below_watch_is_left_out(team, made):
    coach = team["coach"]
    with day(1), transaction():
        new = NewScreening({"work": 0}, lasting_since={"work": START.date(), "sleep": START.date()})
        record_screening(coach, lock_client(coach, made.client_id), new)
    assert get_safety_history(made.client_id).screenings[0].lasting_since == {}


def test_reported_day_in_the_future_is_refused(team, made):
    coach = team["coach"]
    new = NewScreening({"work": 1}, lasting_since={"work": (START + timedelta(days=2)).date()})
    with day(1), transaction():
        client = lock_client(coach, made.client_id)
        with pytest.raises(Invalid) as refused:
            record_screening(coach, client, new)
    assert [*refused.value.fields] == ["lasting_since.work"]


def shown(actor):
    db.session.rollback()
    return [
        (found.client, [proposal.item for proposal in found.proposals])
        for found in get_today(actor).proposed
    ]


@pytest.mark.slow
def test_today_shows_what_is_proposed_to_the_coach_and_the_supervisor_until_it_is_decided(
    team, made
):
    for who in ("coach", "supervisor"):
        with at(START + timedelta(days=14, seconds=-1)):
            assert shown(team[who]) == []
        with day(14):
            assert shown(team[who]) == [("Mara Lind", ["sleep", "eating"])]
    with day(14):
        assert shown(team["coach2"]) == shown(team["supervisor2"]) == []
        decide(team["coach"], made, "eating", sleep=REASON)
        assert shown(team["coach"]) == []
    with day(21):
        assert shown(team["supervisor"]) == [("Mara Lind", ["sleep"])]
        builders.screen(team["coach"], made.client_id)
        assert shown(team["supervisor"]) == []


def test_today_opens_no_client_before_the_week_of_the_proposal(team, made):
    for number, expected in ((6, 0), (14, 1)):
        with day(number):
            marks = list_marks(team["coach"].id, [PROPOSED], until=START + timedelta(days=number))
            assert len(marks) == expected


def test_declined_proposals_are_listed_for_who_may_see_the_client(team, made):
    with day(14):
        decide(team["coach"], made, sleep=REASON)
        assert list_declined_proposals(team["supervisor2"], 10) == []
        [found] = list_declined_proposals(team["supervisor"], 10)
    assert (found.client, found.number, found.item) == ("Mara Lind", made.number, "sleep")
    assert (found.reason, found.declined_by) == (REASON, team["coach"].name)
    assert found.proposed_again_at == START + timedelta(days=21)
    with day(21):
        assert list_declined_proposals(team["supervisor"], 10) == []


def test_declined_proposal_leaves_the_list_with_a_newer_answer(team, made):
    with day(14):
        decide(team["coach"], made, sleep=REASON)
        builders.screen(team["coach"], made.client_id, sleep="none")
        assert list_declined_proposals(team["supervisor"], 10) == []
        assert list_marks(team["supervisor"].id, [DECLINED]) == []


@pytest.mark.slow
def test_closed_case_asks_for_no_decision_and_a_reopened_one_does(team, made):
    coach = team["coach"]
    with day(15):
        builders.screen(coach, made.client_id, sleep="watch")
        with transaction():
            close_case(coach, lock_case(coach, made.case_id), CLOSING, 1)
        assert shown(coach) == []
        assert list_marks(coach.id, KINDS) == []
        with transaction():
            reopen_case(coach, lock_case(coach, made.case_id), "Asked for it.", 2)
        assert shown(coach) == [("Mara Lind", ["sleep"])]
