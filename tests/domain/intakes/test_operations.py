from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.codes import MOST_QUESTIONS
from caseapp.domain.clients.models import Client, PossibleConflict
from caseapp.domain.clients.operations import create_client, update_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.intakes.codes import KEPT_FOR, MOST_WAITING, NOTICED_FOR
from caseapp.domain.intakes.operations import (
    ask_again,
    decide_intake,
    delete_old_intakes,
    open_intake,
)
from caseapp.domain.intakes.queries import (
    get_intake,
    list_intake_matches,
    list_intakes,
    lock_intake,
    lock_own_intake,
)
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.schemas import NewDenial
from caseapp.domain.users.models import User
from tests.support import builders, intakes, staff

pytestmark = pytest.mark.both


@pytest.fixture
def spouse(team):
    """Open a case of the spouse at a coach of another supervisor."""
    return builders.case(team["coach2"], "Peter Okafor")


def ask(team):
    return intakes.ask(team["coach"], "Ines Okafor", partner_name="Peter Okafor")


def entered(**changed):
    return intakes.entered("Ines Okafor", partner_name="Peter Okafor", **changed)


def decide(actor, intake_id, *, is_allowed=True, shown=None):
    with transaction():
        intake = lock_intake(actor, intake_id)
        decide_intake(actor, intake, intakes.decision(intake, is_allowed=is_allowed, shown=shown))


def open_it(actor, intake_id, new=None):
    with transaction():
        return open_intake(actor, lock_own_intake(actor, intake_id), new or entered())


def refused(change, *given, **more):
    """Return the codes by which a change is refused."""
    with pytest.raises(RuleBroken) as caught:
        change(*given, **more)
    return [reason.code for reason in caught.value.reasons]


def deny(team, number, user):
    with transaction():
        new = NewDenial(number, user.id, "relative")
        deny_access(team["admin"], lock_access(team["admin"], number), new)


def listed(actor):
    db.session.rollback()
    return [one.id for one in list_intakes(actor, None, 10).items]


@pytest.mark.slow
def test_allowed_intake_is_opened_although_the_coach_asked_too_often(team, spouse):
    coach, supervisor = team["coach"], team["supervisor"]
    intake_id = ask(team)
    for _ in range(MOST_QUESTIONS):
        assert refused(open_it, coach, intake_id) == ["possible_conflict"]
    assert refused(open_it, coach, intake_id) == ["too_many_conflicts"]
    [match] = list_intake_matches(supervisor, get_intake(supervisor, intake_id))
    assert (match.name, match.coaches) == ("Peter Okafor", ("Jonas Adler",))
    assert (get_today(supervisor).intakes, get_today(coach).intakes) == (1, 0)
    decide(supervisor, intake_id)
    assert refused(decide, supervisor, intake_id, is_allowed=False) == ["already_decided"]
    assert (get_today(supervisor).intakes, get_today(coach).intakes) == (0, 1)
    with at(now() + NOTICED_FOR):
        assert get_today(coach).intakes == 0
    with pytest.raises(NotFound):
        open_it(supervisor, intake_id)
    open_it(coach, intake_id)
    assert listed(supervisor) == listed(coach) == []
    [pair] = db.session.scalars(sa.select(PossibleConflict))
    assert pair.decided_by == supervisor.id
    events = db.session.execute(
        sa.select(AuditEvent.action, AuditEvent.actor_id, AuditEvent.details).where(
            AuditEvent.action.in_(("conflict.ask", "conflict.decide", "client.create")),
            AuditEvent.outcome == "done",
        )
    ).all()
    assert [tuple(row) for row in events if row.actor_id != team["coach2"].id] == [
        ("conflict.ask", coach.id, {}),
        ("conflict.decide", supervisor.id, {"allowed": True}),
        ("client.create", coach.id, {"possible_conflict": "supervisor decided"}),
    ]


def test_coach_reads_nothing_of_who_decided_and_the_supervisor_only_what_is_compared(team, spouse):
    coach, supervisor = team["coach"], team["supervisor"]
    intake_id = ask(team)
    decide(supervisor, intake_id, is_allowed=False)
    own, theirs = get_intake(coach, intake_id), get_intake(supervisor, intake_id)
    assert (own.is_allowed, own.decided_by_name) == (False, None)
    assert (theirs.is_allowed, theirs.decided_by_name) == (False, "Helen Marsh")
    assert own.client["code_word"] == ""
    assert own.case["goal"] == "undecided"
    assert "code_word" not in theirs.client
    assert theirs.case == {}


