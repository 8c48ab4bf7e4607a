"""Handouts: the library, what each sheet rests on, and giving sheets to a case."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import replace_assignment
from caseapp.domain.assignments.queries import (
    list_assigned_clients,
    count_clients_with_version,
    list_clients_with_version,
    list_clients_with_older_version,
)
from caseapp.domain.assignments.schemas import MAX_MESSAGE_LENGTH, MAX_REPLACED, ReplaceAssignmentsSchema
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.handouts.library import ANY_STAGE, claims, contradictions, library, sources
from caseapp.domain.handouts.operations import recall, record_review
from caseapp.domain.handouts.printing import file_name, render_handout_pdf
from caseapp.domain.handouts.queries import (
    LibraryItem,
    get_handout_version,
    find_hidden_handout,
    list_handouts,
    require_not_recalled,
    list_versions,
)
from caseapp.domain.handouts.rendering import describe_empty_block, find_empty_blocks, render_page_body, plain
from caseapp.domain.handouts.schemas import KIND_LABELS, LANGUAGES, RecallSchema, ReviewSchema
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.schemas import FLAG_LABELS
from caseapp.http.downloads import pdf_response
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import needs, current_actor
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, submitted_form, read_form
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.handouts.library import Handout

blueprint = Blueprint("handouts", __name__)

TAG_WORDS = FLAG_LABELS | {
    "joint_consent": "Without a yes from both partners",
    "distance_only": "Not living far apart",
    "safety_screen_unknown": "A safety question not asked",
    "safety_screen_older_than_14_days": "Screening older than 14 days",
    "recent_affair": "An affair disclosed",
    "court_order": "A court order",
    "unsafe_delivery": "No safe way to send anything",
}
EFFECT_WORDS = {
    "block": "Not given",
    "warn": "Be careful",
    "in_session": "Only together, in the room",
}
HOLD_WORDS = {
    "safety": "Also in a safety hold",
    "care": "Also in a care hold",
    "none": "Not while a hold is open",
}
HIGHEST_VERSION = 9999


@blueprint.app_context_processor
def library_words() -> dict[str, object]:
    """Give the library's words to the pages about handouts."""
    return {
        "kind_words": KIND_LABELS,
        "hold_mark_words": HOLD_WORDS,
        "tag_words": TAG_WORDS,
        "effect_words": EFFECT_WORDS,
        "library_languages": LANGUAGES,
        "plain_text": plain,
    }


def stage_asked(default: str = "") -> str:
    """Read a stage from the address; what is no stage counts as all of them."""
    wanted = request.args.get("stage", default)
    return wanted if wanted in stage_by_id() else ""


def language_asked() -> str:
    """Read a language from the address; what the library does not speak counts as English."""
    wanted = request.args.get("language", "en")
    return wanted if wanted in LANGUAGES else "en"


@blueprint.get("/handouts")
@needs(Action.HANDOUT_READ)
def handout_list() -> ResponseReturnValue:
    """Show the library by stage, narrowed by stage, language and words."""
    stage, q = stage_asked(), request.args.get("q", "").strip()[:120]
    shown = "hidden" if request.args.get("shown") == "hidden" else ""
    found = list_handouts(current_actor(), stage or None, q, language_asked(), hidden=shown == "hidden")
    groups: dict[str, list[LibraryItem]] = defaultdict(list)
    for item in found:
        groups[item.handout.stage].append(item)
    order = [ANY_STAGE, *stage_by_id()]
    return render_template(
        "handouts/list.html",
        groups=[(stage_by_id().get(key), groups[key]) for key in order if groups[key]],
        count=len(found),
        filters=Form({"stage": stage, "q": q, "language": language_asked(), "shown": shown}),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
    )


@blueprint.get("/handouts/sources")
@needs(Action.HANDOUT_READ)
def sources_page() -> ResponseReturnValue:
    """Show every article: what was taken, what was left out and why, and how contradictions were resolved."""
    fed: dict[str, list[Handout]] = defaultdict(list)
    for handout in library().values():
        if handout.language == "en":
            for source in handout.sources:
                fed[source].append(handout)
    return render_template(
        "handouts/sources.html",
        sources=sources().values(),
        fed=fed,
        claims={
            source.id: [c for c in claims().values() if c.id.partition("-")[0] == source.prefix]
            for source in sources().values()
        },
        contradictions=contradictions(),
        total=len(claims()),
    )


def _edition(slug: str) -> LibraryItem:
    """Find the edition that an address asks for.

    Raises NotFound.
    """
    number = request.args.get("version")
    if number is not None and not (number.isdecimal() and 0 < int(number[:9]) <= HIGHEST_VERSION):
        raise NotFound
    return get_handout_version(slug, request.args.get("language", "en"), int(number) if number else None)


@blueprint.get("/handouts/<string:slug>")
@needs(Action.HANDOUT_READ)
def handout_page(slug: str) -> ResponseReturnValue:
    """Show a handout as a page, with what it rests on, its reviews and who has it."""
    return _handout(slug)


