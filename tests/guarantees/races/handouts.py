"""Races of changes of assignments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import (
    assign_handout,
    assign_handouts,
    mark_own_read,
    mark_read,
    replace_assignment,
    withdraw,
)
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.assignments.reading import lock_own_assignment
from caseapp.domain.assignments.schemas import NewAssignments
from caseapp.domain.bulk_assignments.models import BulkAssignmentItem
from caseapp.domain.bulk_assignments.operations import process_item, start_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.queries import lock_case
from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


from tests.guarantees.races.race import Race, Team, count, recording_urgent


def assigning(team: Team) -> Race:
    """Assign a handout that a hold blocks while an urgent screening is being recorded."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    return Race(
        recording_urgent(coach, made),
        lambda: assign_handout(
            coach,
            lock_case(coach, made.case_id),
            "my-limits",
            message="",
            channel="portal",
            confirmed=True,
        ),
        "hold_open",
    )


def assigning_several(team: Team) -> Race:
    """Assign several handouts that a hold blocks while an urgent screening is being recorded."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    wanted = NewAssignments(("my-limits", "my-reasons"), "portal", "", "en", confirmed=True)
    return Race(
        recording_urgent(coach, made),
        lambda: assign_handouts(coach, lock_case(coach, made.case_id), wanted),
        "hold_open",
    )


def assigning_in_bulk(team: Team) -> Race:
    """Process a case of a bulk assignment while an urgent screening is being recorded: it is skipped."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    wanted = NewBulkAssignment(None, "en", "portal", "", None, (made.case_id,), {})
    with transaction():
        start_bulk_assignment(coach, "first-days-pause", wanted)
    item_id = db.session.scalar(
        sa.select(BulkAssignmentItem.id).where(BulkAssignmentItem.case_id == made.case_id)
    )
    assert item_id is not None
    db.session.rollback()
    return Race(
        recording_urgent(coach, made),
        lambda: process_item(item_id),
        holds=lambda: count(Assignment, Assignment.case_id == made.case_id) == 0,
    )


def withdrawn_meanwhile(
    team: Team, change: Callable[[Actor, UUID], object], code: str, channel: str = "portal"
) -> Race:
    """Change an assignment while it is being withdrawn; the change gets the client and the assignment's id."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    with transaction():
        given = assign_handout(
            coach,
            lock_case(coach, made.case_id),
            "first-days-pause",
            message="",
            channel=channel,
            confirmed=True,
        )
    client = Actor(made.client_id, Role.CLIENT, "Ines", "portal")
    return Race(
        lambda: withdraw(coach, lock_assignment(coach, given), 1),
        lambda: change(client, given),
        code,
    )


def withdrawing(team: Team) -> Race:
    """Withdraw an assignment while it is being withdrawn."""
    coach = team["coach"]
    return withdrawn_meanwhile(
        team,
        lambda _client, given: withdraw(coach, lock_assignment(coach, given), 1),
        "already_withdrawn",
    )


def replacing(team: Team) -> Race:
    """Replace an assignment by a newer version while it is being withdrawn."""
    coach = team["coach"]
    return withdrawn_meanwhile(
        team,
        lambda _client, given: replace_assignment(
            coach, lock_assignment(coach, given), message="", confirmed=True
        ),
        "already_withdrawn",
    )


def marking(team: Team) -> Race:
    """Mark as read what was handed over while it is being withdrawn."""
    coach = team["coach"]
    return withdrawn_meanwhile(
        team,
        lambda _client, given: mark_read(coach, lock_assignment(coach, given), 1),
        "already_withdrawn",
        channel="print",
    )


def marking_own(team: Team) -> Race:
    """Mark as read, as the client, what is being withdrawn."""
    return withdrawn_meanwhile(
        team,
        lambda client, _given: mark_own_read(client, lock_own_assignment(client, 1)),
        "not_available",
    )


HANDOUTS = {
    "assign_handout": assigning,
    "assign_handouts": assigning_several,
    "process_item": assigning_in_bulk,
    "withdraw": withdrawing,
    "replace_assignment": replacing,
    "mark_read": marking,
    "mark_own_read": marking_own,
}
