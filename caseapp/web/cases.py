"""Case pages: the caseload, the overview, details and flags, closing and reopening."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.i18n import LANGUAGES
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action, Role
from caseapp.domain.assignments.reading import list_suspended_assignments
from caseapp.domain.cases.facts import CLOSE_REASONS, FACTS, GOALS, OUTCOMES
from caseapp.domain.cases.operations import clear_case_flag, close_case, reopen_case, update_case
from caseapp.domain.cases.queries import (
    CaseContext,
    CaseFilter,
    LockedCase,
    list_cases,
    lock_case,
)
from caseapp.domain.cases.rules import propose_move_back
from caseapp.domain.cases.schemas import (
    CaseClosing,
    CaseClosingSchema,
    CaseDetails,
    CaseDetailsSchema,
    ReopenSchema,
)
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.care_team import list_care_team
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.clients.matches import list_matches
from caseapp.domain.clients.operations import confirm_contact, update_client
from caseapp.domain.clients.queries import dump_client
from caseapp.domain.clients.rules import UNSAFE_FLAGS, is_contact_frozen
from caseapp.domain.clients.schemas import (
    CHANNELS,
    ContactConfirmationSchema,
    EnteredClient,
    EnteredClientSchema,
)
from caseapp.domain.dashboard.case_page import get_case_overview
from caseapp.domain.merges.queries import has_earlier_records
from caseapp.domain.notes.sessions import count_sessions
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.protocol import FLAG_LABELS, MANUAL_FLAGS
from caseapp.domain.screening.queries import list_flags
from caseapp.domain.screening.schemas import FlagSchema, ReasonSchema
from caseapp.domain.staffing.transfer_queries import find_offering_coach
from caseapp.domain.users.queries import get_user_names, list_assignable_coaches
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import parse_uuid
from caseapp.web.case_header import (
    load_case_context,
    lock_page_case,
    register_template_globals,
)

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.cases.facts import Fact
    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("cases", __name__)
register_template_globals(blueprint)

MAX_SEARCH_LENGTH = 120
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
    return render_template(
        "cases/list.html",
        page=page,
        filters=filters,
        status=status,
        is_filtered=any(args.get(name) for name in ("stage", "status", "coach", "hold", "q")),
        coaches=list_assignable_coaches(actor) if actor.role is Role.SUPERVISOR else [],
        names=get_user_names({item.coach_id for item in page.items}),
        sessions=count_sessions([item.id for item in page.items]),
        holds=HOLDS,
        statuses=STATUSES,
    )


@blueprint.get("/case/<string:number>")
@needs(Action.CASE_READ)
def case_page(number: str) -> ResponseReturnValue:
    """Show a case: what happened last, safety, handouts and open follow-ups."""
    overview = get_case_overview(current_actor(), number, limit=PAGE_SIZE)
    return render_template(
        "cases/overview.html",
        context=overview.page,
        tab="Overview",
        move_back=propose_move_back(overview.page),
        overview=overview,
        outcomes=OUTCOMES,
    )


details = FormPage(
    blueprint,
    "/case/<string:number>/details",
    Action.CASE_READ,
    load_case_context,
    client_of=lambda context: context.case.client_id,
)


@details.show
def details_page(context: CasePage, forms: Forms) -> str:
    """Show the forms with the details of a client and their case."""
    actor = current_actor()
    flags = list_flags(actor, context.case.client_id)
    client = context.client
    people = {flag.set_by for flag in flags}
    if client.contact_confirmed_by:
        people.add(client.contact_confirmed_by)
    may_compare = actor.may(Action.CONFLICT_READ)
    members = list_care_team(actor, context.case.client_id)[::-1]
    return render_template(
        "cases/details.html",
        context=context,
        tab="Details",
        forms=forms,
        flags=flags,
        flag_labels=FLAG_LABELS,
        settable_flags={
            kind: FLAG_LABELS[kind] for kind in MANUAL_FLAGS if kind not in context.safety.flags
        },
        names=get_user_names(people),
        frozen=is_contact_frozen(context.safety.flags, client.contact_confirmed_at),
        is_confirmation_needed=not UNSAFE_FLAGS.isdisjoint(context.safety.flags),
        members=members,
        offered_by=find_offering_coach(actor, members),
        matches=list_matches(actor, context.case.client_id) if may_compare else [],
        has_earlier=has_earlier_records(context.case.client_id),
        groups=fact_groups(),
        suspended=list_suspended_assignments(actor, context),
        goals=GOALS,
        channels=CHANNELS,
        consent=CONSENT_METHODS,
        languages=LANGUAGES,
    )


def client_values(context: CaseContext) -> dict[str, object]:
    """Return what the client's form sends untouched."""
    return dump_client(context.client)


