"""Handout pages: the library, each handout, its versions, reviews and recalls."""

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
    count_clients_with_version,
    list_assigned_clients,
    list_clients_with_older_version,
    list_clients_with_version,
    lock_assignment,
)
from caseapp.domain.assignments.schemas import (
    MAX_MESSAGE_LENGTH,
    MAX_REPLACED,
    ReplaceAssignmentsSchema,
)
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.handouts import operations
from caseapp.domain.handouts.library import ANY_STAGE, LANGUAGES, library
from caseapp.domain.handouts.printing import file_name, render_handout_pdf
from caseapp.domain.handouts.provenance import claims, contradictions, sources
from caseapp.domain.handouts.queries import (
    LibraryItem,
    find_hidden_handout,
    get_handout_version,
    list_handouts,
    list_versions,
    require_not_recalled,
)
from caseapp.domain.handouts.rendering import (
    describe_empty_block,
    find_empty_blocks,
    plain_text,
    render_page_body,
)
from caseapp.domain.handouts.schemas import KIND_LABELS, RecallSchema, ReviewSchema
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.protocol import FLAG_LABELS
from caseapp.http.downloads import pdf_response
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.handouts.library import Handout

blueprint = Blueprint("handouts", __name__)

TAG_LABELS = FLAG_LABELS | {
    "joint_consent": "Without consent from both partners",
    "distance_only": "Not living far apart",
    "safety_screen_unknown": "A safety question was not asked",
    "safety_screen_older_than_14_days": "Screening older than 14 days",
    "recent_affair": "An affair was disclosed",
    "court_order": "A court order",
}
EFFECT_LABELS = {
    "block": "Blocked",
    "warn": "Caution",
    "in_session": "Only in a session with the client",
}
HOLD_MARK_LABELS = {
    "safety": "Even during a safety hold",
    "care": "Even during a care hold",
    "none": "Not while a hold is open",
}
MAX_VERSION = 9999


@blueprint.app_context_processor
def handout_labels() -> dict[str, object]:
    """Give templates the labels of handouts."""
    return {
        "handout_kinds": KIND_LABELS,
        "hold_mark_labels": HOLD_MARK_LABELS,
        "tag_labels": TAG_LABELS,
        "effect_labels": EFFECT_LABELS,
        "library_languages": LANGUAGES,
        "plain_text": plain_text,
    }


def get_requested_stage(default: str = "") -> str:
    """Get the stage from the query string; empty, meaning all stages, when it is unknown."""
    stage = request.args.get("stage", default)
    return stage if stage in stage_by_id() else ""


def get_requested_language() -> str:
    """Get the language from the query string; English when the library does not have it."""
    language = request.args.get("language", "en")
    return language if language in LANGUAGES else "en"


@blueprint.get("/handouts")
@needs(Action.HANDOUT_READ)
def handout_list() -> ResponseReturnValue:
    """Show the library by stage, filtered by stage, language and search text."""
    stage, q = get_requested_stage(), request.args.get("q", "").strip()[:120]
    shown = "hidden" if request.args.get("shown") == "hidden" else ""
    language = get_requested_language()
    found = list_handouts(current_actor(), stage or None, q, language, hidden=shown == "hidden")
    groups: dict[str, list[LibraryItem]] = defaultdict(list)
    for item in found:
        groups[item.handout.stage].append(item)
    order = [ANY_STAGE, *stage_by_id()]
    return render_template(
        "handouts/list.html",
        groups=[(stage_by_id().get(key), groups[key]) for key in order if groups[key]],
        count=len(found),
        filters=Form({"stage": stage, "q": q, "language": language, "shown": shown}),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
    )


@blueprint.get("/handouts/sources")
@needs(Action.HANDOUT_READ)
def sources_page() -> ResponseReturnValue:
    """Show the source articles: what was used, what was left out, and how contradictions were resolved."""
    handouts: dict[str, list[Handout]] = defaultdict(list)
    for handout in library().values():
        if handout.language == "en":
            for source in handout.sources:
                handouts[source].append(handout)
    return render_template(
        "handouts/sources.html",
        sources=sources().values(),
        handouts=handouts,
        claims={
            source.id: [c for c in claims().values() if c.id.partition("-")[0] == source.prefix]
            for source in sources().values()
        },
        contradictions=contradictions(),
        total=len(claims()),
    )


def _get_requested_version(slug: str) -> LibraryItem:
    """Get the handout version that the query string asks for, the newest by default.

    Raises NotFound.
    """
    number = request.args.get("version")
    if number is not None and not (number.isdecimal() and 0 < int(number[:9]) <= MAX_VERSION):
        raise NotFound
    return get_handout_version(
        slug, request.args.get("language", "en"), int(number) if number else None
    )


