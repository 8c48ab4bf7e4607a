"""The page of records that needn't be kept any longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.practice.retention import PERIODS
from caseapp.domain.retention.queries import get_years, list_due
from caseapp.domain.retention.schemas import SHOWN
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.core.pagination import Page
    from caseapp.domain.retention.schemas import DueRecord

blueprint = Blueprint("retention", __name__)


@dataclass(frozen=True)
class DueView:
    """A page of the records that are due, which of SHOWN these are, and the practice's years by period."""

    page: Page[DueRecord]
    shown: str
    years: dict[str, int] | None


@blueprint.get("/retention")
@needs(Action.RETENTION_READ)
def due_list() -> ResponseReturnValue:
    """List the records that are due to be destroyed."""
    shown = request.args.get("show", "")
    if shown not in SHOWN:
        shown = "all"
    page = list_due(current_actor(), shown, request.args.get("cursor"), PAGE_SIZE)
    view = DueView(page, shown, get_years())
    return render_template("retention/list.html", view=view, shown=SHOWN, periods=PERIODS)