def _handout(slug: str, form: Form | None = None, left: tuple[Reason, ...] = ()) -> str:
    actor, item = current_actor(), _edition(slug)
    known = get_practice_info().help_lines
    empty = [describe_empty_block(name) for name in find_empty_blocks(item.handout, known)]
    versions = list_versions(actor, slug)
    newest = next(v for v in versions if v.handout.language == item.handout.language)
    holders, older = None, []
    if actor.may(Action.ASSIGNMENT_READ):
        holders = list_assigned_clients(actor, slug, request.args.get("cursor"), PAGE_SIZE)
        if newest.handout_version_id == item.handout_version_id and item.recalled_at is None:
            older = list_clients_with_older_version(actor, item, MAX_REPLACED)
        record_read(actor, Action.ASSIGNMENT_READ, "assignment", None, None)
    return render_template(
        "handouts/handout.html",
        item=item,
        handout=item.handout,
        empty=empty,
        body=None if empty else render_page_body(item.handout, known, faith=True, staff=True),
        versions=versions,
        newest=newest.handout_version_id == item.handout_version_id,
        holders=holders,
        hidden=find_hidden_handout(slug),
        origin=library().get((item.handout.based_on or "", item.handout.language)),
        older=[(number, list(found)) for number, found in groupby(older, attrgetter("handout_version"))],
        left=left,
        max_message_length=MAX_MESSAGE_LENGTH,
        confirm=any(reason.code == "confirmation_required" for reason in left),
        form=form or Form(),
    )


@blueprint.get("/handouts/<string:slug>/pdf")
@needs(Action.HANDOUT_READ)
def handout_pdf(slug: str) -> ResponseReturnValue:
    """Give a handout's PDF, as a client would get it."""
    handout = require_not_recalled(_edition(slug))
    made = render_handout_pdf(
        handout,
        get_practice_info().letterhead,
        get_practice_info().help_lines,
        faith=request.args.get("faith") == "yes",
        large=large_asked(),
    )
    return pdf_response(made, file_name(handout, large=large_asked()))


def large_asked() -> bool:
    """Tell whether large print was asked for."""
    return request.args.get("size") == "large"


@blueprint.post("/handouts/<string:slug>/review")
@needs(Action.HANDOUT_REVIEW)
def review_now(slug: str) -> ResponseReturnValue:
    """Record that a clinician has read this edition."""
    item = _edition(slug)
    try:
        new = read_form(ReviewSchema())
        with transaction():
            run_form_once(lambda: record_review(current_actor(), item.handout_version_id, new))
    except Invalid as error:
        return _handout(slug, submitted_form(error)), 422
    flash("review_recorded")
    handout = item.handout
    return redirect(
        url_for(
            "handouts.handout_page", slug=slug, language=handout.language, version=handout.version
        ),
        code=303,
    )


@blueprint.get("/handouts/<string:slug>/recall")
@needs(Action.HANDOUT_RECALL)
def recall_page(slug: str) -> ResponseReturnValue:
    """Show whom a recall touches and what it does, before it is done."""
    return _recall(slug, Form())


def _recall(slug: str, form: Form) -> str:
    actor, item = current_actor(), _edition(slug)
    mine = []
    if actor.may(Action.ASSIGNMENT_READ):
        mine = list_clients_with_version(actor, item.handout_version_id, MAX_REPLACED + 1)
        record_read(actor, Action.ASSIGNMENT_READ, "assignment", None, None)
    return render_template(
        "handouts/recall.html",
        item=item,
        handout=item.handout,
        holding=count_clients_with_version(actor, item.handout_version_id),
        mine=mine[:MAX_REPLACED],
        more=len(mine) > MAX_REPLACED,
        form=form,
    )


@blueprint.post("/handouts/<string:slug>/recall")
@needs(Action.HANDOUT_RECALL)
def recall_now(slug: str) -> ResponseReturnValue:
    """Recall this edition, with a reason that every coach reads."""
    item = _edition(slug)
    try:
        reason = read_form(RecallSchema())
        with transaction():
            recall(current_actor(), item.handout_version_id, reason)
    except Invalid as error:
        return _recall(slug, submitted_form(error)), 422
    flash("handout_recalled")
    handout = item.handout
    return redirect(
        url_for(
            "handouts.handout_page", slug=slug, language=handout.language, version=handout.version
        ),
        code=303,
    )


@blueprint.post("/handouts/<string:slug>/replace")
@needs(Action.ASSIGNMENT_CREATE)
def replace_now(slug: str) -> ResponseReturnValue:
    """Replace older versions for the chosen clients, each in a transaction of its own; say who was left out and why."""
    actor, item = current_actor(), get_handout_version(slug, request.args.get("language", "en"))
    older = {h.id: h for h in list_clients_with_older_version(actor, item, MAX_REPLACED)}
    try:
        wanted = read_form(ReplaceAssignmentsSchema())
    except Invalid as error:
        return _handout(slug, submitted_form(error)), 422
    left: list[Reason] = []
    replaced = False
    for assignment_id in wanted.ids:
        if assignment_id not in older:
            # Sent twice, or somebody else was faster: there is nothing left to replace.
            continue
        try:
            with transaction():
                replace_assignment(actor, assignment_id, message=wanted.message, confirmed=wanted.confirmed)
            replaced = True
        except RuleBroken as error:
            record_refused_request(error)
            who = older[assignment_id].client
            left += [Reason(r.code, f"{who}: {r.message}", r.way_out) for r in error.reasons]
    if replaced or not left:
        flash("handouts_replaced")
    if left:
        return _handout(slug, submitted_form(), tuple(left)), 409
    here = url_for("handouts.handout_page", slug=slug, language=item.handout.language)
    return redirect(here, code=303)
