"""Cases: the caseload, one case whole, its details and flags, its end and its beginning anew."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, RuleBroken, Stale
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.eligibility import advice_for
from caseapp.domain.assignments.queries import assignments_of
from caseapp.domain.assignments.suspended import resting_in
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.facts import CLOSE_REASONS, FACTS, GOALS, OUTCOMES
from caseapp.domain.cases.operations import change_case, close_case, lift_flag, reopen_case
from caseapp.domain.cases.queries import CaseFilter, case_by_number, list_cases
from caseapp.domain.cases.schemas import ClosingSchema, DetailsSchema, WhySchema
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.operations import change_client
from caseapp.domain.clients.queries import matches_of
from caseapp.domain.clients.schemas import CHANNELS, CONSENT, ClientSchema
from caseapp.domain.dashboard.queries import timeline
from caseapp.domain.followups.queries import followups_of
from caseapp.domain.screening.operations import raise_flag
from caseapp.domain.screening.protocol import ITEMS, highest
from caseapp.domain.screening.queries import flags_of, recent_screenings
from caseapp.domain.screening.schemas import FLAGS, RAISED_BY_HAND, FlagSchema, ReasonSchema
from caseapp.domain.users.queries import coaches_for, names_of
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.request_parsing import Form, form_of, form_version, read_form, uuid_of
from caseapp.http.template_helpers import say
from caseapp.web.case_header import put_words, seen_case

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.cases.facts import Fact
    from caseapp.domain.screening.schemas import ScreeningRecord

blueprint = Blueprint("cases", __name__)
put_words(blueprint)

LONGEST_SEARCH = 120
TREND = 6
DAILY_LIFE = ("caring", "work", "household")
KINDS = {
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
    """Give the presenting facts as they stand in the form, group by group."""
    return [(name, list(facts)) for name, facts in groupby(FACTS, lambda fact: fact.group)]


@blueprint.get("/cases")
@needs(Action.CASE_READ)
def case_list() -> ResponseReturnValue:
    """List the cases that the person who asks may see."""
    actor, asked = the_actor(), request.args
    q = asked.get("q", "").strip()[:LONGEST_SEARCH]
    # A search from the top bar looks everywhere; the plain list shows what is going on.
    status = asked.get("status", "any" if q else "open")
    status = status if status in STATUSES else "open"
    wanted = CaseFilter(
        stage=asked["stage"] if asked.get("stage") in stage_by_id() else None,
        status=None if status == "any" else status,
        coach_id=uuid_of(asked.get("coach", "")),
        hold=asked["hold"] if asked.get("hold") in HOLDS else None,
        q=q or None,
    )
    page = list_cases(actor, wanted, asked.get("cursor"), PAGE_SIZE)
    record_read(actor, Action.CASE_READ, "case", None, None)
    return render_template(
        "cases/list.html",
        page=page,
        wanted=wanted,
        status=status,
        narrowed=any(asked.get(name) for name in ("stage", "status", "coach", "hold", "q")),
        coaches=coaches_for(actor) if actor.role is Role.SUPERVISOR else [],
        names=names_of({item.coach_id for item in page.items}),
        holds=HOLDS,
        statuses=STATUSES,
    )


@blueprint.get("/case/<string:number>")
@needs(Action.CASE_READ)
def case_page(number: str) -> ResponseReturnValue:
    """Show a case whole: what happened, how safe it is, what the client reads, what is due."""
    actor, head = the_actor(), seen_case(number)
    kind = request.args.get("kind") or None
    cursor = request.args.get("cursor")
    return render_template(
        "cases/overview.html",
        head=head,
        tab="Overview",
        happenings=timeline(actor, head, kind=kind, cursor=cursor, limit=PAGE_SIZE),
        kind=kind,
        kinds=KINDS,
        trends=_trends(recent_screenings(head.case.client_id, TREND)[::-1]),
        handouts=[
            given
            for given in assignments_of(actor, head, limit=PAGE_SIZE)
            if given.withdrawn_at is None
        ],
        resting=resting_in(actor, head),
        advice=advice_for(actor, head),
        tasks=followups_of(actor, head.case.client_id, open_only=True, limit=PAGE_SIZE),
        outcomes=OUTCOMES,
    )


def _trends(screenings: list[ScreeningRecord]) -> list[tuple[str, str, list[int | None]]]:
    """Draw daily life as one row: of its three parts the highest counts, as everywhere in the protocol."""
    if not screenings:
        return []
    rows: dict[str, tuple[str, str, tuple[str, ...]]] = {
        item.key: (item.icon, item.label, (item.key,)) for item in ITEMS
    }
    for key in DAILY_LIFE[1:]:
        del rows[key]
    rows[DAILY_LIFE[0]] = ("sun", "Daily life", DAILY_LIFE)
    return [
        (icon, label, [highest({key: each.levels[key] for key in keys}) for each in screenings])
        for icon, label, keys in rows.values()
    ]


@blueprint.get("/case/<string:number>/details")
@needs(Action.CASE_READ)
def details(number: str) -> ResponseReturnValue:
    """Show what is known about a client and their case, to be changed."""
    return _details(number)


def _details(number: str, **forms: Any) -> str:  # noqa: ANN401 - forms and words of a page
    actor, head = the_actor(), seen_case(number)
    flags = flags_of(actor, head.case.client_id)
    may_compare = actor.may(Action.CONFLICT_READ)
    page = {"client_form": Form(), "facts_form": Form(), "flag_form": Form(), "lower_form": Form()}
    return render_template(
        "cases/details.html",
        head=head,
        tab="Details",
        flags=flags,
        flag_words=FLAGS,
        raisable={kind: FLAGS[kind] for kind in RAISED_BY_HAND if kind not in head.safety.flags},
        names=names_of({flag.raised_by for flag in flags}),
        matches=matches_of(actor, head.case.client_id) if may_compare else [],
        groups=fact_groups(),
        resting=resting_in(actor, head),
        goals=GOALS,
        channels=CHANNELS,
        consent=CONSENT,
        **page | forms,
    )


@blueprint.post("/case/<string:number>/details/client")
@needs(Action.CLIENT_EDIT)
def save_client(number: str) -> ResponseReturnValue:
    """Save a client's details."""
    try:
        wanted, version = read_form(ClientSchema()), form_version()
        with transaction():
            head = case_by_number(the_actor(), number)
            change_client(the_actor(), head.case.client_id, wanted, version)
    except Invalid as error:
        return _details(number, client_form=form_of(error)), 422
    except Stale:
        return _details(number, client_form=form_of(), stale="client"), 412
    say("saved")
    return redirect(url_for("cases.details", number=number), code=303)


