"""The library: what there is, what suits a case, and the sheets themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.api.blueprint import Door, PaperQuery
from caseapp.api.serialization import whole
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.eligibility import advice_for, offers_for
from caseapp.domain.assignments.queries import holding_count
from caseapp.domain.assignments.schemas import HandoutView, HandoutWholeView, Offer
from caseapp.domain.assignments.suitability import CAREFUL, GIVE, REFUSE
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import case_head
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.library import STOP_BOX, Handout
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.printing import file_name, sheet_pdf
from caseapp.domain.handouts.queries import LibraryItem, edition_of, library_list, not_recalled
from caseapp.domain.handouts.rendering import page_html
from caseapp.domain.handouts.schemas import RecalledView, Recalling, RecallOneSchema
from caseapp.domain.practice.queries import office
from caseapp.http.downloads import pdf_answer
from caseapp.http.guard import needs, the_actor

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

    from caseapp.core.pagination import Page
    from caseapp.domain.handouts.models import Review

door = Door(
    "handouts", "The library. Every sheet awaits a clinician's reading until `reviewed` names one."
)

WORDS = {GIVE: "allowed", CAREFUL: "warned", REFUSE: "refused"}


class LanguageQuery(Schema):
    """Choose a language."""

    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Give the plain value."""
        return str(data["language"])


class SheetPaperQuery(PaperQuery):
    """Choose language and print of one sheet."""

    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))


class LibraryQuery(Schema):
    """Narrow the library; `for_case` judges each sheet for that case."""

    stage = fields.String(validate=validate.OneOf(list(stage_by_id())))
    for_case = fields.UUID()
    q = fields.String(validate=validate.Length(max=120))
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))


def _shown(handout: Handout, reviewed: Review | None) -> dict[str, Any]:
    return {
        "slug": handout.id,
        "code": handout.code,
        "title": handout.title,
        "outside_title": handout.outside_title,
        "stage": handout.stage,
        "also_fits": handout.also_fits,
        "kind": handout.kind,
        "edition": handout.version,
        "language": handout.language,
        "summary": handout.summary,
        "minutes": handout.minutes,
        "channels": handout.channels,
        "reviewed": reviewed,
        "for_case": None,
    }


def _offered(offer: Offer, suggested: dict[UUID, dict[str, Any]]) -> dict[str, Any]:
    verdict = offer.verdict
    return _shown(offer.handout, offer.reviewed) | {
        "for_case": {
            "outcome": WORDS[verdict.outcome],
            "channels": verdict.channels,
            "reasons": verdict.reasons,
            "given": offer.given,
            "suggested": suggested.get(offer.edition_id),
        }
    }


@door.at("/handouts", also=(404,))
@needs(Action.HANDOUT_READ)
@door.lists(HandoutView())
@door.asks(LibraryQuery())
def handout_list(query: dict[str, Any]) -> Page[dict[str, Any]]:
    """List the library, narrowed to a stage or judged for a case."""
    actor, case_id = the_actor(), query.get("for_case")
    items: list[LibraryItem] = library_list(
        actor, query.get("stage"), query.get("q"), query["language"]
    )
    if case_id is None:
        return whole(_shown(item.handout, item.reviewed) for item in items)
    head = case_head(actor, case_id)
    record_read(actor, Action.CASE_READ, "case", case_id, head.case.client_id)
    kept = {item.edition_id for item in items}
    offers = offers_for(actor, head, query.get("stage"), query["language"])
    suggested = {
        found.offer.edition_id: {"rank": rank, "why": found.why}
        for rank, found in enumerate(advice_for(actor, head, query["language"]).suggestions, 1)
    }
    return whole(_offered(offer, suggested) for offer in offers if offer.edition_id in kept)


@door.at("/handouts/<string:slug>", also=(409,))
@needs(Action.HANDOUT_READ)
@door.gives(HandoutWholeView())
@door.asks(LanguageQuery())
def handout(slug: str, query: str) -> dict[str, Any]:
    """Show one handout with its text."""
    item = edition_of(slug, query)
    text = page_html(item.handout, office().numbers, faith=False, staff=True)
    return _shown(item.handout, item.reviewed) | {"html": str(text)}


@door.at("/handouts/<string:slug>/pdf", also=(409,))
@needs(Action.HANDOUT_READ)
@door.gives_file("application/pdf")
@door.asks(SheetPaperQuery())
def handout_pdf(slug: str, query: dict[str, Any]) -> Response:
    """Download one handout, to print or to fill in; it names no client."""
    large = "size" in query
    found = not_recalled(edition_of(slug, query["language"]))
    made = sheet_pdf(found, office().letterhead, office().numbers, faith=False, large=large)
    return pdf_answer(made, file_name(found, large=large))


@door.at("/handouts/<string:slug>/recall", "POST", also=(409,))
@needs(Action.HANDOUT_RECALL)
@door.gives(RecalledView())
@door.takes(RecallOneSchema())
def recall_edition(slug: str, body: Recalling) -> dict[str, Any]:
    """Take one version back from every client at once; it cannot be undone."""
    actor, item = the_actor(), edition_of(slug, body.language, body.edition)
    with transaction():
        recall(actor, item.edition_id, body.reason)
    now = edition_of(slug, body.language, body.edition)
    return {
        "slug": slug,
        "language": body.language,
        "edition": body.edition,
        "recalled_at": now.recalled_at,
        "reason": now.recall_reason,
        "clients": holding_count(actor, item.edition_id),
    }
