from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.reading import SUSPENDED_PAGE_SIZE
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.listed_clients import MAX_RECENT_CASES
from caseapp.domain.dashboard.queries import (
    MAX_CASES_PER_STAGE,
    MAX_FOLLOWUPS,
    MAX_HOLDS,
    get_today,
)
from caseapp.domain.dashboard.rules import order_attention
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.notes.operations import record_draft_screening
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.screening.operations import set_manual_flag
from tests.domain.dashboard import bulk_rows
from tests.support import builders, followups

pytestmark = pytest.mark.both


def add_task(actor, client_id, title, due_at):
    with transaction():
        return create_followup(actor, lock_client(actor, client_id), NewFollowUp(title, due_at))


@pytest.mark.slow
def test_unrecorded_concern_is_first_until_recorded(team):
    coach = team["coach"]
    case = builders.case(coach, "Ines Okafor")
    builders.draft(coach, case.case_id, days_ago=5)
    note_id = builders.draft(coach, case.case_id, levels={"eating": 2})
    found = get_today(coach)
    assert [line.id for line in found.unrecorded_concerns] == [note_id]
    assert found.drafts[0].id == note_id
    assert found.holds == []
    with transaction():
        record_draft_screening(coach, lock_note(coach, note_id), 2)
    found = get_today(coach)
    assert found.unrecorded_concerns == []
    assert [hold.kind for hold in found.holds] == ["care"]


@pytest.mark.slow
def test_holds_list_safety_before_older_care_with_next_followup(team):
    coach = team["coach"]
    care, safety = builders.case(coach, "Tomasz Care"), builders.case(coach, "Ines Safety")
    builders.screen(coach, care.client_id, sleep=2, eating=1, days_ago=3)
    builders.screen(coach, safety.client_id, fear_at_home=2, self_harm=3)
    found = get_today(coach).holds
    assert [(hold.client, hold.kind) for hold in found] == [
        ("Ines Safety", "safety"),
        ("Tomasz Care", "care"),
    ]
    assert found[0].levels == {"self_harm": 3, "fear_at_home": 2}
    assert found[0].next_followup.due_at <= now()
    assert found[1].levels == {"sleep": 2}
    assert found[1].next_followup.title == "Make the referral"
    assert (found[1].number, found[1].coach) == (care.number, coach.name)


@pytest.mark.slow
def test_new_urgent_hold_comes_before_many_older_ones(team):
    coach = team["coach"]
    with at(now() - timedelta(days=30)):
        bulk_rows.caseload(coach, MAX_HOLDS)
        released = builders.case(coach, "Waits For Release")
    builders.screen(coach, released.client_id, fear_at_home=2, days_ago=30)
    for task in list_client_followups(coach, released.client_id, open_only=True):
        followups.complete(coach, task.id)
    fresh = builders.case(coach, "Urgent Now")
    builders.screen(coach, fresh.client_id, self_harm=3)
    found = get_today(coach)
    assert [hold.client for hold in found.holds[:2]] == ["Urgent Now", "Waits For Release"]
    assert {hold.kind for hold in found.holds[2:]} == {"care"}
    assert found.more_holds
    assert len(found.holds) == MAX_HOLDS


@pytest.mark.slow
def test_old_hold_with_an_overdue_action_is_not_cut_off_by_newer_ones(team):
    coach = team["coach"]
    old = builders.case(coach, "Overdue For Weeks")
    builders.screen(coach, old.client_id, fear_at_home=2, days_ago=60)
    for _ in range(MAX_HOLDS + 2):
        builders.screen(coach, builders.case(coach).client_id, harm_to_others=2)
    for who in (coach, team["supervisor"]):
        assert "Overdue For Weeks" in {hold.client for hold in get_today(who).holds}


@pytest.mark.slow
def test_recent_cases_of_a_supervisor_are_those_of_all_their_coaches_by_activity(team):
    coach, supervisor = team["coach"], team["supervisor"]
    with at(now() - timedelta(days=20)):
        made = [builders.case(coach) for _ in range(MAX_RECENT_CASES + 2)]
        foreign = builders.case(team["coach2"])
    for days_ago, case in enumerate(reversed(made), 1):
        builders.note(coach, case.case_id, days_ago=days_ago)
    builders.note(team["coach2"], foreign.case_id)
    with at(now() - timedelta(days=3, hours=12)):
        changed = builders.case(supervisor)
    builders.screen(coach, made[0].client_id)
    found = [case.id for case in get_today(supervisor).recent_cases]
    assert found == [
        *(case.case_id for case in made[:-4:-1]),
        changed.case_id,
        *(case.case_id for case in made[-4:-MAX_RECENT_CASES:-1]),
    ]