@details.form(
    Action.CLIENT_EDIT,
    Body(EnteredClientSchema, EnteredClient),
    lock=lock_case,
    rule="/case/<string:number>/details/client",
    values=client_values,
    coupled=(("consent_on", "consent_method"), ("safe_channels", "phone", "email")),
)
def save_client(case: LockedCase, entered: EnteredClient, sent: Sent) -> Done:
    """Save a client's details."""
    update_client(
        sent.actor, case.locked_client, entered.details, sent.version, agreed=entered.agreed
    )
    return Done(url_for("cases.details_page", number=case.case.number), "saved")


@details.form(
    Action.CONTACT_CONFIRM,
    Body(ContactConfirmationSchema, dict[str, bool]),
    lock=lock_case,
    rule="/case/<string:number>/details/contact",
)
def confirm_safe_contact(case: LockedCase, _body: dict[str, bool], sent: Sent) -> Done:
    """Record that the client confirmed in person which ways of contact are safe."""
    confirm_contact(sent.actor, case.locked_client, sent.version)
    return Done(url_for("cases.details_page", number=case.case.number), "contact_confirmed")


def fact_values(context: CaseContext) -> dict[str, object]:
    """Return what the case's form sends untouched."""
    empty = {fact.name: [] if fact.kind == "multiple" else "" for fact in FACTS}
    case = context.case
    return empty | context.facts | {"goal": case.goal, "review_date": case.review_date}


@details.form(
    Action.CASE_EDIT,
    Body(CaseDetailsSchema, CaseDetails),
    lock=lock_case,
    rule="/case/<string:number>/details/facts",
    values=fact_values,
    coupled=(("goal", "review_date"),),
)
def save_facts(case: LockedCase, details: CaseDetails, sent: Sent) -> Done:
    """Save a case's presenting facts, goal and review date."""
    update_case(sent.actor, case, details, sent.version)
    return Done(url_for("cases.details_page", number=case.case.number), "saved")


@details.form(
    Action.FLAG_SET,
    Body(FlagSchema, dict[str, str]),
    lock=lock_case,
    rule="/case/<string:number>/flags",
    refused="The flag was not set",
)
def set_flag(case: LockedCase, body: dict[str, str], sent: Sent) -> Done:
    """Set a flag by hand."""
    set_manual_flag(sent.actor, case.locked_client, body["kind"])
    return Done(_flags_of(case), "flag_set")


@details.form(
    Action.FLAG_CLEAR,
    Body(ReasonSchema, dict[str, str]),
    lock=lock_page_case,
    rule="/case/<string:number>/flags/<uuid:flag_id>/clear",
    refused="The flag was not cleared",
)
def clear_flag(case: LockedCase, body: dict[str, str], sent: Sent) -> Done:
    """Clear a flag with a written reason."""
    clear_case_flag(sent.actor, case, sent.args["flag_id"], body["reason"])
    return Done(_flags_of(case), "flag_cleared")


def _flags_of(case: LockedCase) -> str:
    return url_for("cases.details_page", number=case.case.number, _anchor="flags")


ending = FormPage(
    blueprint,
    "/case/<string:number>/close",
    Action.CASE_READ,
    load_case_context,
    client_of=lambda context: context.case.client_id,
    only_asks=True,
)


@ending.show
def close_page(context: CasePage, forms: Forms) -> str:
    """Show the form that closes a case or reopens a closed one."""
    return render_template(
        "cases/close.html",
        context=context,
        tab="Close" if context.case.status == "open" else "Reopen",
        forms=forms,
        outcomes=OUTCOMES,
        close_reasons=CLOSE_REASONS,
    )


@ending.form(
    Action.CASE_CLOSE,
    Body(CaseClosingSchema, CaseClosing),
    lock=lock_case,
    refused="You can’t do this yet because:",
)
def close(case: LockedCase, closing: CaseClosing, sent: Sent) -> Done:
    """Close a case."""
    close_case(sent.actor, case, closing, sent.version)
    return Done(url_for("cases.case_page", number=case.case.number), "case_closed")


@ending.form(
    Action.CASE_REOPEN,
    Body(ReopenSchema, dict[str, str]),
    lock=lock_case,
    rule="/case/<string:number>/reopen",
    refused="You can’t do this yet because:",
)
def reopen(case: LockedCase, body: dict[str, str], sent: Sent) -> Done:
    """Reopen a closed case in the first stage."""
    reopen_case(sent.actor, case, body["reason"], sent.version)
    return Done(url_for("cases.case_page", number=case.case.number), "case_reopened")
