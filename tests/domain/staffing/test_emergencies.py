"""Emergency access: a record is read for a while, nothing of it is changed, and another supervisor reviews it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.queries import count_waiting_alerts
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.clients.codes import EMERGENCY_MINUTES, MOST_EMERGENCIES
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.dashboard.board import count_board
from caseapp.domain.dashboard.emergencies import (
    list_emergencies,
    list_unreviewed,
    list_waiting_reviews,
)
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.followups.queries import list_followups
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.emergencies import lock_emergency, lock_reviewed_emergency
from caseapp.domain.staffing.emergency_operations import (
    end_emergency_access,
    review_emergency_access,
)
from caseapp.domain.staffing.rules import list_emergency_faults
from caseapp.domain.staffing.schemas import NewDenial
from tests.support import builders

WORDS = "She rang and Marta is ill."
LATER = timedelta(minutes=EMERGENCY_MINUTES)


def open_record(actor, made):
    return builders.read_in_emergency(actor, made.number, words=WORDS)


def review(actor, emergency_id):
    with transaction():
        review_emergency_access(actor, lock_reviewed_emergency(actor, emergency_id), "needed")


@pytest.mark.parametrize(
    ("sees", "opened", "is_open", "code"),
    [
        (False, 0, False, None),
        (True, 0, False, "sees_client"),
        (False, 0, True, "sees_client"),
        (False, MOST_EMERGENCIES, False, "too_many_emergencies"),
    ],
)
def test_record_is_opened_unless_seen_already_or_too_often(sees, opened, is_open, code):
    actor_id = new_id()
    faults = list_emergency_faults(actor_id, {actor_id} if sees else set(), opened, is_open=is_open)
    assert [fault.code for fault in faults] == ([code] if code else [])


@pytest.mark.slow
@pytest.mark.both
@pytest.mark.parametrize("who", ["coach2", "supervisor2"])
def test_record_is_read_for_an_hour_and_no_change_finds_it(team, who):
    reader = team[who]
    made = builders.case(team["coach"], "Ines Okafor")
    with pytest.raises(NotFound):
        get_case_context(reader, made.case_id)
    moment = now()
    with at(moment):
        open_record(reader, made)
        assert get_case_context(reader, made.case_id).case.number == made.number
        assert get_client_record(reader, made.client_id).id == made.client_id
        assert count_waiting_alerts(reader).reading_until == moment + LATER
        assert get_today(reader).reading_until == moment + LATER
        for lock, ref in ((lock_client, made.client_id), (lock_case, made.case_id)):
            with pytest.raises(NotFound), transaction():
                lock(reader, ref)
    with at(moment + LATER):
        with pytest.raises(NotFound):
            get_case_context(reader, made.case_id)
        assert count_waiting_alerts(reader).reading_until is None


@pytest.mark.slow
@pytest.mark.both
def test_record_that_is_only_read_is_nobodys_work(team):
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, self_harm=3)
    own = get_today(team["coach"])
    assert (len(own.holds), len(own.recent_cases)) == (1, 1)
    for reader in (team["coach2"], team["supervisor2"]):
        open_record(reader, made)
        found = get_today(reader)
        assert [*found.holds, *found.proposed, *found.recent_cases, *found.followups] == []
        assert sum(stage.cases for stage in found.cases_by_stage) == found.suspended == 0
        assert found.reading_until
        tasks = partial(list_followups, reader, done=False, cursor=None, limit=10)
        assert tasks(client_id=None).items == []
        assert tasks(client_id=made.client_id).items
    assert not any(count_board(reader).values())


@pytest.mark.slow
def test_coach_is_told_and_another_supervisor_reviews(team):
    """Whoever read the record can't review their own access (VULN-26)."""
    made = builders.case(team["coach"], "Ines Okafor")
    reader = team["supervisor2"]
    emergency_id = open_record(reader, made)
    [told] = get_today(team["coach"]).read_records
    assert (told.client, told.user_name) == ("Ines Okafor", reader.name)
    assert list_unreviewed(reader) == []
    [waiting] = list_unreviewed(team["supervisor"])
    assert (waiting.id, waiting.words, waiting.number) == (emergency_id, WORDS, made.number)
    assert count_board(team["supervisor"])["emergencies"] == 1
    with pytest.raises(NotFound):
        review(reader, emergency_id)
    review(team["supervisor"], emergency_id)
    with pytest.raises(RuleBroken):
        review(team["supervisor"], emergency_id)
    assert count_board(team["supervisor"])["emergencies"] == 0
    events = db.session.execute(
        sa.select(AuditEvent.action, AuditEvent.details).where(AuditEvent.object_id == emergency_id)
    ).all()
    assert sorted(event.action for event in events) == [
        "emergency.open",
        "emergency.review",
    ]
    assert WORDS not in str(events)


def test_reader_ends_it_and_nobody_else(team):
    other = builders.case(team["supervisor2"], "Ines Vance")
    emergency_id = open_record(team["coach"], other)
    with pytest.raises(NotFound), transaction():
        end_emergency_access(team["supervisor2"], lock_emergency(team["supervisor2"], emergency_id))
    with transaction():
        end_emergency_access(team["coach"], lock_emergency(team["coach"], emergency_id))
    with pytest.raises(NotFound):
        get_case_context(team["coach"], other.case_id)
    [found] = list_emergencies(team["coach"], None, 10).items
    assert (found.is_open, found.client) == (False, "")


@pytest.mark.slow
def test_another_supervisor_reviews_where_none_sees_the_client(team):
    made = builders.case(team["coach"], "Ines Okafor")
    reader, other = team["coach2"], team["supervisor2"]
    emergency_id = open_record(reader, made)

    def deny(person):
        with transaction():
            new = NewDenial(made.number, person.id, "relative")
            deny_access(team["admin"], lock_access(team["admin"], made.number), new)

    assert list_unreviewed(other) == []
    deny(team["supervisor"])
    assert list_unreviewed(team["supervisor"]) == []
    [waiting] = list_unreviewed(other)
    assert (waiting.id, waiting.client, waiting.number) == (emergency_id, "", made.number)
    assert [one.has_reviewer for one in list_waiting_reviews(team["admin"])] == [True]
    deny(other)
    with pytest.raises(NotFound):
        review(other, emergency_id)
    assert [one.has_reviewer for one in list_emergencies(reader, None, 10).items] == [False]


def test_whoever_must_not_see_the_client_is_told_of_no_such_number(team):
    made = builders.case(team["supervisor2"])
    reader = team["coach"]
    with transaction():
        new = NewDenial(made.number, reader.id, "relative")
        deny_access(team["admin"], lock_access(team["admin"], made.number), new)
    answers = []
    for number in (made.number, "C-1999-0001"):
        with pytest.raises(Invalid) as refused:
            open_record(reader, replace(made, number=number))
        answers.append(refused.value.fields)
    assert answers[0] == answers[1]