def test_followups_are_own_and_due_within_a_week(team):
    coach = team["coach"]
    case = builders.case(coach)
    moment = now()
    add_task(coach, case.client_id, "Later", moment + timedelta(days=8))
    add_task(coach, case.client_id, "Soon", moment + timedelta(days=2))
    add_task(coach, case.client_id, "Overdue", moment - timedelta(days=2))
    add_task(team["supervisor"], case.client_id, "Of somebody else", moment)
    found = get_today(coach)
    assert [task.title for task in found.followups] == ["Overdue", "Soon"]
    assert found.case_numbers == {case.client_id: case.number}


def test_recent_cases_are_ordered_by_last_activity(team):
    coach = team["coach"]
    with at(now() - timedelta(days=9)):
        quiet, busy = builders.case(coach, "Quiet One"), builders.case(coach, "Busy One")
    builders.screen(coach, busy.client_id, sleep=1, work=1)
    builders.note(coach, busy.case_id, days_ago=1)
    fresh = builders.case(coach, "Fresh One")
    found = get_today(coach).recent_cases
    assert [case.id for case in found] == [fresh.case_id, busy.case_id, quiet.case_id]
    assert set(found[1].levels) == {"sleep", "work"}
    assert found[1].met.session is not None
    assert (found[2].met.session, found[2].screened) == (None, False)


@pytest.mark.slow
def test_open_cases_are_counted_by_stage(team):
    coach = team["coach"]
    bulk_rows.caseload(coach, 5)
    counts = {row.stage.id: row.cases for row in get_today(coach).cases_by_stage}
    assert counts["steady"] == 3
    assert counts["rebuild"] == 2
    assert counts["repair"] == 0
    assert get_today(coach).open_cases == 5


@pytest.mark.both(later=True)
@pytest.mark.slow
def test_stage_count_of_a_supervisor_stops_at_its_cap(team):
    coach = team["coach"]
    bulk_rows.caseload(coach, 2 * MAX_CASES_PER_STAGE + 2)
    assert get_today(coach).open_cases == 2 * MAX_CASES_PER_STAGE + 2
    found = get_today(team["supervisor"])
    assert found.is_truncated
    assert [row.cases for row in found.cases_by_stage if row.cases] == [
        MAX_CASES_PER_STAGE,
        MAX_CASES_PER_STAGE,
    ]


@pytest.mark.both(later=True)
@pytest.mark.slow
def test_suspended_handouts_are_counted_in_all_or_the_newest_cases(team):
    coach = team["coach"]
    with at(now() - timedelta(days=1)):
        oldest = builders.case(coach, "Ines Okafor")
        builders.screen(coach, oldest.client_id)
        with transaction():
            assign_handout(
                coach,
                lock_case(coach, oldest.case_id),
                "first-days-pause",
                message="",
                channel="portal",
            )
    with transaction():
        set_manual_flag(coach, lock_client(coach, oldest.client_id), "unsafe_delivery")
    bulk_rows.caseload(coach, SUSPENDED_PAGE_SIZE - 1)
    found = get_today(coach)
    assert (found.suspended, found.suspended_scope) == (1, None)
    bulk_rows.caseload(coach, 1, since=SUSPENDED_PAGE_SIZE)
    found = get_today(coach)
    assert (found.suspended, found.suspended_scope) == (0, SUSPENDED_PAGE_SIZE)


@pytest.mark.slow
def test_supervisor_sees_holds_of_their_coaches_and_the_age_of_drafts(team):
    coach, other, supervisor = team["coach"], team["coach2"], team["supervisor"]
    mine, foreign = builders.case(coach, "Ines Okafor"), builders.case(other, "Not Theirs")
    for actor, case in ((coach, mine), (other, foreign)):
        builders.screen(actor, case.client_id, self_harm=2)
        builders.draft(actor, case.case_id, levels={"self_harm": 3})
    found = get_today(supervisor)
    assert [hold.client for hold in found.holds] == ["Ines Okafor"]
    assert (found.drafts, found.unrecorded_concerns) == ([], [])
    assert [draft.author for draft in found.coaches_drafts] == [coach.name]
    assert get_today(coach).coaches_drafts == []


def test_admin_sees_no_clients(team):
    case = builders.case(team["coach"])
    builders.screen(team["coach"], case.client_id, self_harm=3)
    found = get_today(team["admin"])
    assert (
        found.holds,
        found.recent_cases,
        found.drafts,
        found.followups,
        found.cases_by_stage,
    ) == ([],) * 5


def test_overdue_action_is_listed_below_any_number_of_own_tasks_that_are_older(team):
    coach = team["coach"]
    case = builders.case(coach, "Late Recheck")
    builders.screen(coach, case.client_id, sleep=1, days_ago=40)
    [recheck] = list_client_followups(coach, case.client_id, open_only=True)
    for number in range(MAX_FOLLOWUPS + 1):
        add_task(coach, case.client_id, f"Ring number {number}", now() - timedelta(days=60))
    found = get_today(coach)
    assert {task.kind for task in found.followups} == {"custom"}
    actions = [task.id for what, task in order_attention(found) if what == "action"]
    assert actions == [recheck.id]
    assert found.case_numbers == {case.client_id: case.number}
