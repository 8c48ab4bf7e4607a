"""Races of changes that a client makes to one worksheet in two windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.worksheets.models import WorksheetResponse
from caseapp.domain.worksheets.operations import (
    delete_answers,
    delete_upload,
    save_answers,
    send_upload,
    share_answers,
    stop_sharing,
    store_upload,
)
from caseapp.domain.worksheets.queries import LockedWorksheet, lock_worksheet
from caseapp.domain.worksheets.rules import MAX_UPLOADS_PER_WORKSHEET
from tests.guarantees.races.race import Race, Team, count
from tests.support import builders, portal_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.core.actor import Actor

    Change = Callable[[Actor, LockedWorksheet, UUID], object]

ANSWERS, OTHERS = {"what_happened": "Rang."}, {"what_happened": "Wrote."}
SCAN = b"%PDF-1.7 a scan"
SHARED = 2
"""The version of answers that were saved and shared once."""


def in_two_windows(
    first: Change, second: Change, code: str = "", holds: Callable[[], bool] = lambda: True
) -> Callable[[Team], Race]:
    """Build the race of two changes to a worksheet with shared answers and room for one more file."""

    def build(team: Team) -> Race:
        coach, made = team["coach"], builders.steady_case(team["coach"])
        client = portal_client.reader(made.client_id, "Ines")
        with transaction():
            assign_handout(
                coach,
                lock_case(coach, made.case_id),
                "first-days-pause",
                message="",
                channel="portal",
                confirmed=True,
            )
        with transaction():
            worksheet = lock_worksheet(client, 1)
            share_answers(client, worksheet, ANSWERS, 0)
            files = [
                store_upload(client, worksheet, SCAN, "no_form")
                for _ in range(MAX_UPLOADS_PER_WORKSHEET - 1)
            ]
        return Race(
            lambda: first(client, lock_worksheet(client, 1), files[0]),
            lambda: second(client, lock_worksheet(client, 1), files[0]),
            code,
            holds,
        )

    return build


def saving(who: Actor, worksheet: LockedWorksheet, _file: UUID) -> None:
    """Save other answers than those at the beginning."""
    save_answers(who, worksheet, OTHERS, SHARED)


def sharing(who: Actor, worksheet: LockedWorksheet, _file: UUID) -> None:
    """Share other answers than those at the beginning."""
    share_answers(who, worksheet, OTHERS, SHARED)


def unsharing(who: Actor, worksheet: LockedWorksheet, _file: UUID) -> None:
    """Stop sharing."""
    stop_sharing(who, worksheet)


def deleting(who: Actor, worksheet: LockedWorksheet, _file: UUID) -> None:
    """Delete the answers as they are at the beginning."""
    delete_answers(who, worksheet, SHARED)


def storing(who: Actor, worksheet: LockedWorksheet, _file: UUID) -> None:
    """Store one more file."""
    store_upload(who, worksheet, SCAN, "no_form")


def nothing_shared() -> bool:
    """Tell whether no answers are shared."""
    return count(WorksheetResponse, WorksheetResponse.shared_at.is_not(None)) == 0


WORKSHEETS = {
    "save_answers": in_two_windows(deleting, saving, "stale"),
    "share_answers": in_two_windows(deleting, sharing, "stale", nothing_shared),
    "stop_sharing": in_two_windows(sharing, unsharing, holds=nothing_shared),
    "delete_answers": in_two_windows(saving, deleting, "stale"),
    "store_upload": in_two_windows(storing, storing, "no_room"),
    "send_upload": in_two_windows(delete_upload, send_upload, "not_found"),
    "delete_upload": in_two_windows(delete_upload, delete_upload, "not_found"),
}
