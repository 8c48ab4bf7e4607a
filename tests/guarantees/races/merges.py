"""Races of merging a client who was entered twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.domain.cases.queries import lock_case
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.operations import record_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import lock_merge
from caseapp.domain.merges.schemas import NewMerge
from tests.guarantees.races.race import Race, Team, count, recording_urgent
from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

TWICE = NewMerge("Entered twice by mistake.", despite_decision=True)


def _enter_twice(team: Team) -> tuple[builders.CaseIds, UUID, Callable[[UUID, UUID], object]]:
    """Enter a client with a case and once more without; return both and a function that merges one into another."""
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    name = f"Client {made.number}"
    made = builders.case(coach, name)
    other = builders.client(coach, name, agreed=True)

    def merge(gone: UUID, stays: UUID) -> object:
        return merge_clients(supervisor, lock_merge(supervisor, gone, stays), TWICE, 1)

    return made, other, merge


def merging_both_ways(team: Team) -> Race:
    """Merge two records into each other: the second finds that there is only one."""
    made, other, merge = _enter_twice(team)
    return Race(
        lambda: merge(made.client_id, other), lambda: merge(other, made.client_id), "not_found"
    )


def merging_after_a_screening(team: Team) -> Race:
    """Merge a record while an urgent screening is recorded in it."""
    made, other, merge = _enter_twice(team)
    return Race(
        recording_urgent(team["coach"], made),
        lambda: merge(made.client_id, other),
        "merge_loses_safety",
    )


def recording_after_a_merge(team: Team) -> Race:
    """Record a contact by the number of a case whose client is being merged: it is the other client's."""
    coach = team["coach"]
    made, other, merge = _enter_twice(team)
    new = NewContact("no_show", words="Rang after.")
    return Race(
        lambda: merge(made.client_id, other),
        lambda: record_contact(coach, lock_case(coach, made.number).locked_client, new),
        holds=lambda: count(Contact, Contact.client_id == other) == 1,
    )


MERGES = {"merge_clients": merging_both_ways}
MORE_MERGES = {
    "merge_clients, screened": merging_after_a_screening,
    "record_contact, merged": recording_after_a_merge,
}