@blueprint.post("/case/<string:number>/details/facts")
@needs(Action.CASE_EDIT)
def save_facts(number: str) -> ResponseReturnValue:
    """Save a case's presenting facts, goal and review date."""
    try:
        wanted, version = read_form(DetailsSchema()), form_version()
        with transaction():
            head = case_by_number(the_actor(), number)
            change_case(the_actor(), head.case.id, wanted, version)
    except Invalid as error:
        return _details(number, facts_form=form_of(error)), 422
    except Stale:
        return _details(number, facts_form=form_of(), stale="facts"), 412
    say("saved")
    return redirect(url_for("cases.details", number=number), code=303)


@blueprint.post("/case/<string:number>/flags")
@needs(Action.FLAG_RAISE)
def raise_one(number: str) -> ResponseReturnValue:
    """Raise a flag by hand; sent twice it is up once."""
    try:
        kind = read_form(FlagSchema())["kind"]
        with transaction():
            head = case_by_number(the_actor(), number)
            raise_flag(the_actor(), head.case.client_id, kind)
    except Invalid as error:
        return _details(number, flag_form=form_of(error)), 422
    say("flag_raised")
    return redirect(url_for("cases.details", number=number, _anchor="flags"), code=303)


@blueprint.post("/case/<string:number>/flags/<uuid:flag_id>/lower")
@needs(Action.FLAG_LOWER)
def lower_one(number: str, flag_id: UUID) -> ResponseReturnValue:
    """Lower a flag with a written reason."""
    try:
        reason = read_form(ReasonSchema())["reason"]
        with transaction():
            head = case_by_number(the_actor(), number)
            lift_flag(the_actor(), head.case.id, flag_id, reason)
    except Invalid as error:
        return _details(number, lower_form=form_of(error), lowering=flag_id), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _details(number, reasons=error.reasons), 409
    say("flag_lowered")
    return redirect(url_for("cases.details", number=number, _anchor="flags"), code=303)


@blueprint.get("/case/<string:number>/close")
@needs(Action.CASE_READ)
def close_page(number: str) -> ResponseReturnValue:
    """Show the form that closes a case, or opens a closed one again."""
    return _close(number)


def _close(number: str, **words: Any) -> str:  # noqa: ANN401 - forms and words of a page
    head = seen_case(number)
    return render_template(
        "cases/close.html",
        head=head,
        tab="Close" if head.case.status == "open" else "Reopen",
        outcomes=OUTCOMES,
        close_reasons=CLOSE_REASONS,
        **{"form": Form(), "reasons": []} | words,
    )


@blueprint.post("/case/<string:number>/close")
@needs(Action.CASE_CLOSE)
def close_now(number: str) -> ResponseReturnValue:
    """Close a case."""
    try:
        closing, version = read_form(ClosingSchema()), form_version()
        with transaction():
            head = case_by_number(the_actor(), number)
            close_case(the_actor(), head.case.id, closing, version)
    except Invalid as error:
        return _close(number, form=form_of(error)), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _close(number, form=form_of(), reasons=error.reasons), 409
    except Stale:
        return _close(number, form=form_of(), stale=True), 412
    say("case_closed")
    return redirect(url_for("cases.case_page", number=number), code=303)


@blueprint.post("/case/<string:number>/reopen")
@needs(Action.CASE_REOPEN)
def reopen_now(number: str) -> ResponseReturnValue:
    """Open a closed case again, in its first stage."""
    try:
        reason, version = read_form(WhySchema())["reason"], form_version()
        with transaction():
            head = case_by_number(the_actor(), number)
            reopen_case(the_actor(), head.case.id, reason, version)
    except Invalid as error:
        return _close(number, form=form_of(error)), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _close(number, form=form_of(), reasons=error.reasons), 409
    except Stale:
        return _close(number, form=form_of(), stale=True), 412
    say("case_reopened")
    return redirect(url_for("cases.case_page", number=number), code=303)
