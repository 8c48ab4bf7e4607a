"""The supervisor's board: what waits for somebody, counted and listed by urgency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.dashboard.board import GROUPS, SHOWN, get_board
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import parse_uuid

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("board", __name__)


@blueprint.get("/board")
@needs(Action.BOARD_READ)
def board_page() -> ResponseReturnValue:
    """Show every group with its most urgent rows, or a page of the one that the address names."""
    args = request.args
    show = args["show"] if args.get("show") in GROUPS else None
    board = get_board(
        current_actor(),
        show=show,
        person_id=parse_uuid(args.get("person", "")) if show else None,
        cursor=args.get("cursor") if show else None,
        limit=PAGE_SIZE if show else SHOWN,
    )
    return render_template("board/board.html", board=board)
