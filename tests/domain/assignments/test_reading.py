"""Reading what was given: when it rests, who reads and marks it, and how it is taken back."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign, mark_read, withdraw
from caseapp.domain.assignments.queries import (
    assignment_shown,
    assignments_of,
    holders_of,
    printable,
)
from caseapp.domain.assignments.reading import reading, reading_list
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import case_head
from tests.domain.assignments.steps import codes, give, reader
from tests.support import builders

pytestmark = pytest.mark.both


def test_a_flag_raised_later_pauses_what_was_given(team, made):
    coach, client = team["coach"], reader(made)
    give(coach, made, "first-days-pause")
    give(coach, made, "better-nights")
    assert len(reading_list(client)) == 2
    builders.screen(coach, made.client_id, sleep="concern")
    assert [record.slug for record in reading_list(client)] == ["better-nights", "first-days-pause"]
    builders.screen(coach, made.client_id, self_harm="concern")
    assert [record.slug for record in reading_list(client)] == ["better-nights"]
    with pytest.raises(RuleBroken) as refused:
        reading(client, 1)
    assert codes(refused) == ["resting"]
    assert "hold" not in str([(r.message, r.how) for r in refused.value.reasons])
    with pytest.raises(RuleBroken), transaction():
        mark_read(client, 1)
    paused = assignments_of(coach, case_head(coach, made.case_id))[1]
    assert paused.state == "stopped"
    assert paused.stopped[0].code == "hold_open"
    with pytest.raises(RuleBroken) as no_reprint:
        printable(coach, paused.id)
    assert codes(no_reprint) == ["hold_open"]
    assert paused.opened_at is None


def test_nothing_in_the_portal_once_no_way_is_safe(team, made):
    give(team["coach"], made)
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    assert reading_list(reader(made)) == []


def test_a_contact_sheet_goes_stale_with_its_screening(team):
    coach = team["coach"]
    facts = {"spouse_contact_wish": "open", "spouse_willingness": "agreed"}
    made = builders.case(coach, facts=facts)
    builders.screen(coach, made.client_id)
    give(coach, made, "reaching-out", confirmed=True)
    client = reader(made)
    assert reading(client, 1).slug == "reaching-out"
    with at(now() + timedelta(days=15)):
        assert reading_list(client) == []
        builders.screen(coach, made.client_id)
        assert reading(client, 1).slug == "reaching-out"


def test_a_client_opens_and_marks_once(team, made):
    give(team["coach"], made)
    client = reader(made)
    given = reading(client, 1)
    assert given.state == "given"
    with at(now() - timedelta(minutes=5)):
        record_read(client, Action.PORTAL_READ, "assignment", given.id, client.id)
    opened = reading(client, 1)
    assert opened.state == "opened"
    with transaction():
        mark_read(client, 1)
    with transaction():
        mark_read(client, 1)
    record = reading(client, 1)
    assert record.opened_at == opened.opened_at
    assert record.read_at > record.opened_at
    marks = db.session.scalars(
        sa.select(AuditEntry.details).where(AuditEntry.action == "portal.mark")
    ).all()
    assert marks == [{"read": True}]


def test_a_client_reads_only_their_own_and_only_what_is_in_the_portal(team, made):
    give(team["coach"], made, channel="print")
    with pytest.raises(NotFound):
        reading(reader(made), 1)
    other = builders.case(team["coach"], "Daniel Roth")
    builders.screen(team["coach"], other.client_id)
    give(team["coach"], other)
    with pytest.raises(NotFound):
        reading(reader(made), 2)
    assert reading(reader(other), 1).client_id == other.client_id


def test_withdrawing_takes_it_from_the_portal_and_keeps_the_record(team, made):
    coach = team["coach"]
    given = give(coach, made)
    with pytest.raises(Stale), transaction():
        withdraw(coach, given, 7)
    with transaction():
        withdraw(coach, given, 1)
    assert reading_list(reader(made)) == []
    with pytest.raises(RuleBroken) as refused:
        reading(reader(made), 1)
    assert codes(refused) == ["withdrawn"]
    assert assignment_shown(coach, given).state == "withdrawn"
    with pytest.raises(RuleBroken), transaction():
        withdraw(coach, given, 2)
    assert give(coach, made)


def test_staff_mark_only_what_went_over_the_table(team, made):
    coach = team["coach"]
    paper, portal = give(coach, made, channel="print"), give(coach, made)
    with transaction():
        mark_read(coach, paper)
    assert assignment_shown(coach, paper).read_at
    with pytest.raises(RuleBroken) as refused, transaction():
        mark_read(coach, portal)
    assert codes(refused) == ["client_marks_it"]


def test_other_peoples_assignments_look_missing(team, made):
    given = give(team["coach"], made)
    stranger = team["coach2"]
    for attempt in (
        lambda: assignment_shown(stranger, given),
        lambda: withdraw(stranger, given, 1),
        lambda: mark_read(stranger, given),
        lambda: assign(stranger, made.case_id, "better-nights", line="", channel="portal"),
    ):
        with pytest.raises(NotFound), transaction():
            attempt()
    assert holders_of(stranger, "better-nights", None, 25).items == []
    assert [h.client for h in holders_of(team["coach"], "better-nights", None, 25).items] == [
        "Ines Okafor"
    ]
    with pytest.raises(Forbidden):
        holders_of(team["admin"], "better-nights", None, 25)
