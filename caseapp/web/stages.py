"""Stage page: what the next stage requires, and moves forward or back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.cases.operations import move_case
from caseapp.domain.cases.queries import LockedCase, get_progress, lock_case
from caseapp.domain.cases.rules import assess_stage_gate, list_common_blockers, propose_move_back
from caseapp.domain.cases.schemas import StageMove, StageMoveSchema
from caseapp.domain.cases.stages import attested_criteria, next_stage, stages
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.template_helpers import today
from caseapp.web.case_header import load_case_context
from caseapp.web.cases import blueprint

if TYPE_CHECKING:
    from caseapp.domain.cases.rules import StageGate
    from caseapp.domain.dashboard.case_page import CasePage

__all__ = ["blueprint"]


@dataclass(frozen=True)
class StageView:
    """A case with the gate of its next stage; there is none in the last stage or once the case is closed.

    `evidence` are the coach's lines for the criteria of other gates: what each is about, and the text.
    """

    context: CasePage
    gate: StageGate | None
    evidence: list[tuple[str, str]]


def load_stage(number: str) -> StageView:
    """Load what the stage page shows.

    Raises NotFound.
    """
    context, gate = load_case_context(number), None
    progress, to = get_progress(context), next_stage(context.stage)
    if to is not None and context.case.status == "open":
        gate = assess_stage_gate(context, to, progress, today())
    asked = {check.criterion.id for check in gate.checks} if gate else set()
    evidence = [
        (text, progress.evidence[id_])
        for id_, text in attested_criteria().items()
        if id_ in progress.evidence and id_ not in asked
    ]
    return StageView(context, gate, evidence)


page = FormPage(
    blueprint,
    "/case/<string:number>/stage",
    Action.CASE_READ,
    load_stage,
    client_of=lambda view: view.context.case.client_id,
)


@page.show
def stage_page(view: StageView, forms: Forms) -> str:
    """Show what the next stage requires and what is met."""
    context = view.context
    return render_template(
        "cases/stage.html",
        context=context,
        tab="Stage",
        gate=view.gate,
        evidence=view.evidence,
        forms=forms,
        common_blockers=list_common_blockers(context.safety),
        move_back=propose_move_back(context),
        earlier={
            stage.id: stage.title for stage in stages() if stage.number < context.stage.number
        },
    )


def evidence_labels() -> dict[str, str]:
    """Return what each line of evidence is about, by the name of its field."""
    return {f"evidence.{id_}": text for id_, text in attested_criteria().items()}


@page.form(
    Action.CASE_MOVE,
    Body(StageMoveSchema, StageMove),
    lock=lock_case,
    refused="This case can’t move to that stage yet",
    labels=evidence_labels,
)
def move(case: LockedCase, move: StageMove, sent: Sent) -> Done:
    """Move a case to another stage."""
    move_case(sent.actor, case, move, sent.version)
    return Done(url_for("cases.case_page", number=case.case.number), "case_moved")
