"""The reading list: suspension, reading, marking and withdrawing."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import (
    assign_handout,
    mark_opened,
    mark_own_read,
    mark_read,
    withdraw,
)
from caseapp.domain.assignments.queries import (
    get_assignment_record,
    get_printable_assignment,
    list_assigned_clients,
    list_assignments,
    lock_assignment,
)
from caseapp.domain.assignments.reading import (
    get_reading_list,
    get_reading_list_item,
    lock_own_assignment,
)
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import get_case_context, lock_case
from tests.domain.assignments.steps import assign, codes, reader
from tests.support import builders


def test_reading_list_new_flag_suspends_assignments(team, made):
    coach, client = team["coach"], reader(made)
    assign(coach, made, "first-days-pause")
    assign(coach, made, "better-nights")
    assert len(get_reading_list(client)) == 2
    builders.screen(coach, made.client_id, sleep="concern")
    assert [record.slug for record in get_reading_list(client)] == [
        "better-nights",
        "first-days-pause",
    ]
    builders.screen(coach, made.client_id, self_harm="concern")
    assert [record.slug for record in get_reading_list(client)] == ["better-nights"]
    with pytest.raises(RuleBroken) as refused:
        get_reading_list_item(client, 1)
    assert codes(refused) == ["not_available"]
    assert "hold" not in str([(r.message, r.way_out) for r in refused.value.reasons])
    with pytest.raises(RuleBroken), transaction():
        mark_own_read(client, lock_own_assignment(client, 1))
    paused = list_assignments(coach, get_case_context(coach, made.case_id))[1]
    assert paused.state == "suspended"
    assert paused.blockers[0].code == "hold_open"
    with pytest.raises(RuleBroken) as no_reprint:
        get_printable_assignment(coach, paused.id)
    assert codes(no_reprint) == ["hold_open"]
    assert paused.opened_at is None


def test_reading_list_without_a_safe_channel_is_empty(team, made):
    assign(team["coach"], made)
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    assert get_reading_list(reader(made)) == []


def test_reading_list_old_screening_suspends_contact_handouts(team):
    coach = team["coach"]
    facts = {"spouse_contact_wish": "open", "spouse_willingness": "agreed"}
    made = builders.case(coach, facts=facts)
    builders.screen(coach, made.client_id)
    assign(coach, made, "reaching-out", confirmed=True)
    client = reader(made)
    assert get_reading_list_item(client, 1).slug == "reaching-out"
    with at(now() + timedelta(days=15)):
        assert get_reading_list(client) == []
        builders.screen(coach, made.client_id)
        assert get_reading_list_item(client, 1).slug == "reaching-out"


def test_mark_read_by_client_twice_changes_nothing(team, made):
    assign(team["coach"], made)
    client = reader(made)
    given = get_reading_list_item(client, 1)
    assert given.state == "assigned"
    with at(now() - timedelta(minutes=5)):
        mark_opened(given)
    opened = get_reading_list_item(client, 1)
    assert opened.state == "opened"
    with transaction():
        mark_own_read(client, lock_own_assignment(client, 1))
    with transaction():
        mark_own_read(client, lock_own_assignment(client, 1))
    record = get_reading_list_item(client, 1)
    assert record.opened_at == opened.opened_at
    assert record.read_at > record.opened_at
    marks = db.session.scalars(
        sa.select(AuditEvent.details).where(AuditEvent.action == "portal.mark")
    ).all()
    assert marks == [{"read": True}]


def test_reading_list_contains_only_own_portal_handouts(team, made):
    assign(team["coach"], made, channel="print")
    with pytest.raises(NotFound):
        get_reading_list_item(reader(made), 1)
    other = builders.case(team["coach"], "Daniel Roth")
    builders.screen(team["coach"], other.client_id)
    assign(team["coach"], other)
    with pytest.raises(NotFound):
        get_reading_list_item(reader(made), 2)
    assert get_reading_list_item(reader(other), 1).client_id == other.client_id


def test_withdraw_hides_it_in_the_portal_and_keeps_the_record(team, made):
    coach = team["coach"]
    given = assign(coach, made)
    with pytest.raises(Stale), transaction():
        withdraw(coach, lock_assignment(coach, given), 7)
    with transaction():
        withdraw(coach, lock_assignment(coach, given), 1)
    assert get_reading_list(reader(made)) == []
    with pytest.raises(RuleBroken) as refused:
        get_reading_list_item(reader(made), 1)
    assert codes(refused) == ["not_available"]
    assert get_assignment_record(coach, given).state == "withdrawn"
    with pytest.raises(RuleBroken), transaction():
        withdraw(coach, lock_assignment(coach, given), 2)
    assert assign(coach, made)


def test_mark_read_by_staff_only_outside_the_portal(team, made):
    coach = team["coach"]
    paper, portal = assign(coach, made, channel="print"), assign(coach, made)
    with transaction():
        mark_read(coach, lock_assignment(coach, paper), 1)
    assert get_assignment_record(coach, paper).read_at
    with pytest.raises(RuleBroken) as refused, transaction():
        mark_read(coach, lock_assignment(coach, portal), 1)
    assert codes(refused) == ["client_marks_it"]


def test_foreign_assignments_are_not_found(team, made):
    given = assign(team["coach"], made)
    stranger = team["coach2"]
    for attempt in (
        lambda: get_assignment_record(stranger, given),
        lambda: withdraw(stranger, lock_assignment(stranger, given), 1),
        lambda: mark_read(stranger, lock_assignment(stranger, given), 1),
        lambda: assign_handout(
            stranger,
            lock_case(stranger, made.case_id),
            "better-nights",
            message="",
            channel="portal",
        ),
    ):
        with pytest.raises(NotFound), transaction():
            attempt()
    assert list_assigned_clients(stranger, "better-nights", None, 25).items == []
    assert [
        h.client for h in list_assigned_clients(team["coach"], "better-nights", None, 25).items
    ] == ["Ines Okafor"]
    with pytest.raises(Forbidden):
        list_assigned_clients(team["admin"], "better-nights", None, 25)


def test_first_opening_is_kept_and_leaves_the_version(team, made):
    assign(team["coach"], made)
    client = reader(made)
    given = get_reading_list_item(client, 1)
    assert given.opened_at is None
    mark_opened(given)
    opened = get_reading_list_item(client, 1)
    with at(now() + timedelta(hours=1)):
        mark_opened(given)
        mark_opened(opened)
    again = get_reading_list_item(client, 1)
    assert opened.opened_at is not None
    assert (again.opened_at, again.version) == (opened.opened_at, given.version)


def test_marking_as_read_without_opening_counts_as_opening(team, made):
    assign(team["coach"], made)
    client = reader(made)
    with transaction():
        mark_own_read(client, lock_own_assignment(client, 1))
    record = get_reading_list_item(client, 1)
    assert record.opened_at == record.read_at is not None
