"""Staff who must not see a client: it counts before whatever else lets them, and nobody tells them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.reads import collecting
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import AlertRecipient
from caseapp.domain.alerts.queries import list_acknowledged_alerts
from caseapp.domain.alerts.recipients import get_escalation
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.matches import (
    list_matches,
    list_undecided_conflicts,
    list_undecided_pairs,
)
from caseapp.domain.clients.models import PossibleConflict
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.search import list_clients
from caseapp.domain.dashboard.board import count_board
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.marks import KINDS, list_marks
from caseapp.domain.screening.queries import list_holds, lock_hold
from caseapp.domain.staffing.access import explain_access
from caseapp.domain.staffing.denial_operations import deny_access, end_denial
from caseapp.domain.staffing.denials import list_denials, lock_access, lock_denial
from caseapp.domain.staffing.members import change_role
from caseapp.domain.staffing.operations import disable_member, hand_over
from caseapp.domain.staffing.queries import list_leaving, lock_member
from caseapp.domain.staffing.rules import list_denial_faults
from caseapp.domain.staffing.schemas import NewDenial
from tests.support import builders


def deny(actor, made, person, reason="relative"):
    with transaction():
        new = NewDenial(made.number, person.id, reason)
        return deny_access(actor, lock_access(actor, made.number), new)


def end(actor, denial_id):
    with transaction():
        end_denial(actor, lock_denial(actor, denial_id), "error")


def codes(refused):
    return [reason.code for reason in refused.value.reasons]


def test_case_number_in_the_way_of_a_leaver_is_only_counted(team):
    admin, coach, supervisor = team["admin"], team["coach"], team["supervisor"]
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Maya Brandt")
    for one in (made, other):
        builders.screen(coach, one.client_id, self_harm=3)
    deny(supervisor, made, admin)

    def told(change):
        with pytest.raises(RuleBroken) as refused, transaction():
            change()
        return refused.value.reasons

    for reasons in (
        list_leaving(admin, coach.id)[0],
        told(lambda: disable_member(admin, lock_member(coach.id), None)),
        told(lambda: change_role(admin, lock_member(coach.id), "admin", None, None)),
    ):
        text = " ".join(reason.message for reason in reasons)
        assert made.number not in text
        assert f"{other.number}, 1 not shown." in text
    assert made.number in list_leaving(supervisor, coach.id)[0][0].message
    # The log says that the one was shown and the other only counted.
    both = {made.client_id, other.client_id}
    for look, counted in (
        (lambda: list_leaving(admin, coach.id), {made.client_id}),
        (lambda: told(lambda: disable_member(admin, lock_member(coach.id), None)), both),
        (
            lambda: told(lambda: change_role(admin, lock_member(coach.id), "admin", None, None)),
            both,
        ),
    ):
        with collecting() as found:
            look()
        assert found.lists[None].client_ids == {other.client_id}
        listed = found.lists[Action.USER_MANAGE]
        assert (listed.client_ids, listed.details) == (counted, {"counted": True})


def test_change_that_names_no_client_is_logged_as_showing_none(team):
    """Whoever changes a supervisor or a role reads no name and no number; the records are opened to judge."""
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, self_harm=3)
    with collecting() as found, transaction():
        member = lock_member(team["coach"].id)
        change_role(operator(), member, "supervisor", None, None)
    assert None not in found.lists
    assert found.lists[Action.USER_MANAGE].client_ids == {made.client_id}


def test_admin_gets_no_explanation_and_no_conflict_of_a_denied_client(team):
    admin = team["admin"]
    made = builders.case(team["coach"], "Ines Okafor")
    builders.case(team["coach"], "Ines Okafor", agreed=True)
    with transaction() as session:
        session.execute(sa.update(PossibleConflict).values(decided_at=None, decided_by=None))
    assert len(list_undecided_pairs(admin)) == 1
    deny(team["supervisor"], made, admin)
    assert list_undecided_pairs(admin) == []
    assert len(list_undecided_pairs(operator())) == 1
    with pytest.raises(NotFound), transaction():
        explain_access(admin, "coach@practice.test", made.number)


@pytest.mark.parametrize(
    ("who", "coaches", "denied", "code"),
    [
        ("other", (), (), None),
        ("stranger", (), (), "not_staff"),
        ("actor", ("actor",), (), "own_denial"),
        ("other", ("other",), (), "coaches_client"),
        ("other", (), ("other",), "already_denied"),
    ],
)
def test_denial_is_refused_for_oneself_a_coach_and_twice(who, coaches, denied, code):
    ids = {name: new_id() for name in ("actor", "other", "stranger")}
    faults = list_denial_faults(
        ids[who],
        ids["actor"],
        {ids["actor"], ids["other"]},
        {ids[name] for name in coaches},
        {ids[name] for name in denied},
    )
    assert [fault.code for fault in faults] == ([code] if code else [])


@pytest.mark.slow
@pytest.mark.both
def test_supervisor_who_must_not_see_a_client_finds_nothing_until_it_ends(team):
    """A denial beats all that would let them (VULN-07)."""
    supervisor, coach, admin = team["supervisor"], team["coach"], team["admin"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm="urgent")
    assert count_board(supervisor)["alerts"] == 1
    denial_id = deny(admin, made, supervisor)
    with pytest.raises(NotFound):
        get_client_record(supervisor, made.client_id)
    assert list_clients(supervisor, None, None, 10).items == []
    assert list_clients(supervisor, "ines", None, 10).items == []
    assert set(count_board(supervisor).values()) == {0}
    today = get_today(supervisor)
    assert [today.alerts, today.holds, today.followups, today.recent_cases] == [[]] * 4
    assert not any(count.cases for count in today.cases_by_stage)
    assert list_marks(supervisor.id, KINDS) == []
    assert list_acknowledged_alerts(supervisor) == []
    assert list_denials(supervisor, None, 10).items == []
    reached = {person.supervisor for person in get_escalation(made.client_id).team}
    assert reached == {None}
    received = sa.select(AlertRecipient.user_id)
    assert supervisor.id not in set(db.session.scalars(received))
    mine = sa.select(FollowUp.id).where(FollowUp.assigned_to == supervisor.id)
    assert db.session.scalars(mine).all() == []
    assert get_client_record(coach, made.client_id).name == "Ines Okafor"
    with pytest.raises(NotFound):
        end(supervisor, denial_id)
    end(admin, denial_id)
    assert get_client_record(supervisor, made.client_id).name == "Ines Okafor"
    assert count_board(supervisor)["alerts"] == 1
    assert [mark.client_id for mark in list_marks(supervisor.id, KINDS)] == [made.client_id]


def test_log_names_the_person_and_not_the_reason(team):
    made = builders.case(team["coach"])
    denial_id = deny(team["supervisor"], made, team["coach2"], "therapist")
    event = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.object_id == denial_id)).one()
    assert (event.action, event.client_id) == ("denial.manage", made.client_id)
    assert event.details == {"user": team["coach2"].id.hex}


def test_reason_is_for_whoever_sees_the_client(team):
    made = builders.case(team["coach"])
    deny(team["admin"], made, team["coach2"], "therapist")
    read = {
        who: [(one.number, one.reason) for one in list_denials(team[who], None, 10).items]
        for who in ("supervisor", "supervisor2", "admin")
    }
    assert read == {
        "supervisor": [(made.number, "therapist")],
        "supervisor2": [],
        "admin": [(made.number, None)],
    }


def test_unknown_number_and_client_who_must_not_be_seen_have_one_answer(team):
    made = builders.case(team["coach"])
    deny(team["admin"], made, team["supervisor"])
    answers = []
    for number in (made.number, "C-1999-0001"):
        with pytest.raises(Invalid) as refused, transaction():
            lock_access(team["supervisor"], number)
        answers.append(refused.value.fields)
    assert answers[0] == answers[1]


def test_whoever_must_not_see_the_client_is_no_coach_and_no_second_person(team):
    supervisor, coach, other = team["supervisor"], team["coach"], team["supervisor2"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm="urgent")
    with pytest.raises(RuleBroken) as refused:
        deny(supervisor, made, coach)
    assert codes(refused) == ["coaches_client"]
    for person in (team["coach2"], other):
        deny(supervisor, made, person)
    with pytest.raises(Invalid), transaction():
        client = lock_client(supervisor, made.client_id)
        hand_over(supervisor, client, coach.id, team["coach2"].id)
    [hold] = list_holds(coach, made.client_id)
    with pytest.raises(RuleBroken) as refused, transaction():
        name_second_person(coach, lock_hold(coach, hold.id), other.id, hold.version)
    assert codes(refused) == ["must_not_see"]


def test_conflict_with_a_client_who_must_not_be_seen_waits_for_another_supervisor(team):
    supervisor, other = team["supervisor"], team["supervisor2"]
    spouse = builders.case(team["coach"], "Ines Okafor", partner_name="Tomasz Held")
    deny(team["admin"], spouse, supervisor)
    made = builders.case(supervisor, "Tomasz Held")
    assert list_matches(supervisor, made.client_id) == []
    assert list_undecided_conflicts(supervisor, 10) == []
    waiting = list_undecided_conflicts(other, 10)
    assert [one.client_id for one in waiting] == [made.client_id]
