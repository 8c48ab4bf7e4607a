"""Who is asking, and the stage model that everything goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import Door
from caseapp.api.serialization import whole
from caseapp.core.permissions import ACTIONS_OF, Action
from caseapp.domain.cases.schemas import StageView
from caseapp.domain.cases.stages import Stage, stages
from caseapp.domain.users.schemas import MeView
from caseapp.http.guard import needs, the_actor

if TYPE_CHECKING:
    from caseapp.core.pagination import Page

door = Door("me", "Who is asking, and the stage model.")


@door.at("/me")
@needs(Action.SELF_READ)
@door.gives(MeView())
def me() -> dict[str, Any]:
    """Tell who the token stands for and what they may do."""
    actor = the_actor()
    may = sorted(ACTIONS_OF[actor.role])
    return {"id": actor.id, "name": actor.name, "role": actor.role, "may": may}


@door.at("/stages")
@needs(Action.SELF_READ)
@door.lists(StageView())
def stage_list() -> Page[Stage]:
    """List the seven stages with what each asks for."""
    return whole(stages())
