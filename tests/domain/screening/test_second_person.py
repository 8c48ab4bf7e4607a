"""Another supervisor who is named for one hold: what they see, and until when."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.core import mail
from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.outbox import OutboxRow
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.clients.codes import CARE_TEAM_ROLES
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.clients.visibility import in_role
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.screening.hold_operations import (
    SECOND_PERSON_MAIL,
    name_second_person,
    send_second_person_mail,
)
from caseapp.domain.screening.queries import (
    get_hold,
    list_holds,
    list_possible_second_people,
    list_release_blockers,
    list_screenings,
    lock_hold,
)
from caseapp.domain.staffing.members import change_role
from caseapp.domain.staffing.operations import change_supervisor
from caseapp.domain.staffing.queries import lock_with_others
from tests.domain.screening.hold_helpers import clear, day, finish_tasks, only_hold, reread
from tests.support import builders, staff


@pytest.fixture
def helper(team):
    return team["supervisor2"]


@pytest.fixture
def made(team):
    """Open a safety hold of the supervisor's own client; with day 20 everything but a second person is there."""
    supervisor = team["supervisor"]
    with day(0):
        made = builders.case(supervisor)
        builders.screen(supervisor, made.client_id, self_harm="urgent")
    with day(8):
        finish_tasks(supervisor, made.client_id)
        builders.screen(supervisor, made.client_id)
    return made


def name(actor, hold, who, version=None):
    version = version or reread(hold).version
    with transaction():
        name_second_person(actor, lock_hold(actor, hold.id), who.id, version)


def codes(refused):
    return [reason.code for reason in refused.value.reasons]


@pytest.mark.slow
def test_supervisor_who_coaches_names_another_who_releases_the_hold(team, helper, made):
    supervisor, hold = team["supervisor"], only_hold(made.client_id)
    with day(9):
        blockers = list_release_blockers(hold, supervisor)
        assert [reason.code for reason in blockers] == ["second_person_needed"]
        with pytest.raises(NotFound):
            get_hold(helper, hold.id)
        name(supervisor, hold, helper)
        assert get_hold(helper, hold.id).second_person_id == helper.id
        assert [found.id for found in get_today(helper).named_holds] == [hold.id]
        assert get_today(helper).holds == []
        assert get_today(supervisor).named_holds == []
        assert list_release_blockers(reread(hold), helper) == []
        clear(helper, hold)
        assert reread(hold).released_by == helper.id
        assert get_today(helper).named_holds == []
        with pytest.raises(NotFound):
            get_hold(helper, hold.id)
        running = in_role(CareTeamMember, *CARE_TEAM_ROLES)
        assert db.session.scalars(sa.select(CareTeamMember.role).where(running)).all() == ["coach"]


def queued():
    db.session.rollback()
    rows = sa.select(OutboxRow.payload).where(OutboxRow.kind == SECOND_PERSON_MAIL)
    return db.session.scalars(rows).all()


@pytest.mark.slow
def test_named_person_is_mailed_once_without_any_name_or_level(team, helper, made, monkeypatch):
    hold = only_hold(made.client_id)
    sent: list[mail.MailMessage] = []
    monkeypatch.setattr(mail, "send", sent.append)
    with day(9):
        assert not send_second_person_mail(helper.id)
        for _ in range(2):
            name(team["supervisor"], hold, helper)
        assert queued() == [{"user": helper.id.hex}]
        assert send_second_person_mail(helper.id)
    (message,) = sent
    assert message.to == "supervisor2@practice.test"
    assert message.subject == "Please sign in: your decision is needed"
    for word in (builders.NAME, made.number, "hold", "safety", "urgent", "client", str(hold.id)):
        assert word.lower() not in f"{message.subject}\n{message.body}".lower()


@pytest.mark.slow
def test_whoever_is_no_longer_named_or_has_left_gets_no_mail(team, helper, made, monkeypatch):
    monkeypatch.setattr(mail, "send", lambda _message: pytest.fail("a mail was sent"))
    hold = only_hold(made.client_id)
    with day(9):
        name(team["supervisor"], hold, helper)
        clear(helper, hold)
        assert not send_second_person_mail(helper.id)


@pytest.mark.slow
def test_supervisor_of_the_client_who_is_named_sees_it_at_the_hold_and_gets_no_mail_from_themselves(
    team,
):
    supervisor = team["supervisor"]
    with day(0):
        made = builders.case(team["coach"])
        builders.screen(team["coach"], made.client_id, self_harm="urgent")
        hold = only_hold(made.client_id)
        assert [found.is_named for found in get_today(supervisor).holds] == [False]
        name(supervisor, hold, supervisor)
        assert [found.is_named for found in get_today(supervisor).holds] == [True]
        assert [found.is_named for found in get_today(team["coach"]).holds] == [False]
    assert queued() == []


