"""Staff: who works here and in which role; changes are made on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.core.permissions import Action
from caseapp.domain.audit.security_events import list_bursts
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.users.queries import list_users
from caseapp.http.guard import needs

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("people", __name__)
EVENT_LABELS = {
    "password": "Wrong password at sign-in",
    "confirmation": "Wrong password when asked again",
    "code": "Wrong code of a second factor",
    "entry": "Wrong link or card at the portal",
    "start_code": "Wrong start code at the portal",
    "pin": "Wrong PIN at the portal",
    "token": "Wrong token at the API",
    "refused": "Page or record that isn’t theirs",
}


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
        bursts=list_bursts(),
        kinds=EVENT_LABELS,
    )
