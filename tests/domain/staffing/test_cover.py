"""A colleague covers for a coach: from when until when, what reaches them, and what they see."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import mail, outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.queries import list_waiting_alerts
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.schemas import CaseDetails
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.staffing.cover_operations import (
    COVER_MAIL,
    arrange_cover,
    end_cover,
    write_line,
)
from caseapp.domain.staffing.cover_queries import (
    get_caseload,
    get_cover,
    list_covers,
    lock_caseload,
    lock_cover,
    lock_covered_client,
)
from caseapp.domain.staffing.cover_rules import (
    FARTHEST_DAYS,
    MOST_COVER_DAYS,
    list_first_day_faults,
    list_last_day_faults,
)
from caseapp.domain.staffing.cover_schemas import NewCover
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.schemas import NewDenial
from tests.domain.staffing.steps import disable, give
from tests.domain.staffing.test_second_people import name_second
from tests.support import builders, staff
from tests.support.concurrency import run_concurrently

DAY = timedelta(days=1)


def arrange(actor, coach, colleague, starts=0, days=3, clients=()):
    first = today() + starts * DAY
    wanted = NewCover(
        colleague.id, first, first + (days - 1) * DAY, tuple(clients), all=not clients
    )
    with transaction():
        return arrange_cover(actor, lock_caseload(actor, coach.id), wanted)


def end(actor, cover_id):
    with transaction():
        end_cover(actor, lock_cover(actor, cover_id))


def sees(actor, made):
    try:
        return get_client_record(actor, made.client_id) is not None
    except NotFound:
        return False


def test_period_has_a_last_day_that_is_not_far():
    day = date(2026, 12, 1)
    assert list_first_day_faults(day, day) == []
    assert [fault.code for fault in list_first_day_faults(day - DAY, day)] == ["in_the_past"]
    assert list_first_day_faults(day + FARTHEST_DAYS * DAY, day) == []
    assert [fault.code for fault in list_first_day_faults(date.max, day)] == ["too_far"]
    for days, codes in ((-1, ["ends_before"]), (0, []), (MOST_COVER_DAYS - 1, [])):
        assert [fault.code for fault in list_last_day_faults(day, day + days * DAY)] == codes
    faults = list_last_day_faults(day, day + MOST_COVER_DAYS * DAY)
    assert [fault.code for fault in faults] == ["too_long"]


@pytest.mark.both
def test_colleague_sees_the_chosen_clients_from_the_first_day_until_the_last_is_over(team):
    coach, colleague = team["coach"], team["coach2"]
    chosen, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Other One")
    arrange(coach, coach, colleague, starts=1, days=2, clients=[chosen.client_id])
    begin = now()
    for days, is_seen in ((0, False), (1, True), (2, True), (3, False)):
        with at(begin + days * DAY):
            assert sees(colleague, chosen) is is_seen, days
            assert not sees(colleague, other)
            # Nobody above the colleague sees more than before, and the coach still sees all.
            assert not sees(team["supervisor2"], chosen)
            assert sees(coach, chosen)


@pytest.mark.slow
@pytest.mark.both
def test_holds_follow_ups_and_alerts_reach_the_colleague_while_it_runs(team):
    coach, colleague = team["coach"], team["coach2"]
    before = builders.case(coach, "Ines Okafor")
    builders.screen(coach, before.client_id, self_harm=3)
    meanwhile = builders.case(coach, "Tomasz Held")
    cover_id = arrange(team["supervisor"], coach, colleague)
    outbox.sweep()
    builders.screen(coach, meanwhile.client_id, self_harm=3)
    found = get_today(colleague)
    assert [cover.coach for cover in found.covers] == [coach.name]
    assert {hold.client for hold in found.holds} == {"Ines Okafor", "Tomasz Held"}
    assert {task.client for task in found.followups} == {"Ines Okafor", "Tomasz Held"}
    assert {alert.client for alert in list_waiting_alerts(colleague)} == {
        "Ines Okafor",
        "Tomasz Held",
    }
    view = get_cover(colleague, cover_id)
    assert [(one.client, one.holds, bool(one.due)) for one in view.clients] == [
        ("Ines Okafor", ("safety",), True),
        ("Tomasz Held", ("safety",), True),
    ]
    with pytest.raises(NotFound):
        get_cover(team["supervisor2"], cover_id)
    end(coach, cover_id)
    # Before anything has run that readdresses the alerts.
    found = get_today(colleague)
    assert (found.covers, found.holds, found.followups) == ([], [], [])
    assert {alert.client for alert in found.alerts} <= {""}
    outbox.sweep()
    assert list_waiting_alerts(colleague) == []
    assert get_cover(colleague, cover_id).clients == ()
    assert [one.state for one in list_covers(coach)] == ["ended"]


def test_line_about_a_client_is_sealed_and_shown_to_whoever_covers(team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach, "Ines Okafor")
    cover_id = arrange(coach, coach, colleague)
    with transaction():
        write_line(coach, lock_covered_client(coach, cover_id, made.client_id), "Ring on Monday", 1)
    assert [one.line for one in get_cover(colleague, cover_id).clients] == ["Ring on Monday"]
    stored = db.session.execute(sa.text("SELECT line FROM covered_client")).scalar()
    assert b"Monday" not in bytes(stored)
    with pytest.raises(NotFound), transaction():
        lock_covered_client(colleague, cover_id, made.client_id)


def test_cover_is_refused_with_its_reasons(team):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach)
    foreign = builders.case(colleague)
    cover_id = arrange(coach, coach, colleague)
    for person, more, field in (
        (coach, {}, "user_id"),
        (team["admin"], {}, "user_id"),
        (supervisor, {"starts": -1}, "starts_on"),
        (supervisor, {"days": 0}, "ends_on"),
        (supervisor, {"days": MOST_COVER_DAYS + 1}, "ends_on"),
        (supervisor, {"clients": [foreign.client_id]}, "clients"),
        (colleague, {"starts": 2, "clients": [made.client_id]}, "clients"),
    ):
        with pytest.raises(Invalid) as refused:
            arrange(coach, coach, person, **more)
        assert [*refused.value.fields] == [field]
    for stranger in (colleague, team["supervisor2"]):
        with pytest.raises(NotFound):
            get_caseload(stranger, coach.id)
        with pytest.raises(NotFound):
            end(stranger, cover_id)
    end(supervisor, cover_id)
    with pytest.raises(RuleBroken):
        end(coach, cover_id)


def test_hand_over_ends_cover_that_runs_or_comes(team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    cover_id = arrange(coach, coach, colleague, starts=1)
    give(team["supervisor"], made, coach, team["supervisor"])
    with at(now() + DAY):
        assert not sees(colleague, made)
        assert get_cover(colleague, cover_id).clients == ()


@pytest.mark.both
def test_two_covers_of_one_client_at_once_leave_one(app, team):
    coach, colleague = team["coach"], team["coach2"]
    builders.case(coach)
    db.session.remove()

    found = run_concurrently(app, 2, lambda _number: arrange(coach, coach, colleague))
    assert sorted(type(one).__name__ for one in found) == ["Invalid", "UUID"]
    rows = sa.select(sa.func.count()).where(CareTeamMember.role == "cover")
    assert db.session.scalar(rows) == 1


def test_nobody_covers_for_a_client_whom_they_must_not_see(team):
    coach, colleague, admin = team["coach"], team["coach2"], team["admin"]
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tomasz Held")
    arrange(coach, coach, colleague)
    with transaction():
        new = NewDenial(made.number, colleague.id, "relative")
        deny_access(admin, lock_access(admin, made.number), new)
    assert (sees(colleague, made), sees(colleague, other)) == (False, True)
    [cover] = list_covers(colleague)
    assert cover.clients == len(get_cover(colleague, cover.id).clients) == 1
    with pytest.raises(Invalid) as refused:
        arrange(coach, coach, colleague, starts=9)
    assert refused.value.fields.keys() == {"clients"}


@pytest.mark.parametrize(
    ("covering", "chosen"),
    [("coach2", "coach2"), ("supervisor2", "supervisor2"), ("supervisor2", "coach3")],
)
def test_whoever_covers_makes_nobody_a_coach(team, covering, chosen):
    people = team | {"coach3": staff.add("coach3", role="coach", supervisor="supervisor2")}
    coach, colleague = team["coach"], people[covering]
    client_id = builders.client(coach, "Ines Okafor")
    arrange(coach, coach, colleague)
    details = CaseDetails({}, "undecided", None)
    with pytest.raises(RuleBroken) as refused, transaction():
        client = lock_client(colleague, client_id)
        open_case(colleague, client, details, coach_id=people[chosen].id)
    assert [reason.code for reason in refused.value.reasons] == ["only_covers"]
    with transaction():
        open_case(coach, lock_client(coach, client_id), details, coach_id=coach.id)


def test_whoever_covers_gets_no_task_or_case_by_a_hand_over(team):
    supervisor, coach, colleague = (team[one] for one in ("supervisor", "coach", "coach2"))
    made = builders.case(coach)
    builders.screen(supervisor, made.client_id, self_harm=3)
    arrange(coach, coach, colleague)
    with pytest.raises(Invalid) as refused:
        give(supervisor, made, supervisor, colleague)
    assert refused.value.fields.keys() == {"heir_id"}


def test_whoever_covers_names_others_but_not_themselves_for_a_hold(team):
    coach, colleague, supervisor = team["coach"], team["supervisor2"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    arrange(coach, coach, colleague)
    with pytest.raises(RuleBroken) as refused:
        name_second(colleague, made, colleague)
    assert [reason.code for reason in refused.value.reasons] == ["only_covers"]
    name_second(colleague, made, supervisor)


def test_many_marks_of_the_covered_coach_hide_none_of_the_colleague(team):
    coach, colleague = team["coach"], team["coach2"]
    own = builders.case(colleague, "Tomasz Held")
    builders.screen(colleague, own.client_id, sleep=2, days_ago=30)
    for name in ("Ines Okafor", "Eva Blum"):
        builders.screen(coach, builders.case(coach, name).client_id, sleep=2)
    marks = list_marks(colleague.id, HOLD_KINDS, 1, covered={coach.id})
    assert len(marks) == 3
    assert own.client_id in {mark.client_id for mark in marks}


def test_whoever_covers_does_not_decide_that_somebody_else_has_the_same_name(team):
    coach, colleague = team["coach"], team["coach2"]
    builders.client(coach, "Ines Okafor")
    arrange(coach, coach, colleague)
    with pytest.raises(RuleBroken) as refused:
        builders.client(colleague, "Ines Okafor", agreed=True)
    assert [reason.code for reason in refused.value.reasons] == ["possible_conflict"]


@pytest.mark.slow
@pytest.mark.both
@pytest.mark.parametrize("starts", [0, 1])
def test_after_a_hand_over_the_new_coach_arranges_the_same_colleague(team, starts):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tomasz Held")
    old = arrange(coach, coach, colleague, starts=starts)
    give(supervisor, made, coach, supervisor)
    new = arrange(supervisor, supervisor, colleague, starts=starts)
    for cover_id, one in ((old, other), (new, made)):
        for actor in (supervisor, colleague):
            with at(now() + starts * DAY):
                found = get_cover(actor, cover_id)
            assert [client.client_id for client in found.clients] == [one.client_id]
            assert found.cover.clients == 1
    end(coach, old)
    with at(now() + starts * DAY):
        assert (sees(colleague, made), sees(colleague, other)) == (True, False)


@pytest.mark.parametrize(
    ("first", "last", "fields"),
    [
        (date.min, date(2026, 12, 1), {"starts_on", "ends_on"}),
        (date.min, date.min, {"starts_on"}),
        (date.max, date.max, {"starts_on"}),
    ],
)
def test_first_and_last_days_of_all_are_refused(team, first, last, fields):
    coach, colleague = team["coach"], team["coach2"]
    builders.case(coach)
    with pytest.raises(Invalid) as refused, transaction():
        wanted = NewCover(colleague.id, first, last, (), all=True)
        arrange_cover(coach, lock_caseload(coach, coach.id), wanted)
    assert refused.value.fields.keys() == fields


@pytest.mark.slow
def test_cover_ends_when_whoever_covers_leaves_and_the_coach_reads_it(team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    arrange(coach, coach, colleague)
    outbox.sweep()
    assert sees(colleague, made)
    assert list_waiting_alerts(colleague)
    disable(colleague)
    assert not sees(colleague, made)
    outbox.sweep()
    assert list_waiting_alerts(colleague) == []
    [cover] = list_covers(coach)
    assert (cover.state, cover.ends_at <= now()) == ("left", True)
    [lost] = get_today(coach).lost_covers
    assert lost.colleague == colleague.name
    assert get_today(team["supervisor"]).lost_covers == []
    with at(lost.planned_end_at):
        assert get_today(coach).lost_covers == []
        assert [one.state for one in list_covers(coach)] == ["ended"]


def test_whoever_covers_is_mailed_when_it_begins(team):
    coach, colleague = team["coach"], team["coach2"]
    builders.case(coach)
    before = set(mail.mail_folder().glob("*.eml"))
    arrange(coach, coach, colleague)
    outbox.sweep(kind=COVER_MAIL)
    [sent] = set(mail.mail_folder().glob("*.eml")) - before
    text = sent.read_text("utf-8")
    assert f"To: {staff.email_of(colleague)}" in text
    assert coach.name not in text


def test_draft_of_a_covered_client_is_no_session(team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach, "Ines Okafor")
    builders.draft(coach, made.case_id)
    cover_id = arrange(coach, coach, colleague)
    assert [one.last_session for one in get_cover(colleague, cover_id).clients] == [None]
    db.session.rollback()
    builders.note(coach, made.case_id, days_ago=9)
    [seen] = get_cover(colleague, cover_id).clients
    assert seen.last_session < now() - 8 * DAY
