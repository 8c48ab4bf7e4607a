"""Givings: one sheet to several cases, carried out in the background."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from caseapp.api.blueprint import Door
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.bulk_assignments.operations import begin_giving
from caseapp.domain.bulk_assignments.queries import giving_shown
from caseapp.domain.bulk_assignments.schemas import (
    GivingRecord,
    GivingSchema,
    GivingView,
    NewGiving,
)
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_once

if TYPE_CHECKING:
    from uuid import UUID

door = Door(
    "givings",
    "One sheet to several cases. Each case is judged when it is asked for, and anew at the moment it is given.",
)


@door.at("/handouts/<string:slug>/givings", "POST")
@needs(Action.ASSIGNMENT_MAKE)
@door.gives(GivingView(), HTTPStatus.ACCEPTED, at=lambda giving: f"/givings/{giving['id']}")
@door.takes(GivingSchema())
def give_to_several(slug: str, body: NewGiving) -> GivingRecord:
    """Give the newest edition to up to 500 cases; those that may not get it are left out, with the reasons."""
    actor = the_actor()
    with transaction():
        giving_id = api_once(lambda: begin_giving(actor, slug, body))
    return giving_shown(actor, giving_id)


@door.at("/givings/<uuid:giving_id>")
@needs(Action.ASSIGNMENT_READ)
@door.gives(GivingView())
def giving(giving_id: UUID) -> GivingRecord:
    """Show how far it is, and of its cases those that the reader may see."""
    actor = the_actor()
    found = giving_shown(actor, giving_id)
    record_read(actor, Action.ASSIGNMENT_READ, "giving", giving_id, None)
    return found