@blueprint.get("/handouts/<string:slug>")
@needs(Action.HANDOUT_READ)
def handout_page(slug: str) -> ResponseReturnValue:
    """Show a handout with its sources, its reviews and the clients who have it."""
    return _handout(slug)


def _handout(slug: str, form: Form | None = None, not_replaced: tuple[Reason, ...] = ()) -> str:
    actor, item = current_actor(), _get_requested_version(slug)
    help_lines = get_practice_info().help_lines
    empty = [describe_empty_block(name) for name in find_empty_blocks(item.handout, help_lines)]
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
        body=None if empty else render_page_body(item.handout, help_lines, faith=True, staff=True),
        versions=versions,
        newest=newest.handout_version_id == item.handout_version_id,
        holders=holders,
        hidden=find_hidden_handout(slug),
        origin=library().get((item.handout.based_on or "", item.handout.language)),
        older=[
            (number, list(found)) for number, found in groupby(older, attrgetter("handout_version"))
        ],
        not_replaced=not_replaced,
        max_message_length=MAX_MESSAGE_LENGTH,
        confirm=any(reason.code == "confirmation_required" for reason in not_replaced),
        form=form or Form(),
    )


@blueprint.get("/handouts/<string:slug>/pdf")
@needs(Action.HANDOUT_READ)
def handout_pdf(slug: str) -> ResponseReturnValue:
    """Download a handout's PDF as a client gets it, with no client named."""
    practice_info = get_practice_info()
    handout = require_not_recalled(_get_requested_version(slug))
    pdf = render_handout_pdf(
        handout,
        practice_info.letterhead,
        practice_info.help_lines,
        faith=request.args.get("faith") == "yes",
        large=is_large_print_requested(),
    )
    return pdf_response(pdf, file_name(handout, large=is_large_print_requested()))


def is_large_print_requested() -> bool:
    """Return whether the query string asks for large print."""
    return request.args.get("size") == "large"


@blueprint.post("/handouts/<string:slug>/review")
@needs(Action.HANDOUT_REVIEW)
def record_review(slug: str) -> ResponseReturnValue:
    """Record that a clinician has reviewed this handout version."""
    item = _get_requested_version(slug)
    try:
        new = read_form(ReviewSchema())
        with transaction():
            run_form_once(
                lambda: operations.record_review(current_actor(), item.handout_version_id, new)
            )
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
    """Show which clients a recall affects and what it does, before it is confirmed."""
    return _recall(slug, Form())


def _recall(slug: str, form: Form) -> str:
    actor, item = current_actor(), _get_requested_version(slug)
    visible = []
    if actor.may(Action.ASSIGNMENT_READ):
        visible = list_clients_with_version(actor, item.handout_version_id, MAX_REPLACED + 1)
        record_read(actor, Action.ASSIGNMENT_READ, "assignment", None, None)
    return render_template(
        "handouts/recall.html",
        item=item,
        handout=item.handout,
        client_count=count_clients_with_version(actor, item.handout_version_id),
        visible_clients=visible[:MAX_REPLACED],
        more=len(visible) > MAX_REPLACED,
        form=form,
    )


@blueprint.post("/handouts/<string:slug>/recall")
@needs(Action.HANDOUT_RECALL)
def recall(slug: str) -> ResponseReturnValue:
    """Recall this handout version with a reason that every coach can read."""
    item = _get_requested_version(slug)
    try:
        reason = read_form(RecallSchema())
        with transaction():
            operations.recall(current_actor(), item.handout_version_id, reason)
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
def replace_assignments(slug: str) -> ResponseReturnValue:
    """Replace older versions for the chosen clients, each in its own transaction, and show who was left out and why."""
    actor, item = current_actor(), get_handout_version(slug, request.args.get("language", "en"))
    older = {
        found.id: found for found in list_clients_with_older_version(actor, item, MAX_REPLACED)
    }
    try:
        chosen = read_form(ReplaceAssignmentsSchema())
    except Invalid as error:
        return _handout(slug, submitted_form(error)), 422
    not_replaced: list[Reason] = []
    replaced = False
    for assignment_id in chosen.ids:
        if assignment_id not in older:
            # The form was sent twice or somebody else was faster: there is nothing left to replace.
            continue
        try:
            with transaction():
                replace_assignment(
                    actor,
                    lock_assignment(actor, assignment_id),
                    message=chosen.message,
                    confirmed=chosen.confirmed,
                )
            replaced = True
        except RuleBroken as error:
            record_refused_request(error)
            client = older[assignment_id].client
            not_replaced += [
                Reason(reason.code, f"{client}: {reason.message}", reason.way_out)
                for reason in error.reasons
            ]
    if replaced or not not_replaced:
        flash("handouts_replaced")
    if not_replaced:
        return _handout(slug, submitted_form(), tuple(not_replaced)), 409
    address = url_for("handouts.handout_page", slug=slug, language=item.handout.language)
    return redirect(address, code=303)
