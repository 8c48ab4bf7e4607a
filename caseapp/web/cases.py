"""Case pages: the caseload, the overview, details and flags, closing and reopening."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import list_suspended_assignments
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.facts import CLOSE_REASONS, FACTS, GOALS, OUTCOMES
from caseapp.domain.cases.operations import clear_case_flag, close_case, reopen_case, update_case
from caseapp.domain.cases.queries import (
    CaseFilter,
    list_cases,
    lock_case,
)
from caseapp.domain.cases.schemas import CaseClosingSchema, CaseDetailsSchema, ReopenSchema
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import list_matches
from caseapp.domain.clients.schemas import CHANNELS, ClientSchema
from caseapp.domain.dashboard.case_page import get_case_overview
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS, MANUAL_FLAGS
from caseapp.domain.screening.queries import list_flags
from caseapp.domain.screening.rules import highest_level
from caseapp.domain.screening.schemas import FlagSchema, ReasonSchema
from caseapp.domain.users.queries import get_user_names, list_assignable_coaches
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form, form_version, parse_uuid, read_form, submitted_form
from caseapp.http.template_helpers import flash
from caseapp.web.case_header import load_case_context, register_template_globals

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.cases.facts import Fact
    from caseapp.domain.screening.schemas import ScreeningRecord

blueprint = Blueprint("cases", __name__)
register_template_globals(blueprint)

MAX_SEARCH_LENGTH = 120
DAILY_LIFE = ("caring", "work", "household")
EVENT_KINDS = {
    "session": "Sessions",
    "screening": "Screening",
    "hold": "Holds",
    "handout": "Handouts",
    "stage": "Stage",
    "followup": "Follow-ups",
}
HOLDS = {"any": "Any hold", "safety": "Safety hold", "care": "Care hold"}
STATUSES = {"open": "Open", "closed": "Closed", "any": "Open and closed"}


def fact_groups() -> list[tuple[str, list[Fact]]]:
    """Return the presenting facts by form group."""
    return [(name, list(facts)) for name, facts in groupby(FACTS, lambda fact: fact.group)]


@blueprint.get("/cases")
@needs(Action.CASE_READ)
def case_list() -> ResponseReturnValue:
    """List the cases that the user may see."""
    actor, args = current_actor(), request.args
    q = args.get("q", "").strip()[:MAX_SEARCH_LENGTH]
    # A search covers all cases; the unfiltered list shows open ones.
    status = args.get("status", "any" if q else "open")
    status = status if status in STATUSES else "open"
    filters = CaseFilter(
        stage=args["stage"] if args.get("stage") in stage_by_id() else None,
        status=None if status == "any" else status,
        coach_id=parse_uuid(args.get("coach", "")),
        hold=args["hold"] if args.get("hold") in HOLDS else None,
        q=q or None,
    )
    page = list_cases(actor, filters, args.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.CASE_READ, "case", None, None)
    return render_template(
        "cases/list.html",
        page=page,
        filters=filters,
        status=status,
        is_filtered=any(args.get(name) for name in ("stage", "status", "coach", "hold", "q")),
        coaches=list_assignable_coaches(actor) if actor.role is Role.SUPERVISOR else [],
        names=get_user_names({item.coach_id for item in page.items}),
        holds=HOLDS,
        statuses=STATUSES,
    )


@blueprint.get("/case/<string:number>")
@needs(Action.CASE_READ)
def case_page(number: str) -> ResponseReturnValue:
    """Show a case: its timeline, safety, handouts and open follow-ups."""
    actor, kind = current_actor(), request.args.get("kind") or None
    cursor = request.args.get("cursor")
    overview = get_case_overview(actor, number, kind=kind, cursor=cursor, limit=PAGE_SIZE)
    case = overview.page.case
    record_read(actor, Action.CASE_READ, "case", case.id, case.client_id)
    return render_template(
        "cases/overview.html",
        context=overview.page,
        tab="Overview",
        overview=overview,
        trends=_trends(overview.screenings[::-1]),
        kind=kind,
        kinds=EVENT_KINDS,
        outcomes=OUTCOMES,
    )


def _trends(screenings: list[ScreeningRecord]) -> list[tuple[str, str, list[int | None]]]:
    """Return icon, label and levels of each trend row; daily life is one row with the highest of its three items."""
    if not screenings:
        return []
    rows: dict[str, tuple[str, str, tuple[str, ...]]] = {
        item.key: (item.icon, item.label, (item.key,)) for item in ITEMS
    }
    for key in DAILY_LIFE[1:]:
        del rows[key]
    rows[DAILY_LIFE[0]] = ("sun", "Daily life", DAILY_LIFE)
    return [
        (
            icon,
            label,
            [highest_level({key: each.levels[key] for key in keys}) for each in screenings],
        )
        for icon, label, keys in rows.values()
    ]


@blueprint.get("/case/<string:number>/details")
@needs(Action.CASE_READ)
def details_page(number: str) -> ResponseReturnValue:
    """Show the forms with the details of a client and their case."""
    return _details(number)


def _details(number: str, **forms: Any) -> str:  # noqa: ANN401 - template variables
    actor, context = current_actor(), load_case_context(number)
    flags = list_flags(actor, context.case.client_id)
    may_compare = actor.may(Action.CONFLICT_READ)
    page = {"client_form": Form(), "facts_form": Form(), "flag_form": Form(), "clear_form": Form()}
    return render_template(
        "cases/details.html",
        context=context,
        tab="Details",
        flags=flags,
        flag_labels=FLAG_LABELS,
        settable_flags={
            kind: FLAG_LABELS[kind] for kind in MANUAL_FLAGS if kind not in context.safety.flags
        },
        names=get_user_names({flag.set_by for flag in flags}),
        matches=list_matches(actor, context.case.client_id) if may_compare else [],
        groups=fact_groups(),
        suspended=list_suspended_assignments(actor, context),
        goals=GOALS,
        channels=CHANNELS,
        consent=CONSENT_METHODS,
        **page | forms,
    )


@blueprint.post("/case/<string:number>/details/client")
@needs(Action.CLIENT_EDIT)
def save_client(number: str) -> ResponseReturnValue:
    """Save a client's details."""
    try:
        details, version = read_form(ClientSchema()), form_version()
        with transaction():
            case = lock_case(current_actor(), number)
            update_client(current_actor(), case.locked_client, details, version)
    except Invalid as error:
        return _details(number, client_form=submitted_form(error)), 422
    except Stale:
        return _details(number, client_form=submitted_form(), stale="client"), 412
    flash("saved")
    return redirect(url_for("cases.details_page", number=number), code=303)