@pytest.mark.slow
def test_whoever_must_not_see_a_client_sees_no_intake_that_fits_them(team, spouse):
    coach, supervisor, other = team["coach"], team["supervisor"], staff.add("supervisor2")
    intake_id, unlike = ask(team), intakes.ask(coach)
    assert (listed(supervisor), listed(other)) == ([unlike, intake_id], [])
    deny(team, spouse.number, supervisor)
    assert (listed(supervisor), listed(other)) == ([unlike], [intake_id])
    assert (get_today(supervisor).intakes, get_today(other).intakes) == (1, 1)
    by_phone = intakes.ask(coach, "Karl Vogel", phone="07700 900123")
    assert listed(supervisor) == [by_phone, unlike]
    reached = builders.case(team["coach2"], "Mara Lind", phone="+44 7700 900123")
    deny(team, reached.number, supervisor)
    assert (listed(supervisor), listed(other)) == ([unlike], [by_phone, intake_id])
    for change in (get_intake, decide):
        with pytest.raises(NotFound):
            change(supervisor, intake_id)
        with pytest.raises(NotFound):
            change(other, unlike)
        with pytest.raises(NotFound):
            change(team["coach2"], intake_id)
    decide(other, intake_id)
    open_it(coach, intake_id)
    assert db.session.scalars(sa.select(PossibleConflict.decided_by)).all() == [other.id]


@pytest.mark.slow
def test_decision_holds_for_what_was_compared_and_for_the_clients_of_that_day(team, spouse):
    coach, supervisor = team["coach"], team["supervisor"]
    intake_id = ask(team)
    decide(supervisor, intake_id)
    again = entered(phone="07700 900123")
    assert refused(open_it, coach, intake_id, again) == ["possible_conflict"]
    builders.client(team["coach2"], "Ines Okafor", agreed=True)
    assert refused(open_it, coach, intake_id) == ["possible_conflict"]
    with transaction():
        asked = ask_again(coach, lock_own_intake(coach, intake_id), again)
    assert listed(coach) == [asked]
    assert get_intake(coach, asked).is_allowed is None
    decide(supervisor, asked, is_allowed=False)
    assert refused(open_it, coach, asked, again) == ["not_allowed"]


@pytest.mark.slow
def test_decision_is_only_about_clients_who_were_shown(team, spouse):
    coach, supervisor = team["coach"], team["supervisor"]
    intake_id = ask(team)
    other = builders.client(team["coach2"], "Ines Okafor", agreed=True)
    for shown in ([], [spouse.client_id]):
        assert refused(decide, supervisor, intake_id, shown=shown) == ["other_matches"]
    assert get_intake(supervisor, intake_id).is_allowed is None
    gone = new_id()
    decide(supervisor, intake_id, shown=[spouse.client_id, other, gone])
    with transaction():
        about = lock_own_intake(coach, intake_id).decided_about
    assert about == {spouse.client_id, other}


@pytest.mark.slow
def test_intakes_of_a_disabled_account_and_past_ones_are_nobodys_work(team, spouse):
    coach, supervisor, asked_at = team["coach"], team["supervisor"], now()
    intake_id = ask(team)
    with at(asked_at + KEPT_FOR - timedelta(days=2)):
        decide(supervisor, intake_id)
        assert get_today(coach).intakes == 1
    with at(asked_at + KEPT_FOR + timedelta(days=1)):
        assert get_today(coach).intakes == 0
    waiting = intakes.ask(coach, "Karl Vogel")
    assert get_today(supervisor).intakes == 1
    with transaction() as session:
        session.get_one(User, coach.id).disabled_at = now()
    assert (get_today(supervisor).intakes, listed(supervisor)) == (0, [])
    with pytest.raises(NotFound):
        decide(supervisor, waiting)


@pytest.mark.slow
def test_client_whom_the_coach_has_added_meanwhile_is_named(team, spouse):
    coach, supervisor = team["coach"], team["supervisor"]
    intake_id = ask(team)
    details = builders.details("Ines Okafor", partner_name="Peter Okafor")
    with transaction():
        create_client(supervisor, details, coach_id=coach.id, agreed=True)
    decide(supervisor, intake_id)
    assert refused(open_it, coach, intake_id) == ["possible_duplicate"]
    open_it(coach, intake_id, replace(entered(), agreed=True))


@pytest.mark.slow
def test_client_who_has_gone_since_the_decision_is_in_nobodys_way(team, spouse):
    coach, supervisor = team["coach"], team["supervisor"]
    intake_id = ask(team)
    decide(supervisor, intake_id)
    with transaction():
        locked = lock_client(team["coach2"], spouse.client_id)
        other = builders.details("Karl Vogel")
        update_client(team["coach2"], locked, other, locked.record.version)
    open_it(coach, intake_id)
    assert db.session.scalars(sa.select(PossibleConflict)).all() == []


@pytest.mark.slow
def test_nobody_decides_about_an_intake_of_their_own(team, spouse):
    intake_id = ask(team)
    promoted = replace(team["coach"], role=Role.SUPERVISOR)
    assert refused(decide, promoted, intake_id) == ["own_intake"]
    assert get_today(promoted).intakes == 0


def test_intakes_are_limited_and_kept_for_a_while(team):
    coach, before = team["coach"], now()
    with at(before - KEPT_FOR):
        old = intakes.ask(coach)
    with pytest.raises(NotFound):
        get_intake(coach, old)
    for _ in range(MOST_WAITING):
        intakes.ask(coach)
    assert refused(intakes.ask, coach) == ["too_many_waiting"]
    assert refused(intakes.ask, team["coach2"]) == ["no_supervisor"]
    with at(before), transaction():
        assert delete_old_intakes() == 1
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Client)) == 0
    with at(before + KEPT_FOR + timedelta(hours=1)), transaction():
        assert delete_old_intakes() == MOST_WAITING
