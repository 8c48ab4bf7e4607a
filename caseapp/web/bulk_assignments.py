"""Givings: one sheet to several clients, chosen, confirmed with everybody's reasons, and followed to its end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, make_response, redirect, render_template, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import day_in_reach
from caseapp.domain.assignments.schemas import LONGEST_LINE
from caseapp.domain.assignments.suitability import CAREFUL, GIVE, REFUSE
from caseapp.domain.audit.operations import record_read
from caseapp.domain.bulk_assignments.operations import begin_giving
from caseapp.domain.bulk_assignments.queries import candidates_for, giving_shown
from caseapp.domain.bulk_assignments.schemas import MOST_GIVEN, ChoiceSchema, GivingSchema
from caseapp.domain.cases.queries import CaseFilter, list_cases
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.queries import edition_of, not_recalled
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import form_once
from caseapp.http.request_parsing import Form, form_of, read_form
from caseapp.http.template_helpers import say
from caseapp.web.handouts import language_asked, stage_asked

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response
    from flask.typing import ResponseReturnValue

    from caseapp.core.errors import Reason
    from caseapp.domain.bulk_assignments.schemas import Choice
    from caseapp.domain.cases.schemas import CaseInList

blueprint = Blueprint("givings", __name__)

SECONDS_BETWEEN_LOOKS = 5
# A page that nobody reads any more must not keep its session alive for ever.
LOOKS_AGAIN_FOR = timedelta(minutes=10)


def _cases() -> tuple[list[CaseInList], bool]:
    """List the open cases of the stage in the address, newest first, and tell whether there are more."""
    wanted = CaseFilter(stage=stage_asked() or None, status="open")
    page = list_cases(the_actor(), wanted, None, MOST_GIVEN)
    return page.items, page.next is not None


@blueprint.get("/handouts/<string:slug>/give")
@needs(Action.ASSIGNMENT_MAKE)
def choose_page(slug: str) -> ResponseReturnValue:
    """Show the open cases, so that the coach chooses who gets a sheet."""
    return _choose(slug, Form())


def _choose(slug: str, form: Form, reasons: tuple[Reason, ...] = ()) -> str:
    handout = not_recalled(edition_of(slug, language_asked()))
    cases, more = _cases()
    record_read(the_actor(), Action.CASE_READ, "case", None, None)
    return render_template(
        "bulk_assignments/choose.html",
        handout=handout,
        cases=cases,
        more=more,
        most=MOST_GIVEN,
        filters=Form({"stage": stage_asked(), "language": language_asked()}),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
        form=form,
        reasons=reasons,
        longest_line=LONGEST_LINE,
    )


@blueprint.post("/handouts/<string:slug>/give")
@needs(Action.ASSIGNMENT_MAKE)
def confirm_page(slug: str) -> ResponseReturnValue:
    """Show who of the chosen gets it, who asks for care and who is left out; nothing is stored yet."""
    try:
        choice = read_form(ChoiceSchema())
        chosen = [case.id for case in _cases()[0]] if choice.all else choice.cases
        return _confirm(slug, choice, chosen)
    except Invalid as error:
        return _choose(slug, form_of(error)), 422


def _confirm(slug: str, choice: Choice, chosen: list[UUID]) -> str:
    actor, item = the_actor(), edition_of(slug, language_asked())
    not_recalled(item)
    day_in_reach(choice.due_on)
    found = candidates_for(actor, item, choice.channel, chosen)
    if not found:
        raise Invalid({"cases": ["Choose at least one client."]})
    record_read(actor, Action.ASSIGNMENT_READ, "case", None, None)
    return render_template(
        "bulk_assignments/confirm.html",
        handout=item.handout,
        choice=choice,
        chosen=found,
        groups={
            outcome: [one for one in found if one.outcome == outcome]
            for outcome in (GIVE, CAREFUL, REFUSE)
        },
    )


@blueprint.post("/handouts/<string:slug>/givings")
@needs(Action.ASSIGNMENT_MAKE)
def give_now(slug: str) -> ResponseReturnValue:
    """Write down who is to get a sheet and hand the work to the job."""
    actor = the_actor()
    try:
        wanted = read_form(GivingSchema())
        with transaction():
            giving_id = form_once(lambda: begin_giving(actor, slug, wanted))
    except Invalid as error:
        return _choose(slug, form_of(error)), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _choose(slug, form_of(), error.reasons), 409
    say("giving_begun")
    return redirect(url_for("givings.giving_page", giving_id=giving_id), code=303)


@blueprint.get("/handouts/givings/<uuid:giving_id>")
@needs(Action.ASSIGNMENT_READ)
def giving_page(giving_id: UUID) -> Response:
    """Show how far a giving is; the page looks again by itself until nobody waits, for some minutes."""
    actor = the_actor()
    giving = giving_shown(actor, giving_id)
    record_read(actor, Action.ASSIGNMENT_READ, "giving", giving_id, None)
    again = not giving.done and now() - giving.made_at < LOOKS_AGAIN_FOR
    answer = make_response(
        render_template("bulk_assignments/giving.html", giving=giving, again=again)
    )
    if again:
        answer.headers["Refresh"] = str(SECONDS_BETWEEN_LOOKS)
    return answer
