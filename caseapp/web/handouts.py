"""Handout pages: the library, each handout, its versions, reviews and recalls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for
from marshmallow import Schema, fields, post_load, validate

from caseapp.core.errors import NotFound, Reason, RuleBroken
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
    CHANNEL_LABELS,
    MAX_MESSAGE_LENGTH,
    MAX_REPLACED,
    ReplaceAssignmentsSchema,
)
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.handouts import operations
from caseapp.domain.handouts.bars import (
    CONTENT_LABELS,
    EFFECT_LABELS,
    HOLD_MARK_LABELS,
    TAG_LABELS,
    find_originals,
    get_bars,
)
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
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import Done, FormPage, Forms, Sent, Typed, no_lock
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.assignments.schemas import Replacements
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.handouts.schemas import NewReview

blueprint = Blueprint("handouts", __name__)

POINT_LABELS = {"hold_ok": "Use during a hold"} | CHANNEL_LABELS | CONTENT_LABELS | TAG_LABELS
"""What a clinician can accept about a practice handout, by code."""
MAX_VERSION = 9999


@blueprint.app_context_processor
def handout_labels() -> dict[str, object]:
    """Give templates the labels of handouts."""
    return {
        "handout_kinds": KIND_LABELS,
        "hold_mark_labels": HOLD_MARK_LABELS,
        "tag_labels": TAG_LABELS,
        "content_labels": CONTENT_LABELS,
        "effect_labels": EFFECT_LABELS,
        "library_languages": LANGUAGES,
        "get_bars": get_bars,
        "find_originals": find_originals,
        "point_labels": POINT_LABELS,
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

    A form that comes back is shown with the version that it was sent from. Raises NotFound.
    """
    number = request.form.get("handout_version", request.args.get("version"))
    if number is not None:
        is_short = number.isdecimal() and len(number) <= len(str(MAX_VERSION))
        if not (is_short and 0 < int(number) <= MAX_VERSION):
            raise NotFound
    language = request.form.get("language", request.args.get("language", "en"))
    return get_handout_version(slug, language, int(number) if number else None)


@dataclass(frozen=True)
class ShownVersion:
    """The version of a handout that a form's page showed."""

    language: str
    number: int


class ShownVersionSchema(Schema):
    """The hidden fields of a form that say which version of a handout its page showed."""

    language = fields.String(required=True, validate=validate.OneOf([*LANGUAGES]))
    handout_version = fields.Integer(required=True, validate=validate.Range(1, MAX_VERSION))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ShownVersion:
        """Build the value."""
        return ShownVersion(data["language"], data["handout_version"])


page = FormPage(blueprint, "/handouts/<string:slug>", Action.HANDOUT_READ, _get_requested_version)


@page.show
def handout_page(item: LibraryItem, forms: Forms) -> str:
    """Show a handout with its sources, its reviews and the clients who have it."""
    actor, slug = current_actor(), item.handout.id
    help_lines = get_practice_info().help_lines
    empty = [describe_empty_block(name) for name in find_empty_blocks(item.handout, help_lines)]
    versions = list_versions(actor, slug)
    newest = next(v for v in versions if v.handout.language == item.handout.language)
    holders, older = None, []
    if actor.may(Action.ASSIGNMENT_READ):
        holders = list_assigned_clients(actor, slug, request.args.get("cursor"), PAGE_SIZE)
        if newest.handout_version_id == item.handout_version_id and item.recalled_at is None:
            older = list_clients_with_older_version(actor, item, MAX_REPLACED)
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
        max_message_length=MAX_MESSAGE_LENGTH,
        confirm=needs_confirmation(forms),
        forms=forms,
    )


def needs_confirmation(forms: Forms) -> bool:
    """Tell whether the form was refused because nobody confirmed having read the cautions."""
    reasons = forms.refusal.reasons if forms.refusal else ()
    return any(reason.code == "confirmation_required" for reason in reasons)


@blueprint.get("/handouts/<string:slug>/pdf")
@needs(Action.HANDOUT_READ)
def handout_pdf(slug: str) -> ResponseReturnValue:
    """Download a handout's PDF as a client gets it, with no client named."""
    practice_info = get_practice_info()
    item = _get_requested_version(slug)
    handout = require_not_recalled(item)
    pdf = render_handout_pdf(
        handout,
        practice_info.letterhead,
        practice_info.help_lines,
        faith=request.args.get("faith") == "yes",
        large=is_large_print_requested(),
        reviewed=item.reviewed is not None,
    )
    return pdf_response(pdf, file_name(handout, large=is_large_print_requested()))


