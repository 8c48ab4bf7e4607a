"""The owner of the token, and the stage model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action
from caseapp.domain.cases.schemas import StageResponseSchema
from caseapp.domain.cases.stages import Stage, stages
from caseapp.domain.users.schemas import MeResponseSchema
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from caseapp.core.pagination import Page

blueprint = ApiBlueprint("me", "The owner of the token, and the stage model.")


@blueprint.route("/me")
@needs(Action.SELF_READ)
@blueprint.response_schema(MeResponseSchema())
def get_me() -> dict[str, Any]:
    """Return the owner of the token and the actions their role allows."""
    actor = current_actor()
    may = sorted(ACTIONS_BY_ROLE[actor.role])
    return {"id": actor.id, "name": actor.name, "role": actor.role, "may": may}


@blueprint.route("/stages")
@needs(Action.SELF_READ)
@blueprint.list_response_schema(StageResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_stages(query: ListRequest) -> Page[Stage]:
    """List the seven stages with their entry and exit criteria."""
    return page_in_memory(stages(), lambda stage: (stage.number,), query.cursor, query.limit)
