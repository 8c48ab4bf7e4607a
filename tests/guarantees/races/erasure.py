"""Races of erasing a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.transaction import transaction
from caseapp.domain.cases.operations import open_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.erasure.models import Erasure
from caseapp.domain.erasure.operations import (
    erase_record,
    refuse_erasure,
    request_erasure,
    withdraw_erasure,
)
from caseapp.domain.erasure.queries import lock_erasure, lock_record_of
from tests.guarantees.races.race import NO_FACTS, Race, Team, count
from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


def _requested(team: Team) -> tuple[UUID, UUID]:
    coach = team["coach"]
    client_id: UUID = builders.client(coach)
    with transaction():
        return client_id, request_erasure(coach, lock_record_of(coach, client_id), "client")


def requesting(team: Team) -> Race:
    """Request an erasure while somebody else does: there is one request."""
    coach = team["coach"]
    client_id: UUID = builders.client(coach)

    def request() -> None:
        request_erasure(coach, lock_record_of(coach, client_id), "client")

    return Race(
        request,
        request,
        "already_requested",
        lambda: count(Erasure, Erasure.client_id == client_id) == 1,
    )


def _erasing(team: Team, erasure_id: UUID) -> Callable[[], object]:
    supervisor = team["supervisor"]
    return lambda: erase_record(supervisor, lock_erasure(supervisor, erasure_id))


def erasing(team: Team) -> Race:
    """Erase a record while a case is being opened: it stays."""
    coach = team["coach"]
    client_id, erasure_id = _requested(team)
    return Race(
        lambda: open_case(coach, lock_client(coach, client_id), NO_FACTS, coach_id=coach.id),
        _erasing(team, erasure_id),
        "open_case",
    )


def refusing(team: Team) -> Race:
    """Refuse to erase a record that is being erased: it is too late."""
    admin = team["admin"]
    _, erasure_id = _requested(team)
    return Race(
        _erasing(team, erasure_id),
        lambda: refuse_erasure(admin, lock_erasure(admin, erasure_id), "law"),
        "decided",
    )


def withdrawing(team: Team) -> Race:
    """Withdraw a request whose record is being erased: it is too late."""
    coach = team["coach"]
    _, erasure_id = _requested(team)
    return Race(
        _erasing(team, erasure_id),
        lambda: withdraw_erasure(coach, lock_erasure(coach, erasure_id)),
        "decided",
    )


ERASURE = {
    "request_erasure": requesting,
    "erase_record": erasing,
    "refuse_erasure": refusing,
    "withdraw_erasure": withdrawing,
}