def is_large_print_requested() -> bool:
    """Return whether the query string asks for large print."""
    return request.args.get("size") == "large"


def load_review(typed: Typed, _locked: None) -> tuple[NewReview, ShownVersion]:
    """Load a review and the version that it is about.

    Raises Invalid naming each field.
    """
    new, shown = typed.load(ReviewSchema(), ShownVersionSchema())
    return new, shown


@page.form(Action.HANDOUT_REVIEW, load_review, lock=no_lock, rule="/handouts/<string:slug>/review")
def record_review(_locked: None, body: tuple[NewReview, ShownVersion], sent: Sent) -> Done:
    """Record that a clinician has reviewed this handout version."""
    new, shown = body
    item = get_handout_version(sent.args["slug"], shown.language, shown.number)
    operations.record_review(sent.actor, item.handout_version_id, new)
    return Done(_version_address(item), "review_recorded")


def _version_address(item: LibraryItem) -> str:
    handout = item.handout
    return url_for(
        "handouts.handout_page",
        slug=handout.id,
        language=handout.language,
        version=handout.version,
    )


recall_form = FormPage(
    blueprint, "/handouts/<string:slug>/recall", Action.HANDOUT_RECALL, _get_requested_version
)


@recall_form.show
def recall_page(item: LibraryItem, forms: Forms) -> str:
    """Show which clients a recall affects and what it does, before it is confirmed."""
    actor, visible = current_actor(), []
    if actor.may(Action.ASSIGNMENT_READ):
        visible = list_clients_with_version(actor, item.handout_version_id, MAX_REPLACED + 1)
    return render_template(
        "handouts/recall.html",
        item=item,
        handout=item.handout,
        client_count=count_clients_with_version(actor, item.handout_version_id),
        visible_clients=visible[:MAX_REPLACED],
        more=len(visible) > MAX_REPLACED,
        forms=forms,
    )


def load_recall(typed: Typed, _locked: None) -> tuple[str, ShownVersion]:
    """Load the reason for a recall and the version that it is about.

    Raises Invalid naming each field.
    """
    reason, shown = typed.load(RecallSchema(), ShownVersionSchema())
    return reason, shown


@recall_form.form(Action.HANDOUT_RECALL, load_recall, lock=no_lock, refused="It wasn’t recalled")
def recall(_locked: None, body: tuple[str, ShownVersion], sent: Sent) -> Done:
    """Recall this handout version with a reason that every coach can read."""
    reason, shown = body
    item = get_handout_version(sent.args["slug"], shown.language, shown.number)
    operations.recall(sent.actor, item.handout_version_id, reason)
    return Done(_version_address(item), "handout_recalled")


def load_replacements(typed: Typed, _locked: None) -> tuple[Replacements, ShownVersion]:
    """Load what to replace and the version that replaces it.

    Raises Invalid naming each field.
    """
    chosen, shown = typed.load(ReplaceAssignmentsSchema(), ShownVersionSchema())
    return chosen, shown


@page.post(
    Action.ASSIGNMENT_CREATE,
    load_replacements,
    rule="/handouts/<string:slug>/replace",
    refused="Not replaced",
)
def replace_assignments(body: tuple[Replacements, ShownVersion], sent: Sent) -> ResponseReturnValue:
    """Replace older versions for the chosen clients, each in its own transaction.

    Raises RuleBroken with the reasons for those who were left out, who are still in the list then.
    """
    chosen, shown = body
    item = get_handout_version(sent.args["slug"], shown.language)
    older = {
        found.id: found for found in list_clients_with_older_version(sent.actor, item, MAX_REPLACED)
    }
    left_out: list[Reason] = []
    replaced = False
    for assignment_id in chosen.ids:
        if assignment_id not in older:
            # The form was sent twice or somebody else was faster: there is nothing left to replace.
            continue
        try:
            with transaction():
                replace_assignment(
                    sent.actor,
                    lock_assignment(sent.actor, assignment_id),
                    message=chosen.message,
                    confirmed=chosen.confirmed,
                )
            replaced = True
        except RuleBroken as error:
            client = older[assignment_id].client
            left_out += [
                Reason(reason.code, f"{client}: {reason.message}", reason.way_out)
                for reason in error.reasons
            ]
    if replaced or not left_out:
        flash("handouts_replaced")
    if left_out:
        raise RuleBroken(*left_out)
    address = url_for("handouts.handout_page", slug=item.handout.id, language=shown.language)
    return redirect(address, code=303)
