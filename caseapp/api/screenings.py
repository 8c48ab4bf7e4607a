"""Screenings, the flags they raise and the holds they open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields

from caseapp.api.blueprint import Door, ListQuery, Wanted
from caseapp.api.serialization import whole
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.schemas import AssignmentView
from caseapp.domain.assignments.suspended import resting_of
from caseapp.domain.audit.operations import record_read
from caseapp.domain.screening.operations import clear_hold, record_screening
from caseapp.domain.screening.queries import (
    flags_of,
    get_hold,
    holds_of,
    screening_shown,
    screenings_of,
    what_keeps,
)
from caseapp.domain.screening.schemas import (
    FlagView,
    HoldView,
    HoldWholeView,
    NewScreening,
    ReasonSchema,
    ScreeningRecord,
    ScreeningSchema,
    ScreeningView,
)
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.screening.models import Flag, Hold

door = Door(
    "screenings",
    "Screenings, flags and holds. They support a coach's judgement; the protocol awaits clinical sign-off.",
)


class ScreeningMadeView(ScreeningView):
    """Show a new screening with every sheet of the open case that may not reach the client now."""

    resting = fields.List(fields.Nested(AssignmentView), required=True)


@door.at("/clients/<uuid:client_id>/screenings")
@needs(Action.SCREENING_READ)
@door.lists(ScreeningView())
@door.asks(ListQuery())
def screening_list(client_id: UUID, query: Wanted) -> Page[ScreeningRecord]:
    """List a client's screenings, newest first."""
    actor = the_actor()
    page = screenings_of(actor, client_id, query.cursor, query.limit)
    record_read(actor, Action.SCREENING_READ, "client", client_id, client_id)
    return page


@door.at("/clients/<uuid:client_id>/screenings", "POST")
@needs(Action.SCREENING_RECORD)
@door.gives(ScreeningMadeView(), 201)
@door.takes(ScreeningSchema())
def screen(client_id: UUID, body: NewScreening) -> dict[str, Any]:
    """Record a screening with the holds, flags and follow-ups that it demands; `resting` lists what it stops."""
    actor = the_actor()
    with transaction():
        screening_id = api_once(lambda: record_screening(actor, client_id, body))
    found = screening_shown(actor, screening_id)
    shown = {name: getattr(found, name) for name in ScreeningView().fields}
    return shown | {"resting": resting_of(actor, client_id)}


@door.at("/clients/<uuid:client_id>/flags")
@needs(Action.SCREENING_READ)
@door.lists(FlagView())
def flag_list(client_id: UUID) -> Page[Flag]:
    """List the flags that are up for a client."""
    actor = the_actor()
    page = whole(flags_of(actor, client_id))
    record_read(actor, Action.SCREENING_READ, "flags", client_id, client_id)
    return page


@door.at("/clients/<uuid:client_id>/holds")
@needs(Action.HOLD_READ)
@door.lists(HoldView())
def hold_list(client_id: UUID) -> Page[Hold]:
    """List a client's holds, open ones first."""
    actor = the_actor()
    page = whole(holds_of(actor, client_id))
    record_read(actor, Action.HOLD_READ, "client", client_id, client_id)
    return page


@door.at("/holds/<uuid:hold_id>")
@needs(Action.HOLD_READ)
@door.gives(HoldWholeView())
def hold(hold_id: UUID) -> dict[str, Any]:
    """Show one hold and what still keeps it."""
    actor = the_actor()
    found = _whole(hold_id)
    record_read(actor, Action.HOLD_READ, "hold", hold_id, found["client_id"])
    return found


def _whole(hold_id: UUID) -> dict[str, Any]:
    actor = the_actor()
    found = get_hold(actor, hold_id)
    keeps = [] if found.cleared_at else what_keeps(found, actor)
    shown = {name: getattr(found, name) for name in HoldView().fields}
    return shown | {"keeps": keeps}


@door.at("/holds/<uuid:hold_id>/clear", "POST", also=(409,))
@needs(Action.HOLD_CLEAR)
@door.gives(HoldWholeView())
@door.takes(ReasonSchema())
@door.changes
def clear(hold_id: UUID, body: dict[str, str], version: int) -> dict[str, Any]:
    """End a hold with a written reason, once nothing keeps it any more."""
    with transaction():
        clear_hold(the_actor(), hold_id, body["reason"], version)
    return _whole(hold_id)
