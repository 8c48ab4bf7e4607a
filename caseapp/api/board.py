"""API for the supervisor's board, and for handing over a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.board import BoardRow, get_board, list_board_rows
from caseapp.domain.dashboard.new_codes import (
    NewCodes,
    NewCodesResponseSchema,
    list_new_codes,
)
from caseapp.domain.dashboard.schemas import BoardResponseSchema, BoardRowResponseSchema
from caseapp.domain.staffing import operations
from caseapp.domain.staffing.schemas import HandOverResponseSchema, NewCoach, NewCoachSchema
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "board",
    "What needs attention among a supervisor’s clients, and handing over a client to somebody else.",
)


class RowQuery(ListQuerySchema):
    """Filters of a group of the board."""

    person = fields.UUID(metadata={"description": "The person whose overdue actions to list."})


@blueprint.route("/board")
@needs(Action.BOARD_READ)
@blueprint.response_schema(BoardResponseSchema())
def read_board() -> dict[str, Any]:
    """Count what is waiting in each group of your board, and list the most urgent rows of each."""
    groups = get_board(current_actor()).groups
    return {
        "groups": [
            {"group": key, "rows": group.page.items, **vars(group)} for key, group in groups.items()
        ]
    }


@blueprint.route("/board/<string:group>")
@needs(Action.BOARD_READ)
@blueprint.list_response_schema(BoardRowResponseSchema())
@blueprint.query_params(RowQuery())
def list_rows(group: str, query: ListRequest) -> Page[BoardRow]:
    """List the rows of one group of your board.

    For `levels`, the limit is how many open cases are looked at: a page may have fewer rows, and there are more while
    there is a “next”.
    """
    return list_board_rows(
        current_actor(),
        group,
        person_id=query.filters.get("person"),
        cursor=query.cursor,
        limit=query.limit,
    )


class NewCodesQuery(ListQuerySchema):
    """Filters of the list of new codes."""

    created_by = fields.UUID(metadata={"description": "The member of staff who made them."})


@blueprint.route("/new-codes")
@needs(Action.BOARD_READ)
@blueprint.list_response_schema(NewCodesResponseSchema())
@blueprint.query_params(NewCodesQuery())
def read_new_codes(query: ListRequest) -> Page[NewCodes]:
    """List the new codes that your clients got in the last 90 days, newest first, without the codes themselves."""
    return list_new_codes(
        current_actor(), query.filters.get("created_by"), query.cursor, query.limit
    )


@blueprint.route("/clients/<uuid:client_id>/hand-over", "POST")
@needs(Action.HAND_OVER)
@blueprint.response_schema(HandOverResponseSchema())
@blueprint.request_schema(NewCoachSchema())
def hand_over(client_id: UUID, body: NewCoach) -> dict[str, UUID]:
    """Make somebody else responsible for a client whom you see; they get the open case, follow-ups and alerts.

    Not found once somebody else is responsible.
    """
    actor = current_actor()
    with transaction():
        operations.hand_over(actor, lock_client(actor, client_id), body.from_id, body.heir_id)
    return {"client_id": client_id, "from_id": body.from_id, "heir_id": body.heir_id}