@pytest.mark.slow
def test_named_supervisor_sees_nothing_else_of_the_client(team, helper, made):
    hold = only_hold(made.client_id)
    with day(9):
        name(team["supervisor"], hold, helper)
        for ask in (
            lambda: get_client_record(helper, made.client_id),
            lambda: get_case_context(helper, made.case_id),
            lambda: list_screenings(helper, made.client_id, None, 5),
        ):
            with pytest.raises(NotFound):
                ask()


@pytest.mark.slow
def test_another_one_takes_the_place_of_whoever_was_named(team, helper, made):
    hold, other = only_hold(made.client_id), staff.add("supervisor3", role="supervisor")
    with day(9):
        name(team["supervisor"], hold, helper)
        name(team["supervisor"], hold, other)
        with pytest.raises(NotFound):
            get_hold(helper, hold.id)
        assert get_hold(other, hold.id).second_person_id == other.id
        version = reread(hold).version
        name(team["supervisor"], hold, other)
        assert reread(hold).version == version


@pytest.mark.slow
def test_person_who_is_named_for_the_other_hold_stays_in_the_care_team(team, helper):
    coach = team["coach"]
    with day(0):
        client_id = builders.client(coach)
        builders.screen(coach, client_id, self_harm="urgent", sleep="concern")
    with day(8):
        finish_tasks(coach, client_id)
        builders.screen(coach, client_id)
    with day(16):
        builders.screen(coach, client_id)
        holds = {hold.kind: hold for hold in list_holds(coach, client_id)}
        for hold in holds.values():
            name(coach, hold, helper)
        clear(helper, holds["safety"])
        assert get_hold(helper, holds["care"].id)
        with pytest.raises(NotFound):
            get_hold(helper, holds["safety"].id)


@pytest.mark.slow
def test_whoever_is_no_supervisor_any_more_sees_no_hold_and_can_be_named_again(team, helper, made):
    hold = only_hold(made.client_id)
    other = staff.add("supervisor3", role="supervisor")

    def set_role(role, supervisor_id=None):
        with transaction():
            member, over, _ = lock_with_others(helper.id, supervisor_id=supervisor_id)
            change_role(operator(), member, role, over, None)

    with transaction():
        member, over, _ = lock_with_others(team["supervisor"].id, supervisor_id=other.id)
        change_supervisor(operator(), member, over)
    with day(9):
        name(team["supervisor"], hold, helper)
        set_role("coach", other.id)
        with pytest.raises(NotFound):
            get_hold(replace(helper, role=Role.COACH), hold.id)
        set_role("supervisor")
        with pytest.raises(NotFound):
            get_hold(helper, hold.id)
        name(team["supervisor"], hold, helper)
        clear(helper, hold)
        assert reread(hold).released_by == helper.id


@pytest.mark.slow
def test_who_can_be_named(team, helper, made):
    supervisor, hold = team["supervisor"], only_hold(made.client_id)
    gone = staff.add("supervisor3", role="supervisor")
    with transaction():
        staff.disable("supervisor3@practice.test")
    with day(9):
        for who, expected in (
            (supervisor, ["recorded_screening"]),
            (team["coach"], ["not_a_supervisor"]),
            (team["admin"], ["not_a_supervisor"]),
            (gone, ["not_a_supervisor"]),
        ):
            with pytest.raises(RuleBroken) as refused:
                name(supervisor, hold, who)
            assert codes(refused) == expected
            db.session.rollback()
        found = list_possible_second_people(
            hold.client_id, {hold.id: lock_screenings(supervisor, hold)}
        )
        assert [*found[hold.id]] == [helper.id]
        with pytest.raises(Stale):
            name(supervisor, hold, helper, version=99)


def lock_screenings(actor, hold):
    with transaction():
        return lock_hold(actor, hold.id).screenings


@pytest.mark.slow
def test_only_whoever_sees_the_client_names_somebody_and_only_while_the_hold_is_open(
    team, helper, made
):
    supervisor, hold = team["supervisor"], only_hold(made.client_id)
    for stranger in (team["coach2"], helper):
        with pytest.raises(NotFound):
            name(stranger, hold, helper)
        db.session.rollback()
    with pytest.raises(Forbidden):
        name(team["admin"], hold, helper)
    db.session.rollback()
    with day(9):
        name(supervisor, hold, helper)
        clear(helper, hold)
        with pytest.raises(RuleBroken) as refused:
            name(supervisor, hold, helper)
        assert codes(refused) == ["already_released"]
