"""Staff: who works here and in which role; most changes are made on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.audit.security_events import list_bursts
from caseapp.domain.auth.queries import get_member, list_factor_owners
from caseapp.domain.auth.schemas import REMOVAL_REASONS, FactorRemovalSchema
from caseapp.domain.auth.second_factor import has_second_factor, remove_second_factor_of
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.users.queries import list_users
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import needs

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.users.models import User

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
        factor_owners=list_factor_owners(),
    )


@dataclass(frozen=True)
class FactorOf:
    """A member of staff, and whether they have a second factor."""

    person: User
    is_set_up: bool


def load_factor_of(user_id: UUID) -> FactorOf:
    """Load the second factor of a member of staff.

    Raises NotFound.
    """
    return FactorOf(get_member(user_id), has_second_factor(user_id))


page = FormPage(
    blueprint, "/people/<uuid:user_id>/second-factor", Action.USER_MANAGE, load_factor_of
)


@page.show
def factor_of_page(view: FactorOf, forms: Forms) -> str:
    """Ask why the second factor of somebody is to be removed."""
    return render_template(
        "people/second_factor.html", view=view, forms=forms, reasons=REMOVAL_REASONS
    )


@page.form(Action.USER_MANAGE, Body(FactorRemovalSchema, str), lock=no_lock)
def remove_factor_of(_locked: None, reason: str, sent: Sent) -> Done:
    """Remove the second factor of somebody who has lost it."""
    remove_second_factor_of(sent.actor, sent.args["user_id"], reason)
    return Done(url_for("people.people_list"), "factor_removed_of")
