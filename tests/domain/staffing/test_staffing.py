from typing import Any

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Unauthenticated
from caseapp.core.outbox import OutboxRow
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import list_waiting_alerts, lock_alert
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.operations import close_case, reopen_case
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.cases.schemas import CaseClosing
from caseapp.domain.clients.memberships import join_care_team
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.dashboard.timeline import list_timeline
from caseapp.domain.dashboard.timeline_filter import TimelineFilter
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.notes.queries import list_own_drafts
from caseapp.domain.screening.marks import PROPOSED, list_marks
from caseapp.domain.staffing.operations import (
    HAND_OVER_MAIL,
    change_supervisor,
    hand_over,
    send_hand_over_mail,
)
from caseapp.domain.staffing.queries import (
    get_hand_over,
    list_responsibilities,
    lock_member,
    lock_members,
)
from caseapp.domain.users.models import User
from tests.domain.staffing.steps import disable, give, marked
from tests.support import builders, followups, staff
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both


def queued(kind):
    db.session.rollback()
    return db.session.scalars(sa.select(OutboxRow.payload).where(OutboxRow.kind == kind)).all()


def test_coach_with_an_open_hold_flag_or_follow_up_is_not_disabled(team):
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3)
    quiet = builders.case(coach, "Quiet One")
    with pytest.raises(RuleBroken) as refused:
        disable(coach)
    (reason,) = refused.value.reasons
    assert reason.code == "clients_left"
    assert made.number in reason.message
    assert quiet.number not in reason.message
    assert "Ines" not in reason.message


@pytest.mark.slow
def test_client_moves_with_case_follow_ups_marks_and_alerts(team):
    coach, heir, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3)
    note_id = builders.draft(coach, made.case_id)
    give(supervisor, made, coach, heir)
    assert get_case_context(heir, made.case_id).case.coach_id == heir.id
    assert {task.assigned_to for task in list_client_followups(heir, made.client_id)} == {heir.id}
    assert (marked(coach), marked(heir), marked(supervisor)) == (
        set(),
        {made.client_id},
        {made.client_id},
    )
    assert [hold.client for hold in get_today(heir).holds] == ["Ines Okafor"]
    assert [alert.client for alert in list_waiting_alerts(heir)] == ["Ines Okafor"]
    with pytest.raises(NotFound):
        get_client_record(coach, made.client_id)
    event = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == Action.HAND_OVER.value)
    ).one()
    assert event.details["from"] == coach.id.hex
    assert event.details["to"] == heir.id.hex
    assert note_id not in {draft.id for draft in list_own_drafts(heir)}
    assert list_responsibilities(coach.id) == []
    disable(coach)


def hand_overs(reader, made):
    context = get_case_context(reader, made.case_id)
    page = list_timeline(
        reader, context, TimelineFilter(frozenset({"stage", "coach"})), cursor=None, limit=9
    )
    return [(item.title, item.text, item.byline) for item in page.items]


@pytest.mark.slow
def test_timeline_of_the_newest_case_shows_each_hand_over(team):
    coach, heir, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    opened = ("Case opened", "", coach.name)
    assert hand_overs(coach, made) == [opened]
    give(supervisor, made, coach, heir)
    event = (
        f"Handed over to {heir.name}",
        f"Until then {coach.name} was responsible.",
        supervisor.name,
    )
    assert hand_overs(heir, made) == [event, opened]
    with pytest.raises(NotFound):
        give(supervisor, made, coach, heir)
    assert hand_overs(supervisor, made) == [event, opened]
    without_case = builders.client(heir)
    builders.screen(heir, without_case, self_harm=3)
    with transaction():
        hand_over(supervisor, lock_client(supervisor, without_case), heir.id, coach.id)
    assert hand_overs(supervisor, made) == [event, opened]


def test_marks_of_proposals_move_with_the_client_and_with_the_supervisor(team):
    coach, supervisor, other = team["coach"], team["supervisor"], team["supervisor2"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, sleep=1, days_ago=15)

    def proposed(actor):
        return [mark.client_id for mark in list_marks(actor.id, (PROPOSED,))]

    assert proposed(coach) == proposed(supervisor) == [made.client_id]
    give(supervisor, made, coach, team["coach2"])
    assert (proposed(coach), proposed(team["coach2"])) == ([], [made.client_id])
    with transaction():
        change_supervisor(operator(), lock_member(team["coach2"].id), lock_member(other.id))
    assert (proposed(supervisor), proposed(other)) == ([], [made.client_id])


def test_new_coach_is_mailed_when_no_alert_waits(team, monkeypatch):
    coach, heir, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3)
    with transaction():
        (alert,) = list_waiting_alerts(supervisor)
        acknowledge_alert(supervisor, lock_alert(supervisor, alert.id))
    give(supervisor, made, coach, heir)
    assert queued(HAND_OVER_MAIL) == [{"user": heir.id.hex}]
    sent: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", sent.append)
    assert send_hand_over_mail(heir.id)
    (message,) = sent
    assert message.to == "coach2@practice.test"
    assert "Ines" not in message.body + message.subject
    assert made.number not in message.body