@blueprint.post("/case/<string:number>/details/facts")
@needs(Action.CASE_EDIT)
def save_facts(number: str) -> ResponseReturnValue:
    """Save a case's presenting facts, goal and review date."""
    try:
        details, version = read_form(CaseDetailsSchema()), form_version()
        with transaction():
            case = lock_case(current_actor(), number)
            update_case(current_actor(), case, details, version)
    except Invalid as error:
        return _details(number, facts_form=submitted_form(error)), 422
    except Stale:
        return _details(number, facts_form=submitted_form(), stale="facts"), 412
    flash("saved")
    return redirect(url_for("cases.details_page", number=number), code=303)


@blueprint.post("/case/<string:number>/flags")
@needs(Action.FLAG_SET)
def set_flag(number: str) -> ResponseReturnValue:
    """Set a flag by hand."""
    try:
        kind = read_form(FlagSchema())["kind"]
        with transaction():
            case = lock_case(current_actor(), number)
            set_manual_flag(current_actor(), case.locked_client, kind)
    except Invalid as error:
        return _details(number, flag_form=submitted_form(error)), 422
    flash("flag_set")
    return redirect(url_for("cases.details_page", number=number, _anchor="flags"), code=303)


@blueprint.post("/case/<string:number>/flags/<uuid:flag_id>/clear")
@needs(Action.FLAG_CLEAR)
def clear_flag(number: str, flag_id: UUID) -> ResponseReturnValue:
    """Clear a flag with a written reason."""
    try:
        reason = read_form(ReasonSchema())["reason"]
        with transaction():
            case = lock_case(current_actor(), number)
            clear_case_flag(current_actor(), case, flag_id, reason)
    except Invalid as error:
        return _details(number, clear_form=submitted_form(error), clearing=flag_id), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _details(number, reasons=error.reasons), 409
    flash("flag_cleared")
    return redirect(url_for("cases.details_page", number=number, _anchor="flags"), code=303)


@blueprint.get("/case/<string:number>/close")
@needs(Action.CASE_READ)
def close_page(number: str) -> ResponseReturnValue:
    """Show the form that closes a case or reopens a closed one."""
    return _close(number)


def _close(number: str, **variables: Any) -> str:  # noqa: ANN401 - template variables
    context = load_case_context(number)
    return render_template(
        "cases/close.html",
        context=context,
        tab="Close" if context.case.status == "open" else "Reopen",
        outcomes=OUTCOMES,
        close_reasons=CLOSE_REASONS,
        **{"form": Form(), "reasons": []} | variables,
    )


@blueprint.post("/case/<string:number>/close")
@needs(Action.CASE_CLOSE)
def close(number: str) -> ResponseReturnValue:
    """Close a case."""
    try:
        closing, version = read_form(CaseClosingSchema()), form_version()
        with transaction():
            case = lock_case(current_actor(), number)
            close_case(current_actor(), case, closing, version)
    except Invalid as error:
        return _close(number, form=submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _close(number, form=submitted_form(), reasons=error.reasons), 409
    except Stale:
        return _close(number, form=submitted_form(), stale=True), 412
    flash("case_closed")
    return redirect(url_for("cases.case_page", number=number), code=303)


@blueprint.post("/case/<string:number>/reopen")
@needs(Action.CASE_REOPEN)
def reopen(number: str) -> ResponseReturnValue:
    """Reopen a closed case in the first stage."""
    try:
        reason, version = read_form(ReopenSchema())["reason"], form_version()
        with transaction():
            case = lock_case(current_actor(), number)
            reopen_case(current_actor(), case, reason, version)
    except Invalid as error:
        return _close(number, form=submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _close(number, form=submitted_form(), reasons=error.reasons), 409
    except Stale:
        return _close(number, form=submitted_form(), stale=True), 412
    flash("case_reopened")
    return redirect(url_for("cases.case_page", number=number), code=303)
