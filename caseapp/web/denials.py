"""Staff who must not see a client: supervisors and admins record it by case number, and end it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE, Page
from caseapp.core.permissions import Action
from caseapp.domain.clients.codes import DENIAL_END_REASONS, DENIAL_REASONS
from caseapp.domain.staffing import denial_operations
from caseapp.domain.staffing.denials import LockedDenial, list_denials, lock_access, lock_denial
from caseapp.domain.staffing.schemas import (
    AccessDenialRecord,
    DenialEndSchema,
    NewDenial,
    NewDenialSchema,
)
from caseapp.domain.users.queries import list_users
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor

blueprint = Blueprint("denials", __name__)


@dataclass(frozen=True)
class DenialsView:
    """Who must not see which client now, and who may be chosen: names by id."""

    page: Page[AccessDenialRecord]
    staff: dict[str, str]


def load_denials() -> DenialsView:
    """Load who must not see which client now."""
    actor = current_actor()
    staff = {str(user.id): user.name for user in list_users() if user.id != actor.id}
    return DenialsView(list_denials(actor, request.args.get("cursor"), PAGE_SIZE), staff)


page = FormPage(blueprint, "/denied-access", Action.DENIAL_MANAGE, load_denials)


@page.show
def denial_list(view: DenialsView, forms: Forms) -> str:
    """List who must not see which client, with a form for another one."""
    return render_template(
        "staffing/denials.html",
        view=view,
        reasons=DENIAL_REASONS,
        end_reasons=DENIAL_END_REASONS,
        forms=forms,
    )


@page.form(
    Action.DENIAL_MANAGE,
    Body(NewDenialSchema, NewDenial),
    lock=no_lock,
    refused="Nothing was recorded",
)
def deny(_locked: None, new: NewDenial, sent: Sent) -> Done:
    """Record that somebody must not see a client."""
    denial_operations.deny_access(sent.actor, lock_access(sent.actor, new.number), new)
    return Done(url_for("denials.denial_list"), "access_denied")


@page.form(
    Action.DENIAL_MANAGE,
    Body(DenialEndSchema, str),
    lock=lock_denial,
    rule="/denied-access/<uuid:denial_id>/end",
    refused="Nothing was changed",
)
def end(denial: LockedDenial, reason: str, sent: Sent) -> Done:
    """Let somebody see a client again."""
    denial_operations.end_denial(sent.actor, denial, reason)
    return Done(url_for("denials.denial_list"), "denial_ended")
