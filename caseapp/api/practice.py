"""API for the practice's settings; those that decide who gets in or what keeps clients safe can only be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import ApiBlueprint, merge_changes
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.practice.operations import update_practice
from caseapp.domain.practice.queries import get_practice, get_practice_info
from caseapp.domain.practice.schemas import (
    ForProgramsSchema,
    PracticeResponseSchema,
    as_change,
)
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from caseapp.domain.practice.models import Practice

blueprint = ApiBlueprint(
    "practice",
    "The practice’s settings. Signing in, place and the site that Leave now opens can only be changed on the page.",
)


@blueprint.route("/practice")
@needs(Action.PRACTICE_EDIT)
@blueprint.response_schema(PracticeResponseSchema())
def get_settings() -> Practice:
    """Get the practice’s settings."""
    return get_practice_info().practice


@blueprint.route("/practice", "PATCH")
@needs(Action.PRACTICE_EDIT)
@blueprint.response_schema(PracticeResponseSchema())
@blueprint.request_schema(ForProgramsSchema(partial=True))
@blueprint.requires_if_match
def update_settings(body: dict[str, Any], version: int) -> Practice:
    """Change the settings that are sent; `tells_new_coach` says whether a client is told who coaches them now."""
    with transaction():
        before = as_change(get_practice())
        current = {name: getattr(before, name) for name in ForProgramsSchema().fields}
        changes = merge_changes(ForProgramsSchema(), current, body)
        update_practice(current_actor(), replace(before, **changes), version)
    return get_practice_info().practice
