"""Screening page: levels over time and the form for the next screening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request, url_for

from caseapp.core.errors import NotFound
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.alerts.queries import get_client_alert
from caseapp.domain.assignments.reading import list_suspended_assignments
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.dashboard.trend import build_trend
from caseapp.domain.notes.operations import mark_screening_in_error
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.circumstance_operations import end_circumstance
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.operations import decide_proposals, record_screening
from caseapp.domain.screening.protocol import (
    ACTIONS_TAKEN,
    CIRCUMSTANCES,
    FEAR_AT_HOME,
    IMMEDIATE_STEPS,
    ITEMS_BY_KEY,
    LASTING_ITEMS,
    SUSTAINED_AFTER,
)
from caseapp.domain.screening.queries import (
    LockedScreening,
    get_screening,
    list_correction_blockers,
    lock_screening,
    page_screenings,
)
from caseapp.domain.screening.rules import (
    derive_required_actions,
    list_immediate_steps,
    list_opening_circumstances,
    list_stated,
    opens_safety_hold,
)
from caseapp.domain.screening.schemas import (
    CircumstanceEnd,
    CircumstanceEndFormSchema,
    Decisions,
    DecisionsFormSchema,
    ErrorReasonSchema,
    NewScreening,
    ScreeningSchema,
)
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.web.case_header import load_case_context, lock_in_case
from caseapp.web.trend import register_template_globals

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.screening.records import ScreeningRecord

blueprint = Blueprint("screenings", __name__)
register_template_globals(blueprint)

page = FormPage(
    blueprint,
    "/case/<string:number>/screening",
    Action.SCREENING_READ,
    load_case_context,
    client_of=lambda context: context.case.client_id,
)


@page.show
def screening_page(context: CasePage, forms: Forms) -> str:
    """Show a client's screenings and the form for the next one."""
    actor, client_id = current_actor(), context.case.client_id
    history = get_safety_history(client_id)
    return render_template(
        "screenings/screening.html",
        context=context,
        tab="Screening",
        forms=forms,
        ended=[found for found in history.circumstances if found.ended],
        endable={
            key: CIRCUMSTANCES[key].label
            for key in context.safety.circumstances
            if not CIRCUMSTANCES[key].never_expires
        },
        page=page_screenings(history, request.args.get("cursor"), PAGE_SIZE),
        trend=build_trend(history, (), context.safety.as_of),
        immediate_steps=list_immediate_steps(context.safety.levels),
        help_lines=get_practice_info().help_lines,
        alert=get_client_alert(actor, client_id) if context.safety.holds else None,
        suspended=list_suspended_assignments(actor, context),
    )


def lasting_labels() -> dict[str, str]:
    """Return what the fields for since when an item has lasted are called, by their names."""
    return {
        f"lasting_since.{item}": f"{ITEMS_BY_KEY[item].label}: lasting since"
        for item in LASTING_ITEMS
    }


@page.form(
    Action.SCREENING_RECORD,
    Body(ScreeningSchema, NewScreening),
    lock=lock_case,
    labels=lasting_labels,
    refused="The screening was not recorded",
)
def record(case: LockedCase, screening: NewScreening, sent: Sent) -> Done:
    """Record a screening with the holds, flags and follow-ups that it requires."""
    record_screening(sent.actor, case.locked_client, screening)
    number = case.case.number
    _raised, stated = list_stated(
        screening, before=case.safety.levels, known=case.safety.circumstances
    )
    if derive_required_actions(stated, case.safety.as_of).holds:
        return Done(url_for("holds.hold_page", number=number), "hold_opened")
    return Done(url_for("screenings.screening_page", number=number), "screening_recorded")


def reason_labels() -> dict[str, str]:
    """Return what the fields for the reasons of decisions are called, by their names."""
    return {f"reason.{item}": f"{ITEMS_BY_KEY[item].label}: reason" for item in LASTING_ITEMS}


