"""A coach offers cases to a colleague: who may, what each of them sees, and what an acceptance changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from marshmallow import ValidationError

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.queries import list_waiting_alerts
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.clients.care_team import list_care_team
from caseapp.domain.clients.models import Transfer
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.practice.queries import today
from caseapp.domain.staffing.cover_operations import arrange_cover
from caseapp.domain.staffing.cover_queries import lock_caseload
from caseapp.domain.staffing.cover_schemas import MAX_CLIENTS, NewCover
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.members import change_role
from caseapp.domain.staffing.queries import lock_member
from caseapp.domain.staffing.schemas import NewDenial
from caseapp.domain.staffing.transfer_briefs import get_brief
from caseapp.domain.staffing.transfer_operations import (
    accept_transfer,
    decline_transfer,
    offer_cases,
    undo_transfer,
    withdraw_transfer,
)
from caseapp.domain.staffing.transfer_queries import (
    get_offerable,
    list_transfers,
    lock_transfer,
)
from caseapp.domain.staffing.transfer_rules import (
    OFFERED_FOR,
    UNDO_WITHIN,
    list_case_faults,
    list_undo_faults,
    list_waiting_faults,
)
from caseapp.domain.staffing.transfer_schemas import NewTransfer, TransferSchema
from tests.domain.staffing.steps import disable, give, marked
from tests.support import builders, staff

MINUTE = timedelta(minutes=1)


def offer(actor, coach, colleague, *made):
    wanted = NewTransfer(
        colleague.id, "workload", tuple(one.client_id for one in made), all=not made
    )
    with transaction():
        offer_cases(actor, lock_caseload(actor, coach.id), wanted)


def decide(operation, actor, made):
    db.session.rollback()
    newest = sa.select(Transfer.id).where(Transfer.client_id == made.client_id)
    transfer_id = db.session.scalars(
        newest.order_by(Transfer.offered_at.desc(), Transfer.id.desc()).limit(1)
    ).one()
    with transaction():
        operation(actor, lock_transfer(actor, transfer_id))


def refused(operation, actor, made):
    try:
        decide(operation, actor, made)
    except NotFound:
        return ["not_found"]
    except RuleBroken as broken:
        return [reason.code for reason in broken.reasons]
    return []


def deny(supervisor, made, person):
    with transaction():
        access = lock_access(supervisor, made.number)
        deny_access(supervisor, access, NewDenial(made.number, person.id, "relative"))


def sees(actor, made):
    try:
        return get_client_record(actor, made.client_id) is not None
    except NotFound:
        return False


def read_brief(actor, made):
    """Return the number of the case in its brief, None where there is none for an actor."""
    transfers = sa.select(Transfer.id).where(Transfer.client_id == made.client_id)
    try:
        return get_brief(actor, db.session.scalars(transfers).one()).context.case.number
    except NotFound:
        return None


def listed(actor):
    return [(one.number, one.client, one.state, one.reason) for one in list_transfers(actor)]


def test_offer_waits_until_it_is_decided_or_expires_and_is_undone_within_a_day():
    moment = now()
    for state, left, codes in (
        ("offered", MINUTE, []),
        ("offered", 0 * MINUTE, ["expired"]),
        ("expired", MINUTE, ["expired"]),
        ("accepted", MINUTE, ["decided"]),
        ("declined", MINUTE, ["decided"]),
        ("withdrawn", MINUTE, ["decided"]),
        ("undone", MINUTE, ["decided"]),
    ):
        faults = list_waiting_faults(state, moment + left, moment)
        assert [fault.code for fault in faults] == codes, state
    for state, since, is_as_left, codes in (
        ("accepted", UNDO_WITHIN - MINUTE, True, []),
        ("accepted", UNDO_WITHIN - MINUTE, False, ["passed_on"]),
        ("accepted", UNDO_WITHIN, True, ["too_late"]),
        ("declined", MINUTE, True, ["not_accepted"]),
        ("undone", MINUTE, True, ["not_accepted"]),
    ):
        faults = list_undo_faults(state, moment - since, moment, is_as_left=is_as_left)
        assert [fault.code for fault in faults] == codes, state
    faults = list_case_faults(["C-1"], ["C-2"], ["C-3", "C-4"], ["C-5"])
    assert [fault.code for fault in faults] == [
        "must_not_see",
        "already_coaches",
        "already_offered",
        "no_second_person",
    ]


@pytest.mark.slow
@pytest.mark.both
def test_accepted_case_is_the_colleagues_and_no_longer_the_coachs(team):
    """The coach who gave a client away finds nothing of them any more (VULN-40)."""
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made, kept = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tomasz Held")
    builders.screen(coach, made.client_id, self_harm=3)
    offer(coach, coach, colleague)
    # Until then the colleague reads the name, the number, and how much there is to do.
    [first, second] = sorted(list_transfers(colleague), key=lambda one: one.number)
    assert (first.client, first.number, first.reason) == ("Ines Okafor", made.number, None)
    assert first.followups > 0
    assert (first.may_decide, first.may_withdraw, first.may_undo) == (True, False, False)
    assert (second.client, second.followups) == ("Tomasz Held", 0)
    assert not sees(colleague, made)
    assert get_today(colleague).waiting_transfers == 2
    assert get_today(colleague).holds == []
    assert [row[2:] for row in listed(coach)] == [("offered", "workload")] * 2
    assert get_offerable(coach, coach.id).clients == ()
    assert refused(accept_transfer, coach, made) == ["not_recipient"]
    assert refused(withdraw_transfer, colleague, made) == ["not_offering"]
    assert refused(accept_transfer, team["supervisor2"], made) == ["not_found"]
    decide(decline_transfer, colleague, kept)
    decide(accept_transfer, colleague, made)
    assert (sees(colleague, made), sees(coach, made)) == (True, False)
    assert (sees(colleague, kept), sees(coach, kept)) == (False, True)
    assert get_case_context(colleague, made.case_id).case.coach_id == colleague.id
    tasks = list_client_followups(colleague, made.client_id)
    assert {task.assigned_to for task in tasks} == {colleague.id}
    assert (marked(coach), marked(colleague)) == (set(), {made.client_id})
    assert [hold.client for hold in get_today(colleague).holds] == ["Ines Okafor"]
    assert [alert.client for alert in list_waiting_alerts(colleague)] == ["Ines Okafor"]
    assert get_today(colleague).waiting_transfers == 0
    team_now = [
        (one.name, one.given_by, one.has_ended)
        for one in list_care_team(supervisor, made.client_id)
    ]
    assert (colleague.name, coach.name, False) in team_now
    # The coach reads what became of it, of the other one by number only; the supervisor sees both.
    assert sorted(listed(coach)) == sorted(
        [
            (made.number, None, "accepted", None),
            (kept.number, "Tomasz Held", "declined", "workload"),
        ]
    )
    assert all(one.followups is None for one in list_transfers(coach) if one.client is None)
    assert listed(colleague) == [(made.number, "Ines Okafor", "accepted", "workload")]
    assert refused(accept_transfer, colleague, made) == ["decided"]
    events = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == Action.TRANSFER.value)
    ).all()
    assert sum("accepted" in event.details for event in events) == 1
    assert all("workload" not in str(event.details) for event in events)


@pytest.mark.slow
@pytest.mark.both
def test_transfer_is_undone_within_a_day_by_either_of_the_two(team):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tomasz Held")
    builders.screen(coach, made.client_id, self_harm=3)
    offer(supervisor, coach, colleague)
    for one in (made, other):
        decide(accept_transfer, colleague, one)
    [mine, _] = list_transfers(coach)
    assert mine.may_undo
    decide(undo_transfer, coach, made)
    assert (sees(coach, made), sees(colleague, made)) == (True, False)
    tasks = list_client_followups(coach, made.client_id)
    assert {task.assigned_to for task in tasks} == {coach.id}
    assert refused(undo_transfer, coach, made) == ["not_accepted"]
    # Passed on since, it can't be undone; nor later.
    assert read_brief(colleague, other) == other.number
    give(supervisor, other, colleague, supervisor)
    assert (read_brief(colleague, other), read_brief(supervisor, other)) == (None, None)
    assert refused(undo_transfer, colleague, other) == ["passed_on"]
    offer(coach, coach, colleague, made)
    decide(accept_transfer, colleague, made)
    with at(now() + UNDO_WITHIN):
        assert refused(undo_transfer, colleague, made) == ["too_late"]
    decide(undo_transfer, colleague, made)
    assert (sees(coach, made), sees(colleague, made)) == (True, False)


@pytest.mark.slow
@pytest.mark.both
def test_transfer_is_not_undone_after_a_supervisor_gave_the_client_back(team):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach, "Ines Okafor")
    offer(coach, coach, colleague)
    decide(accept_transfer, colleague, made)
    with at(now() + MINUTE):
        give(supervisor, made, colleague, supervisor)
        assert [one.may_undo for one in list_transfers(coach)] == [False]
        give(supervisor, made, supervisor, colleague)
        assert [one.may_undo for one in list_transfers(colleague)] == [False]
        assert refused(undo_transfer, coach, made) == ["passed_on"]
    assert (sees(coach, made), sees(colleague, made)) == (False, True)


def test_colleague_who_covers_for_the_coach_reads_the_reason_after_accepting(team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach, "Ines Okafor")
    wanted = NewCover(colleague.id, today(), today(), (made.client_id,), all=False)
    with transaction():
        arrange_cover(coach, lock_caseload(coach, coach.id), wanted)
    offer(coach, coach, colleague)
    assert sees(colleague, made)
    assert listed(colleague) == [(made.number, "Ines Okafor", "offered", None)]
    decide(accept_transfer, colleague, made)
    assert listed(colleague) == [(made.number, "Ines Okafor", "accepted", "workload")]


@pytest.mark.slow
@pytest.mark.both
def test_offer_expires_and_the_case_can_be_offered_again(team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach, "Ines Okafor")
    offer(coach, coach, colleague)
    with pytest.raises(Invalid) as again:
        offer(coach, coach, team["supervisor"], made)
    assert again.value.fields.keys() == {"clients"}
    with at(now() + OFFERED_FOR):
        assert refused(accept_transfer, colleague, made) == ["expired"]
        assert (listed(colleague), get_today(colleague).waiting_transfers) == ([], 0)
        assert [row[2] for row in listed(coach)] == ["expired"]
        offer(coach, coach, team["supervisor"], made)
        assert sorted(row[2] for row in listed(coach)) == ["expired", "offered"]
        decide(withdraw_transfer, coach, made)
        assert refused(accept_transfer, team["supervisor"], made) == ["decided"]


@pytest.mark.slow
def test_whoever_must_not_see_the_client_is_offered_nothing_and_accepts_nothing(team):
    coach, relative, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tomasz Held")
    deny(supervisor, made, relative)
    with pytest.raises(Invalid) as error:
        offer(coach, coach, relative)
    [message] = error.value.fields["clients"]
    assert made.number in message
    assert other.number not in message
    # Recorded since: there is no such offer for them, and the coach can offer the case to somebody else.
    offer(coach, coach, relative, other)
    deny(supervisor, other, relative)
    assert (listed(relative), get_today(relative).waiting_transfers) == ([], 0)
    events = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == Action.TRANSFER.value)
    ).all()
    assert [event.actor_id for event in events if "withdrawn" in event.details] == [supervisor.id]
    assert refused(accept_transfer, relative, other) == ["not_found"]
    assert [row[2] for row in listed(coach)] == ["withdrawn"]
    offer(coach, coach, supervisor, other)
    decide(accept_transfer, supervisor, other)
    # Nor does whoever must not see the client get it back.
    assert [one.may_undo for one in list_transfers(supervisor) if one.state == "accepted"] == [True]
    deny(team["supervisor2"], other, coach)
    assert not any(one.may_undo for one in list_transfers(supervisor))
    assert refused(undo_transfer, coach, other) == ["not_found"]
    assert refused(undo_transfer, supervisor, other) == ["ask_supervisor"]


def test_cases_are_offered_by_the_coach_or_their_supervisor_to_active_colleagues_only(team):
    coach, colleague = team["coach"], team["coach2"]
    made, foreign = builders.case(coach), builders.case(colleague)
    with pytest.raises(NotFound):
        offer(colleague, coach, colleague, made)
    with pytest.raises(NotFound):
        get_offerable(colleague, coach.id)
    with transaction():
        staff.disable("supervisor2@practice.test")
    for person in (coach, team["admin"], team["supervisor2"]):
        with pytest.raises(Invalid) as error:
            offer(coach, coach, person, made)
        assert error.value.fields.keys() == {"to_id"}
    with pytest.raises(Invalid):
        offer(coach, coach, colleague, foreign)
    offer(team["supervisor"], coach, colleague, made)
    # A hand-over meanwhile ends the offer, and a coach who left can't be followed.
    give(team["supervisor"], made, coach, team["supervisor"])
    assert refused(accept_transfer, colleague, made) == ["decided"]


@pytest.mark.slow
@pytest.mark.both
def test_whoever_leaves_offers_nothing_and_is_offered_nothing(team):
    coach, colleague = team["coach"], team["coach2"]
    given, got = builders.case(coach, "Ines Okafor"), builders.case(colleague, "Tomasz Held")
    kept = builders.case(colleague, "Mara Lind")
    offer(coach, coach, colleague, given)
    offer(colleague, colleague, coach, got)
    offer(colleague, colleague, team["supervisor"], kept)
    disable(coach)
    assert (listed(coach), get_today(colleague).waiting_transfers) == (
        [(given.number, "Ines Okafor", "withdrawn", "workload")],
        0,
    )
    assert sorted(row[::2] for row in listed(colleague)) == sorted(
        [(got.number, "withdrawn"), (kept.number, "offered")]
    )
    assert refused(accept_transfer, colleague, given) == ["decided"]
    # Offered to somebody else at once.
    offer(colleague, colleague, team["supervisor"], got)


def test_too_many_chosen_clients_are_told_as_clients():
    sent = {"reason": "workload", "clients": [str(new_id())] * (MAX_CLIENTS + 1)}
    with pytest.raises(ValidationError) as error:
        TransferSchema().load(sent | {"to_id": str(new_id())})
    assert error.value.messages == {"clients": ["Choose at most 200 clients, or all of them."]}


def test_whoever_becomes_an_admin_is_offered_nothing(team):
    coach, colleague = team["coach"], team["coach2"]
    made = builders.case(coach, "Ines Okafor")
    offer(coach, coach, colleague)
    with transaction():
        change_role(operator(), lock_member(colleague.id), "admin", None, None)
    assert [row[2] for row in listed(coach)] == ["withdrawn"]
    offer(coach, coach, team["supervisor"], made)


@pytest.mark.slow
def test_case_whose_hold_nobody_could_release_is_not_offered_nor_accepted(team):
    coach, alone = team["coach"], staff.add("coach3", role="coach")
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tomasz Held")
    builders.screen(coach, other.client_id, self_harm=3)
    with pytest.raises(Invalid) as refusal:
        offer(coach, coach, alone)
    [message] = refusal.value.fields["clients"]
    assert f"release the hold of {other.number}." in message
    offer(coach, coach, team["coach2"], other)
    # A hold that is opened later: the reason doesn't name it to the colleague, who may not see the client.
    offer(coach, coach, alone, made)
    builders.screen(coach, made.client_id, self_harm=3)
    with pytest.raises(RuleBroken) as error:
        decide(accept_transfer, alone, made)
    [reason] = error.value.reasons
    assert reason.code == "ask_supervisor"
    assert "hold" not in f"{reason.message} {reason.way_out}".lower()
    assert sees(coach, made)
    assert [row[2] for row in listed(coach)] == ["offered"] * 2
