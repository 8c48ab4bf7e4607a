"""API of the handout library: list, read, download and recall handouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest, PdfQuerySchema
from caseapp.core.i18n import in_language
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.queries import count_clients_with_version
from caseapp.domain.assignments.reading import get_handout_choice
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.bars import get_bars
from caseapp.domain.handouts.library import STOP_BOX, Handout
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.printing import file_name, render_handout_pdf
from caseapp.domain.handouts.queries import (
    LibraryItem,
    get_handout_version,
    list_handouts,
    require_not_recalled,
)
from caseapp.domain.handouts.rendering import render_page_body
from caseapp.domain.handouts.schemas import RecallRequest, RecallResponseSchema, RecallVersionSchema
from caseapp.domain.handouts.variants import for_reader
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.suitability.schemas import (
    HandoutDetailResponseSchema,
    HandoutOption,
    HandoutResponseSchema,
)
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

    from caseapp.core.pagination import Page
    from caseapp.domain.handouts.models import HandoutVersionReview

blueprint = ApiBlueprint(
    "handouts",
    "The handout library. A handout has been clinically reviewed only if `reviewed` names a clinician.",
)


class LanguageQuery(Schema):
    """Language of a handout."""

    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the language."""
        return str(data["language"])


class HandoutPdfQuery(PdfQuerySchema):
    """Language and print size of a handout's PDF."""

    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))


class LibraryQuery(ListQuerySchema):
    """Filters of the library; `for_case` assesses each handout for that case."""

    stage = fields.String(validate=validate.OneOf(list(stage_by_id())))
    for_case = fields.UUID()
    q = fields.String(validate=validate.Length(max=120))
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))


def _serialize(handout: Handout, reviewed: HandoutVersionReview | None) -> dict[str, Any]:
    return {
        "slug": handout.id,
        "code": handout.code,
        "title": handout.title,
        "neutral_title": handout.neutral_title,
        "stage": handout.stage,
        "also_fits": handout.also_fits,
        "kind": handout.kind,
        "handout_version": handout.version,
        "language": handout.language,
        "summary": handout.summary,
        "minutes": handout.minutes,
        "channels": get_bars(handout).channels,
        "reviewed": reviewed,
        "for_case": None,
    }


def _serialize_option(
    option: HandoutOption, suggested: dict[UUID, dict[str, Any]]
) -> dict[str, Any]:
    suitability = option.suitability
    return _serialize(option.handout, option.reviewed) | {
        "for_case": {
            "outcome": suitability.outcome,
            "channels": suitability.channels,
            "reasons": suitability.reasons,
            "assigned": option.assigned,
            "suggested": suggested.get(option.handout_version_id),
        }
    }


@blueprint.route("/handouts", error_statuses=(404,))
@needs(Action.HANDOUT_READ)
@blueprint.list_response_schema(HandoutResponseSchema())
@blueprint.query_params(LibraryQuery())
def list_library(query: ListRequest) -> Page[dict[str, Any]]:
    """List the library by code, filtered by stage, language and text, or assessed for a case."""
    actor, case_id = current_actor(), query.filters.get("for_case")
    stage, language = query.filters.get("stage"), query.filters["language"]
    items = list_handouts(actor, stage, query.filters.get("q"), language)
    if case_id is None:
        page = page_in_memory(items, _library_position, query.cursor, query.limit)
        return page.map(lambda item: _serialize(item.handout, item.reviewed))
    context = get_case_context(actor, case_id)
    kept = {item.handout_version_id for item in items}
    choice = get_handout_choice(actor, context, language)
    options = [option for option in choice.options if option.handout_version_id in kept]
    suggested = {
        found.option.handout_version_id: {"rank": rank, "why": found.why}
        for rank, found in enumerate(choice.recommendation.suggestions, 1)
    }
    shown = page_in_memory(options, _library_position, query.cursor, query.limit)
    return shown.map(lambda option: _serialize_option(option, suggested))


def _library_position(item: LibraryItem | HandoutOption) -> tuple[str, str]:
    return item.handout.code, item.handout.id


@blueprint.route("/handouts/<string:slug>", error_statuses=(409,))
@needs(Action.HANDOUT_READ)
@blueprint.response_schema(HandoutDetailResponseSchema())
@blueprint.query_params(LanguageQuery())
def get_handout(slug: str, query: str) -> dict[str, Any]:
    """Get one handout with its text."""
    item = get_handout_version(slug, query)
    with in_language(get_practice_info().practice.language):
        found = for_reader(item.handout)
        text = render_page_body(found, get_practice_info().help_lines, faith=False, staff=True)
    return _serialize(found, item.reviewed) | {
        "two_minutes": [*found.two_minutes],
        "html": str(text),
    }


@blueprint.route("/handouts/<string:slug>/pdf", error_statuses=(409,))
@needs(Action.HANDOUT_READ)
@blueprint.file_response("application/pdf")
@blueprint.query_params(HandoutPdfQuery())
def download_handout(slug: str, query: dict[str, Any]) -> Response:
    """Download one handout as a PDF to print or fill in; it names no client."""
    large = "size" in query
    item = get_handout_version(slug, query["language"])
    found = require_not_recalled(item)
    with in_language(get_practice_info().practice.language):
        pdf = render_handout_pdf(
            found,
            get_practice_info().letterhead,
            get_practice_info().help_lines,
            faith=False,
            large=large,
            reviewed=item.reviewed is not None,
        )
        return pdf_response(pdf, file_name(found, large=large))


@blueprint.route("/handouts/<string:slug>/recall", "POST", error_statuses=(409,))
@needs(Action.HANDOUT_RECALL)
@blueprint.response_schema(RecallResponseSchema())
@blueprint.request_schema(RecallVersionSchema())
def recall_handout(slug: str, body: RecallRequest) -> dict[str, Any]:
    """Recall one version from every client at once; this can’t be undone."""
    actor, item = current_actor(), get_handout_version(slug, body.language, body.handout_version)
    with transaction():
        recall(actor, item.handout_version_id, body.reason)
    now = get_handout_version(slug, body.language, body.handout_version)
    return {
        "slug": slug,
        "language": body.language,
        "handout_version": body.handout_version,
        "recalled_at": now.recalled_at,
        "reason": now.recall_reason,
        "clients": count_clients_with_version(actor, item.handout_version_id),
    }
