from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.errors import Forbidden, Invalid
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import list_waiting_alerts, lock_alert
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.board import SHOWN, get_board
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.screening.operations import decide_proposals
from caseapp.domain.screening.schemas import Decisions
from tests.domain.dashboard import bulk_rows
from tests.support import builders, followups

pytestmark = pytest.mark.both


def rows(actor, group, **more):
    return get_board(actor, show=group, limit=25, **more).groups[group].page.items


def clients(actor, group):
    return [row.client for row in rows(actor, group)]


def finish(actor, made, *, by):
    """Do everything that a safety hold of ten days ago needs but for its release; `by` screens at the end."""
    for days_ago in (8, 6, 2):
        with at(now() - timedelta(days=days_ago)):
            followups.complete_all(actor, made.client_id)
    builders.screen(by, made.client_id)


@pytest.mark.slow
def test_alerts_are_listed_until_somebody_acknowledges(team):
    coach, supervisor = team["coach"], team["supervisor"]
    care, safety = builders.case(coach, "Tomasz Care"), builders.case(coach, "Ines Safety")
    builders.screen(coach, care.client_id, sleep=2, days_ago=2)
    builders.screen(coach, safety.client_id, self_harm=3)
    foreign = builders.case(team["coach2"], "Not Theirs")
    builders.screen(team["coach2"], foreign.client_id, self_harm=3)
    found = rows(supervisor, "alerts")
    assert [(row.client, row.kind) for row in found] == [
        ("Ines Safety", "safety"),
        ("Tomasz Care", "care"),
    ]
    assert (found[0].person, found[0].addressed_to) == (coach.name, (supervisor.name,))
    assert found[0].number == safety.number
    with transaction():
        acknowledge_alert(supervisor, lock_alert(supervisor, list_waiting_alerts(supervisor)[0].id))
    assert clients(supervisor, "alerts") == ["Tomasz Care"]


def test_alert_that_the_supervisor_opened_is_listed_too(team):
    supervisor = team["supervisor"]
    made = builders.case(supervisor, "Own Client")
    builders.screen(supervisor, made.client_id, self_harm=3)
    (row,) = rows(supervisor, "alerts")
    assert (row.client, row.addressed_to) == ("Own Client", ())


@pytest.mark.slow
def test_hold_waits_for_a_second_person_once_all_else_is_done(team):
    coach, supervisor = team["coach"], team["supervisor"]
    made, own = builders.case(coach, "Ines Okafor"), builders.case(coach, "Screened By Both")
    for case in (made, own):
        builders.screen(coach, case.client_id, days_ago=10, self_harm=3)
        assert rows(supervisor, "holds") == []
    finish(coach, made, by=coach)
    finish(coach, own, by=supervisor)
    found = {row.client: row.is_own for row in rows(supervisor, "holds")}
    assert found == {"Ines Okafor": True, "Screened By Both": False}


def test_overdue_actions_are_counted_by_person_the_oldest_first(team):
    coach, supervisor = team["coach"], team["supervisor"]
    old, new = builders.case(coach, "Old One"), builders.case(supervisor, "New One")
    builders.screen(coach, old.client_id, sleep=2, days_ago=20)
    builders.screen(supervisor, new.client_id, sleep=2, days_ago=12)
    with transaction():
        custom = NewFollowUp("Ring the school", now() - timedelta(days=30))
        create_followup(coach, lock_client(coach, old.client_id), custom)
    group = get_board(supervisor, show="actions", limit=25).groups["actions"]
    assert [person.name for person in group.people] == [coach.name, supervisor.name]
    assert [person.count for person in group.people] == [
        sum(row.person == person.name for row in group.page.items) for person in group.people
    ]
    assert group.page.items[0].client == "Old One"
    assert "Ring the school" not in {row.title for row in group.page.items}
    mine = get_board(supervisor, show="actions", person_id=supervisor.id, limit=25)
    assert {row.client for row in mine.groups["actions"].page.items} == {"New One"}
    assert mine.groups["actions"].count == group.people[1].count


