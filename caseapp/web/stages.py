"""Stages: what a case still needs before it moves on, and the move itself, forward or back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import redirect, render_template, url_for

from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.cases.operations import move_case
from caseapp.domain.cases.queries import always_asked, case_by_number, gate_of
from caseapp.domain.cases.schemas import MoveSchema
from caseapp.domain.cases.stages import attested_criteria, stages
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.request_parsing import Form, form_of, form_version, read_form
from caseapp.http.template_helpers import say, today
from caseapp.web.case_header import seen_case
from caseapp.web.cases import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.cases.queries import Gate

__all__ = ["blueprint"]


@blueprint.get("/case/<string:number>/stage")
@needs(Action.CASE_READ)
def stage_page(number: str) -> ResponseReturnValue:
    """Show what the next stage asks for and which of it is met."""
    return _stage(number)


def _stage(number: str, *, form: Form | None = None, **words: Any) -> str:  # noqa: ANN401 - words of a page
    head, form = seen_case(number), form or Form()
    gate = gate_of(head, today=today()) if head.case.status == "open" else None
    return render_template(
        "cases/stage.html",
        head=head,
        tab="Stage",
        gate=gate,
        always=always_asked(head.safety),
        earlier={stage.id: stage.title for stage in stages() if stage.number < head.stage.number},
        form=form,
        left_over=_left_over(gate, form),
        **{"reasons": []} | words,
    )


def _left_over(gate: Gate | None, form: Form) -> list[tuple[str, str]]:
    """Give the lines that came in for criteria which are not asked for where the case stands now, with their words."""
    asked = {check.criterion.id for check in gate.checks} if gate else set()
    return [
        (text, line)
        for id_, text in attested_criteria().items()
        if id_ not in asked and (line := str(form.value(f"evidence.{id_}")).strip())
    ]


@blueprint.post("/case/<string:number>/stage")
@needs(Action.CASE_MOVE)
def move_now(number: str) -> ResponseReturnValue:
    """Move a case to another stage."""
    try:
        move, version = read_form(MoveSchema()), form_version()
        with transaction():
            head = case_by_number(the_actor(), number)
            move_case(the_actor(), head.case.id, move, version)
    except Invalid as error:
        return _stage(number, form=form_of(error)), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _stage(number, form=form_of(), reasons=error.reasons), 409
    except Stale:
        return _stage(number, form=form_of(), stale=True), 412
    say("case_moved")
    return redirect(url_for("cases.case_page", number=number), code=303)
