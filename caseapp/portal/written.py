"""What a client wrote, listed and as text files, whether or not they can read the handout now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, render_template, request

from caseapp.core.errors import NotFound
from caseapp.core.i18n import gettext
from caseapp.core.permissions import Action
from caseapp.domain.assignments.reading import get_own_assignment, get_reading_list_item
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.worksheets.printing import render_written_pdf
from caseapp.domain.worksheets.queries import (
    get_client_worksheet,
    list_own_worksheets,
    list_written,
)
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.http.template_helpers import local_date
from caseapp.portal.handouts import blueprint, neutral_pdf_error
from caseapp.portal.reading_list import build_entries, format_position, get_coach_name

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.worksheets.schemas import AnsweredField

__all__ = ["blueprint"]


@blueprint.get("/written")
@needs(Action.PORTAL_READ)
def written_page() -> ResponseReturnValue:
    """List the worksheets in which the client has written something, what they saved last first."""
    actor = current_actor()
    found = list_own_worksheets(actor)
    entries = build_entries(record for record, _ in found)
    worksheets = [worksheet for _, worksheet in found]
    return render_template(
        "portal/written.html",
        written=[*zip(entries, worksheets, strict=True)],
        coach_name=get_coach_name(actor),
        format_position=format_position,
        is_locked=any(worksheet.has_locked for worksheet in worksheets),
    )


@blueprint.get("/h/<int(max=9999):position>/answers-<string:number>.txt")
@needs(Action.PORTAL_READ)
def written_file(position: int, number: str) -> ResponseReturnValue:
    """Return the client's answers to one worksheet as a text file with a neutral file name."""
    if number != format_position(position):
        raise NotFound
    actor = current_actor()
    found = get_own_assignment(actor, position)
    worksheet = get_client_worksheet(actor, found)
    if not worksheet.answers or worksheet.saved_at is None:
        raise NotFound
    saved = gettext("Saved on %(day)s", day=local_date(worksheet.saved_at))
    parts = [
        f"{plain_text(found.handout.neutral_title)}\n{saved}",
        *(f"{answer.label}\n{_answer_text(answer)}" for answer in list_written(found, worksheet)),
    ]
    response = Response("\n\n".join(parts) + "\n", mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="answers-{number}.txt"'
    return response


@blueprint.get("/h/<int(max=9999):position>/written-<string:number>.pdf")
@needs(Action.PORTAL_READ)
def written_pdf(position: int, number: str) -> ResponseReturnValue:
    """Return a handout with the client's answers as a discreet PDF; of one that has left, only the words remain."""
    if number != format_position(position):
        raise NotFound
    actor = current_actor()
    found = get_reading_list_item(actor, position)
    worksheet = get_client_worksheet(actor, found)
    if not worksheet.answers or worksheet.saved_at is None:
        raise NotFound
    large = request.args.get("size") == "large"
    with neutral_pdf_error():
        made = render_written_pdf(
            found,
            worksheet.answers,
            worksheet.saved_at,
            large=large,
            discreet=True,
        )
    return pdf_response(made, f"written-{number}.pdf")


def _answer_text(answer: AnsweredField) -> str:
    return answer.text or "\n".join(f"- {line}" for line in answer.lines)