def test_action_is_not_overdue_within_its_grace(team):
    coach = team["coach"]
    made = builders.case(coach)
    with at(now() - timedelta(minutes=50)):
        builders.screen(coach, made.client_id, self_harm=3)
    assert rows(team["supervisor"], "actions") == []
    with at(now() + timedelta(minutes=20)):
        assert rows(team["supervisor"], "actions") != []


@pytest.mark.slow
def test_levels_that_nobody_asked_about_for_two_weeks_are_listed_the_highest_first(team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = {}
    for name, days_ago, levels in (
        ("Watch One", 15, {"sleep": 1}),
        ("Held One", 16, {"work": 1, "self_harm": 3}),
        ("Fresh One", 13, {"sleep": 1}),
        ("Steady One", 40, {}),
        ("Asked Again", 20, {"sleep": 1}),
    ):
        made[name] = builders.case(coach, name)
        builders.screen(coach, made[name].client_id, days_ago=days_ago, **levels)
    builders.screen(coach, made["Asked Again"].client_id, sleep=1)
    builders.case(coach, "Never Screened")
    found = rows(supervisor, "levels")
    assert [row.client for row in found] == ["Held One", "Watch One"]
    assert found[0].levels == {"self_harm": 3, "work": 1}
    assert (found[0].person, found[0].number) == (coach.name, made["Held One"].number)


def test_old_levels_are_found_however_many_cases_come_before(team, monkeypatch):
    monkeypatch.setattr("caseapp.domain.dashboard.old_levels.WALKED", 3)
    coach, supervisor = team["coach"], team["supervisor"]
    with at(now() - timedelta(days=30)):
        bulk_rows.caseload(coach, 4)
    late = builders.case(coach, "Late One")
    builders.screen(coach, late.client_id, days_ago=15, sleep=1)
    group = get_board(supervisor, show="levels", limit=25).groups["levels"]
    assert group.is_truncated
    page = get_board(supervisor, show="levels", cursor=group.page.next, limit=25)
    found = page.groups["levels"]
    assert "Late One" in {row.client for row in found.page.items}
    assert not found.is_truncated


def test_declined_proposals_are_listed_with_the_reason(team):
    coach, reason = team["coach"], "Two short nights before an exam, well otherwise."
    made = builders.case(coach, "Mara Lind")
    builders.screen(coach, made.client_id, sleep=1, days_ago=15)
    with transaction():
        decisions = Decisions((), {"sleep": reason})
        decide_proposals(coach, lock_client(coach, made.client_id), decisions)
    (row,) = rows(team["supervisor"], "declined")
    assert (row.client, row.person, row.title, row.levels) == (
        "Mara Lind",
        coach.name,
        reason,
        {"sleep": 1},
    )


def test_unsigned_notes_are_listed_by_age_without_content(team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach, "Ines Okafor")
    builders.draft(coach, made.case_id, days_ago=1)
    builders.draft(supervisor, made.case_id, days_ago=5)
    builders.note(coach, made.case_id)
    found = rows(supervisor, "notes")
    assert [row.person for row in found] == [supervisor.name, coach.name]
    assert not hasattr(found[0], "sections")


@pytest.mark.slow
def test_group_is_counted_whole_and_paged_to_its_end(team):
    coach, supervisor = team["coach"], team["supervisor"]
    bulk_rows.caseload(coach, SHOWN + 3)
    whole = get_board(supervisor).groups["notes"]
    assert (whole.count, len(whole.page.items)) == (SHOWN + 3, SHOWN)
    seen, cursor = [], None
    while True:
        page = get_board(supervisor, show="notes", cursor=cursor, limit=3).groups["notes"].page
        seen += [row.id for row in page.items]
        if (cursor := page.next) is None:
            break
    assert len(set(seen)) == len(seen) == SHOWN + 3


@pytest.mark.parametrize("group", ["alerts", "actions", "notes"])
def test_foreign_cursor_is_refused(team, group):
    builders.screen(team["coach"], builders.case(team["coach"]).client_id, self_harm=3, days_ago=9)
    with pytest.raises(Invalid):
        get_board(team["supervisor"], show=group, cursor="WzcuNV0")


@pytest.mark.parametrize("who", ["coach", "admin"])
def test_board_is_for_supervisors(team, who):
    with pytest.raises(Forbidden):
        get_board(team[who])