def test_handing_over_is_for_supervisors_and_their_own_teams(team):
    coach, heir = team["coach"], team["coach2"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    with pytest.raises(Forbidden):
        give(coach, made, coach, heir)
    with pytest.raises(NotFound):
        give(team["supervisor2"], made, coach, heir)
    with pytest.raises(NotFound):
        get_hand_over(team["supervisor2"], coach.id)


@pytest.mark.parametrize("who", ["admin", "coach"])
def test_heir_has_to_be_somebody_else_who_may_coach(team, who):
    coach = team["coach"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    with pytest.raises(Invalid) as refused:
        give(team["supervisor"], made, coach, team[who])
    assert refused.value.fields.keys() == {"heir_id"}
    assert marked(coach) == {made.client_id}


def test_follow_up_about_somebody_elses_client_goes_to_whoever_sees_the_client(team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, harm_to_others=3)
    (duty,) = (
        task
        for task in list_client_followups(coach, made.client_id, open_only=True)
        if task.kind == "duty_check"
    )
    followups.complete(coach, duty.id, result="not_sure", note="I am really not sure about this.")
    (found,) = list_responsibilities(supervisor.id)
    assert (found.is_coach, found.followups) == (False, 1)
    with pytest.raises(Invalid):
        give(supervisor, made, supervisor, team["coach2"])
    give(supervisor, made, supervisor, coach)
    assert list_responsibilities(supervisor.id) == []
    assert get_case_context(coach, made.case_id).case.coach_id == coach.id


@pytest.mark.slow
def test_supervisor_is_not_disabled_before_their_people_have_another_one(team):
    supervisor, other = team["supervisor"], team["supervisor2"]
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, self_harm=3)
    with pytest.raises(RuleBroken) as refused:
        disable(supervisor)
    assert [reason.code for reason in refused.value.reasons] == ["people_left"]
    disable(supervisor, other)
    assert marked(other) == {made.client_id}
    assert marked(supervisor) == set()
    assert [hold.client for hold in get_today(other).holds] == ["Ines Okafor"]
    # So does the alert that waited for whoever has left.
    assert [alert.client for alert in list_waiting_alerts(other)] == ["Ines Okafor"]


@pytest.mark.parametrize("who", ["coach2", "coach"])
def test_only_an_active_supervisor_supervises(team, who):
    with pytest.raises(RuleBroken), transaction():
        change_supervisor(operator(), lock_member(team["coach"].id), lock_member(team[who].id))


def test_whoever_was_disabled_records_nothing_more(team):
    coach = team["coach"]
    made = builders.case(coach)
    disable(coach)
    with pytest.raises(Unauthenticated):
        builders.screen(coach, made.client_id, self_harm=3)
    assert marked(team["supervisor"]) == set()


def test_handing_over_twice_finds_nothing_the_second_time(team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    give(supervisor, made, coach, team["coach2"])
    with pytest.raises((NotFound, Invalid)):
        give(supervisor, made, coach, team["coach2"])


def open_tasks(actor, made):
    return {
        task.kind: task for task in list_client_followups(actor, made.client_id, open_only=True)
    }


def assigned(actor, made):
    return {task.assigned_to for task in open_tasks(actor, made).values()}


def decline_plan(team, made):
    """Let the client decline a safety plan, so that the supervisor has to decide."""
    plan = open_tasks(team["coach"], made)["safety_plan"]
    followups.complete(
        team["coach"], plan.id, "declined", "The client did not want any plan today."
    )


def close(actor, made, not_screened_reason=""):
    screening = "not_possible" if not_screened_reason else "done"
    closing = CaseClosing(
        "lost_contact",
        "client_stopped",
        screening,
        not_screened_reason,
        follow_up_consent=False,
        follow_up_on=None,
    )
    with transaction():
        case = lock_case(actor, made.case_id)
        close_case(actor, case, closing, case.case.version)


def test_what_follows_a_decision_is_the_task_of_whoever_looks_after_the_client_now(team):
    coach, heir, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    decline_plan(team, made)
    give(supervisor, made, coach, heir)
    disable(coach)
    decision = open_tasks(supervisor, made)["declined_decision"]
    followups.complete(supervisor, decision.id, "try_again", "Ask about the plan once more.")
    assert open_tasks(heir, made)["safety_plan"].assigned_to == heir.id


@pytest.mark.slow
def test_reopened_case_goes_to_whoever_looks_after_the_client_now(team):
    coach, heir, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    moment = followups.lose_contact(coach, supervisor, made.client_id)
    with at(moment):
        close(supervisor, made, "Could not be reached at all.")
        give(supervisor, made, coach, heir)
        disable(coach)
        with transaction():
            case = lock_case(heir, made.case_id)
            reopen_case(heir, case, "The client rang us today.", case.case.version)
        db.session.rollback()
        assert get_case_context(heir, made.case_id).case.coach_id == heir.id
        assert assigned(heir, made) == {heir.id}


def test_supervisor_who_reopens_the_case_of_somebody_who_has_left_becomes_the_coach(team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id)
    close(coach, made)
    disable(coach)
    with transaction():
        case = lock_case(supervisor, made.case_id)
        reopen_case(supervisor, case, "The client rang us today.", case.case.version)
    db.session.rollback()
    assert get_case_context(supervisor, made.case_id).case.coach_id == supervisor.id


def supervise(member, supervisor):
    with transaction():
        above = lock_member(supervisor.id) if supervisor else None
        change_supervisor(operator(), lock_member(member.id), above)


def test_open_decisions_move_to_the_new_supervisor(team):
    coach, supervisor, other = team["coach"], team["supervisor"], team["supervisor2"]
    made, kept = builders.case(coach), builders.case(team["coach2"])
    for one in (made, kept):
        builders.screen(coach if one is made else team["coach2"], one.client_id, self_harm=3)
    decline_plan(team, made)
    builders.screen(supervisor, kept.client_id, sleep=2)
    supervise(coach, other)
    assert open_tasks(other, made)["declined_decision"].assigned_to == other.id
    # The old supervisor still sees the clients of their other coach.
    assert supervisor.id in assigned(supervisor, kept)
    assert {found.client_id for found in list_responsibilities(supervisor.id)} == {kept.client_id}


def test_actions_of_the_supervisor_stay_with_nobody_who_no_longer_sees_the_client(team):
    coach, supervisor, other = team["coach"], team["supervisor"], team["supervisor2"]
    made, stranger = (
        builders.case(coach),
        staff.add("coach3", role="coach", supervisor="supervisor2"),
    )
    builders.screen(supervisor, made.client_id, self_harm=3)
    assert assigned(coach, made) == {supervisor.id}
    give(supervisor, made, coach, stranger)
    assert assigned(other, made) == {other.id}
    assert list_responsibilities(supervisor.id) == []


def test_page_lists_only_clients_whom_the_supervisor_sees_and_counts_the_others(team):
    supervisor, other = team["supervisor"], team["supervisor2"]
    stranger = staff.add("coach3", role="coach", supervisor="supervisor2")
    made = builders.case(stranger, "Ines Okafor")
    builders.screen(stranger, made.client_id, self_harm=3)
    with transaction():
        db.session.execute(sa.update(FollowUp).values(assigned_to=supervisor.id))
    found = get_hand_over(supervisor, supervisor.id)
    assert (found.clients, found.hidden) == ((), 1)
    # Whoever sees the client hands the follow-ups over.
    (client,) = get_hand_over(other, supervisor.id).clients
    assert client.client == "Ines Okafor"
    give(other, made, supervisor, stranger)
    assert assigned(other, made) == {stranger.id}
    assert get_hand_over(supervisor, supervisor.id).hidden == 0


def test_coach_of_another_team_is_not_replaced_by_whoever_sees_the_client(team):
    supervisor, coach = team["supervisor"], team["coach"]
    stranger = staff.add("coach3", role="coach", supervisor="supervisor2")
    made = builders.case(stranger, "Ines Okafor")
    with transaction():
        join_care_team(stranger, lock_client(stranger, made.client_id), coach.id)
    with pytest.raises(NotFound):
        give(supervisor, made, stranger, coach)
    with transaction():
        assert lock_client(stranger, made.client_id)
    give(team["supervisor2"], made, stranger, coach)


def test_successor_takes_over_people_who_have_left_and_still_have_clients(team):
    coach, supervisor, other = team["coach"], team["supervisor"], team["supervisor2"]
    made = builders.case(coach, "Quiet One")
    disable(coach)
    supervise(team["coach2"], other)
    with pytest.raises(RuleBroken) as refused:
        disable(supervisor)
    assert [reason.code for reason in refused.value.reasons] == ["people_left"]
    disable(supervisor, other)
    assert get_client_record(other, made.client_id).name == "Quiet One"


def test_one_of_two_supervisors_who_supervise_each_other_can_leave(team):
    supervisor, other = team["supervisor"], team["supervisor2"]
    supervise(other, supervisor)
    disable(other, supervisor)
    db.session.rollback()
    assert db.session.get_one(User, supervisor.id).supervisor_id is None
    supervise(team["coach"], supervisor)
    with pytest.raises(RuleBroken):
        supervise(team["coach"], None)


@pytest.mark.slow
def test_two_people_are_locked_in_one_order_whoever_is_named_first(app, team):
    supervisor, other = team["supervisor"], team["supervisor2"]
    db.session.rollback()

    def change(number):
        pair = (supervisor.id, other.id) if number else (other.id, supervisor.id)
        with transaction():
            change_supervisor(operator(), *lock_members(*pair))

    for _ in range(5):
        assert run_concurrently(app, 2, change) == [None, None]
