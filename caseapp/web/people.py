"""Staff: who works here and in which role; changes are made on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.core.permissions import Action
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.users.queries import list_users
from caseapp.http.guard import needs

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("people", __name__)


@blueprint.get("/people")
@needs(Action.USER_MANAGE)
def people_list() -> ResponseReturnValue:
    """List the staff, disabled accounts last."""
    staff = sorted(list_users(), key=lambda person: person.disabled_at is not None)
    return render_template(
        "people/list.html",
        staff=staff,
        names={person.id: person.name for person in staff},
        code_of=coach_code,
    )