@page.form(
    Action.SCREENING_RECORD,
    Body(DecisionsFormSchema, Decisions),
    lock=lock_case,
    rule="/case/<string:number>/screening/decisions",
    labels=reason_labels,
    refused="The decision was not recorded",
)
def decide(case: LockedCase, decisions: Decisions, sent: Sent) -> Done:
    """Decide about items that are proposed as concerns: record a concern, or why it is none."""
    decide_proposals(sent.actor, case.locked_client, decisions)
    number = case.case.number
    if decisions.concerns:
        return Done(url_for("holds.hold_page", number=number), "hold_opened")
    return Done(url_for("screenings.screening_page", number=number), "decision_recorded")


def end_labels() -> dict[str, str]:
    """Return what the fields for the end of a circumstance are called, by their names."""
    return {"circumstance": "Which one has ended?", "reason": "How do you know that it has ended?"}


@page.form(
    Action.CIRCUMSTANCE_END,
    Body(CircumstanceEndFormSchema, CircumstanceEnd),
    lock=lock_case,
    rule="/case/<string:number>/screening/circumstances",
    labels=end_labels,
    refused="The circumstance was not ended",
)
def end(case: LockedCase, found: CircumstanceEnd, sent: Sent) -> Done:
    """Record that a circumstance has ended."""
    end_circumstance(sent.actor, case.locked_client, found)
    location = url_for(
        "screenings.screening_page", number=case.case.number, _anchor="circumstances-h"
    )
    return Done(location, "circumstance_ended")


@dataclass(frozen=True)
class CorrectionView:
    """A screening of a case, and why the user can't mark it as recorded in error."""

    context: CasePage
    screening: ScreeningRecord
    blockers: list[Reason]


def load_correction(number: str, screening_id: UUID) -> CorrectionView:
    """Load a screening of a case for its correction.

    Raises NotFound.
    """
    actor, context = current_actor(), load_case_context(number)
    screening = get_screening(actor, screening_id)
    if screening.client_id != context.case.client_id:
        raise NotFound
    return CorrectionView(
        context, screening, list_correction_blockers(screening, context.key, actor)
    )


correction = FormPage(
    blueprint,
    "/case/<string:number>/screening/<uuid:screening_id>/error",
    Action.SCREENING_CORRECT,
    load_correction,
    client_of=lambda view: view.context.case.client_id,
    only_asks=True,
)


@correction.show
def correction_page(view: CorrectionView, forms: Forms) -> str:
    """Show a screening and the form that marks it as recorded in error."""
    return render_template(
        "screenings/error.html",
        context=view.context,
        tab="Screening",
        screening=view.screening,
        blockers=view.blockers,
        forms=forms,
    )


@correction.form(
    Action.SCREENING_CORRECT,
    Body(ErrorReasonSchema, dict[str, str]),
    lock=lock_in_case(lock_screening, lambda screening: screening.client.id),
    refused="The screening was not marked",
)
def correct(screening: LockedScreening, body: dict[str, str], sent: Sent) -> Done:
    """Mark a screening as recorded in error."""
    mark_screening_in_error(sent.actor, screening, body["reason"])
    page = url_for("screenings.screening_page", number=sent.args["number"])
    return Done(page, "screening_in_error")


@blueprint.app_context_processor
def protocol_labels() -> dict[str, Any]:
    """Make the labels of the protocol available to every template with screening questions."""
    return {
        "actions_taken": ACTIONS_TAKEN,
        "immediate_actions": IMMEDIATE_STEPS,
        "opens_safety_hold": opens_safety_hold,
        "list_opening_circumstances": list_opening_circumstances,
        "ask_alone": (FEAR_AT_HOME,),
        "lasting_items": LASTING_ITEMS,
        "sustained_days": SUSTAINED_AFTER.days,
        "circumstances": {key: found.label for key, found in CIRCUMSTANCES.items()},
    }
