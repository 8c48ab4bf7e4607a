"""Cover: who covers for whom, arranging it, and the page that tells what to know about its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.practice.queries import today
from caseapp.domain.staffing import cover_operations as operations
from caseapp.domain.staffing.cover_queries import (
    LockedCaseload,
    LockedCover,
    LockedCoveredClient,
    get_caseload,
    get_cover,
    list_covers,
    lock_caseload,
    lock_cover,
    lock_covered_client,
)
from caseapp.domain.staffing.cover_rules import MOST_COVER_DAYS
from caseapp.domain.staffing.cover_schemas import (
    MAX_LINE_LENGTH,
    Caseload,
    CoverSchema,
    CoverView,
    LineSchema,
    NewCover,
    NewLine,
)
from caseapp.domain.staffing.queries import list_team
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("cover", __name__)


@blueprint.get("/cover")
@needs(Action.CLIENT_READ)
def cover_list() -> ResponseReturnValue:
    """List the covers that concern the person, and for whom they can arrange one."""
    actor = current_actor()
    team = list_team(actor) if actor.may(Action.HAND_OVER) else []
    others = [person for person in team if person.id != actor.id and person.disabled_at is None]
    return render_template("cover/cover_list.html", covers=list_covers(actor), others=others)


def load_caseload(coach_id: UUID) -> Caseload:
    """Load the clients of a coach, and who may cover.

    Raises NotFound.
    """
    return get_caseload(current_actor(), coach_id)


arrange_page = FormPage(blueprint, "/cover/for/<uuid:coach_id>", Action.COVER, load_caseload)


@arrange_page.show
def choose_page(caseload: Caseload, forms: Forms) -> str:
    """Show the form that arranges cover: who, from when until when, for which clients."""
    return render_template(
        "cover/choose.html",
        caseload=caseload,
        names={str(person.id): person.name for person in caseload.colleagues},
        most_days=MOST_COVER_DAYS,
        first_day=today(),
        forms=forms,
    )


@arrange_page.form(
    Action.COVER,
    Body(CoverSchema, NewCover),
    lock=lock_caseload,
    refused="Cover was not arranged",
)
def arrange(caseload: LockedCaseload, wanted: NewCover, sent: Sent) -> Done:
    """Arrange cover."""
    cover_id = operations.arrange_cover(sent.actor, caseload, wanted)
    return Done(url_for("cover.cover_page", cover_id=cover_id), "saved")


def load_cover(cover_id: UUID) -> CoverView:
    """Load a cover with the clients whom the person sees now.

    Raises NotFound.
    """
    return get_cover(current_actor(), cover_id)


page = FormPage(blueprint, "/cover/<uuid:cover_id>", Action.CLIENT_READ, load_cover)


@page.show
def cover_page(found: CoverView, forms: Forms) -> str:
    """Show what to know about the clients of a cover, or what has happened since it began."""
    return render_template(
        "cover/cover.html", found=found, cover=found.cover, longest=MAX_LINE_LENGTH, forms=forms
    )


def line_values(
    found: CoverView | LockedCoveredClient, client_id: UUID | None = None
) -> dict[str, object]:
    """Return what the form of a line sends untouched."""
    if isinstance(found, LockedCoveredClient):
        return {"line": found.line}
    return {"line": next((one.line for one in found.clients if one.client_id == client_id), "")}


@page.form(
    Action.COVER,
    Body(LineSchema, NewLine),
    lock=lock_covered_client,
    rule="/cover/<uuid:cover_id>/<uuid:client_id>",
    values=line_values,
    client_of=lambda _found, client_id: client_id,
)
def save_line(covered: LockedCoveredClient, new: NewLine, sent: Sent) -> Done:
    """Save the coach's line about one client."""
    operations.write_line(sent.actor, covered, new.line, sent.version)
    return Done(url_for("cover.cover_page", cover_id=sent.args["cover_id"]), "saved")


@page.form(
    Action.COVER,
    BUTTON,
    lock=lock_cover,
    rule="/cover/<uuid:cover_id>/end",
    refused="The cover was not ended",
)
def end(cover: LockedCover, _body: object, sent: Sent) -> Done:
    """End a cover now."""
    operations.end_cover(sent.actor, cover)
    return Done(url_for("cover.cover_list"), "saved")
