"""Stage page: what the next stage requires, and moves forward or back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import redirect, render_template, url_for

from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.cases.operations import move_case
from caseapp.domain.cases.queries import get_stage_gate, lock_case
from caseapp.domain.cases.rules import list_common_blockers
from caseapp.domain.cases.schemas import StageMoveSchema
from caseapp.domain.cases.stages import attested_criteria, stages
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form, form_version, read_form, submitted_form
from caseapp.http.template_helpers import flash, today
from caseapp.web.case_header import load_case_context
from caseapp.web.cases import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.cases.rules import StageGate

__all__ = ["blueprint"]


@blueprint.get("/case/<string:number>/stage")
@needs(Action.CASE_READ)
def stage_page(number: str) -> ResponseReturnValue:
    """Show what the next stage requires and what is met."""
    return _stage(number)


def _stage(number: str, *, form: Form | None = None, **variables: Any) -> str:  # noqa: ANN401 - template variables
    context, form = load_case_context(number), form or Form()
    gate = get_stage_gate(context, today=today()) if context.case.status == "open" else None
    return render_template(
        "cases/stage.html",
        context=context,
        tab="Stage",
        gate=gate,
        common_blockers=list_common_blockers(context.safety),
        earlier={
            stage.id: stage.title for stage in stages() if stage.number < context.stage.number
        },
        form=form,
        unused_evidence=_unused_evidence(gate, form),
        **{"reasons": []} | variables,
    )


def _unused_evidence(gate: StageGate | None, form: Form) -> list[tuple[str, str]]:
    """List submitted evidence, with its criterion, that the current gate does not ask for, so that no text is lost."""
    asked = {check.criterion.id for check in gate.checks} if gate else set()
    return [
        (text, line)
        for id_, text in attested_criteria().items()
        if id_ not in asked and (line := str(form.value(f"evidence.{id_}")).strip())
    ]


@blueprint.post("/case/<string:number>/stage")
@needs(Action.CASE_MOVE)
def move(number: str) -> ResponseReturnValue:
    """Move a case to another stage."""
    try:
        move, version = read_form(StageMoveSchema()), form_version()
        with transaction():
            case = lock_case(current_actor(), number)
            move_case(current_actor(), case, move, version)
    except Invalid as error:
        return _stage(number, form=submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _stage(number, form=submitted_form(), reasons=error.reasons), 409
    except Stale:
        return _stage(number, form=submitted_form(), stale=True), 412
    flash("case_moved")
    return redirect(url_for("cases.case_page", number=number), code=303)
