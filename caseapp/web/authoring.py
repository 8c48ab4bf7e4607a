"""Pages about practice handouts: the list of drafts, each draft's page and history, and the actions on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, RuleBroken, Stale
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.authoring import operations
from caseapp.domain.authoring.comparison import compare_sources, find_last_change
from caseapp.domain.authoring.queries import (
    get_draft,
    get_previous_version,
    list_drafts_by_slug,
    list_open_drafts,
    list_publish_blockers,
    list_revisions,
)
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.schemas import NewDraftSchema, PublishSchema, ReturnDraftSchema
from caseapp.domain.handouts.library import Handout, InvalidHandoutFile, library, parse_draft
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.handouts.rendering import render_page_body
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.users.queries import get_user_names, list_users
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, form_version, read_form, submitted_form
from caseapp.http.template_helpers import flash, today

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from markupsafe import Markup

    from caseapp.core.errors import Reason
    from caseapp.domain.authoring.models import HandoutDraft

blueprint = Blueprint("authoring", __name__)

# Label and colour of a state's tag.
DRAFT_STATE_TAGS = {
    "draft": ("Draft", "watch"),
    "in_review": ("Waiting for approval", "info"),
    "published": ("Published", "ok"),
    "discarded": ("Discarded", ""),
}
REVISION_LABELS = {
    "created": "Created",
    "saved": "Saved",
    "submitted": "Submitted for approval",
    "withdrawn": "Withdrawn",
    "returned": "Returned",
    "published": "Approved and published",
    "discarded": "Discarded",
}
MIN_APPROVERS = 2


@dataclass(frozen=True)
class Preview:
    """A draft as a page, as far as it can be rendered, and its problems by form field."""

    body: Markup | None
    handout: Handout | None
    problems: dict[str, list[str]]
    reasons: tuple[Reason, ...] = ()


def build_preview(source: str) -> Preview:
    """Render a source as a page, as far as possible, and list its problems."""
    problems = find_problems(source, today())
    try:
        handout = parse_draft(source)
    except InvalidHandoutFile:
        return Preview(None, None, problems)
    try:
        help_lines = get_practice_info().help_lines
        body = render_page_body(handout, help_lines, faith=True, staff=True)
    except RuleBroken as error:
        return Preview(None, handout, problems, error.reasons)
    return Preview(body, handout, problems)


def _has_second_approver() -> bool:
    """Return whether at least two people who can sign in may approve handouts."""
    approvers = [
        user
        for user in list_users()
        if user.disabled_at is None and Action.HANDOUT_APPROVE in ACTIONS_BY_ROLE[Role(user.role)]
    ]
    return len(approvers) >= MIN_APPROVERS


@blueprint.get("/handouts/own")
@needs(Action.HANDOUT_WRITE)
def draft_list() -> ResponseReturnValue:
    """List the drafts in review, the drafts being written, and the published practice handouts."""
    return _render_list(Form())


def _render_list(form: Form) -> str:
    actor = current_actor()
    drafts = list_open_drafts(actor)
    return render_template(
        "authoring/list.html",
        form=form,
        in_review=[draft for draft in drafts if draft.state == "in_review"],
        in_progress=[draft for draft in drafts if draft.state == "draft"],
        publishable={draft.id for draft in drafts if not list_publish_blockers(actor, draft)},
        published=[item for item in list_newest_versions() if item.handout.is_practice_handout],
        has_second_approver=_has_second_approver(),
    )


@blueprint.post("/handouts/own")
@needs(Action.HANDOUT_WRITE)
def create() -> ResponseReturnValue:
    """Create a draft of a new practice handout."""
    try:
        new = read_form(NewDraftSchema())
        with transaction():
            draft_id = run_form_once(lambda: operations.create_draft(current_actor(), new))
    except Invalid as error:
        return _render_list(submitted_form(error)), 422
    return redirect(url_for("authoring.edit_page", draft_id=draft_id), code=303)


@blueprint.post("/handouts/<string:slug>/own")
@needs(Action.HANDOUT_WRITE)
def create_from_handout(slug: str) -> ResponseReturnValue:
    """Create a draft of a practice handout's next version, or of a practice handout based on a library handout."""
    language = request.args.get("language", "en")
    with transaction():
        draft_id = run_form_once(
            lambda: operations.create_draft_from_version(current_actor(), slug, language)
        )
    return redirect(url_for("authoring.edit_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>")
@needs(Action.HANDOUT_WRITE)
def draft_page(draft_id: UUID) -> ResponseReturnValue:
    """Show a draft as it would be published, its differences from the published version, and its actions."""
    return render_draft(draft_id)


def render_draft(
    draft_id: UUID,
    form: Form | None = None,
    reasons: tuple[Reason, ...] = (),
    *,
    stale: bool = False,
) -> str:
    """Render a draft's page, with the submitted form and the reasons for a refusal if there are any."""
    actor = current_actor()
    draft, revisions = get_draft(actor, draft_id), list_revisions(draft_id)
    base_source, base_label = _get_base(draft)
    original = library().get((draft.based_on or "", draft.language))
    return render_template(
        "authoring/draft.html",
        draft=draft,
        revisions=revisions,
        names=get_user_names({revision.recorded_by for revision in revisions}),
        preview=build_preview(draft.source),
        comparison=compare_sources(base_source, draft.source),
        base_label=base_label,
        publish_blockers=list_publish_blockers(actor, draft),
        has_second_approver=_has_second_approver(),
        original=original,
        form=form or Form(),
        reasons=reasons,
        stale=stale,
    )


def _get_base(draft: HandoutDraft) -> tuple[str | None, str]:
    """Return the source that a draft is compared with, and words for it."""
    published = get_previous_version(draft)
    if published:
        return published.source, f"version {published.version}"
    original = library().get((draft.based_on or "", draft.language))
    return (original.source, "the library handout") if original else (None, "")


@blueprint.post("/handouts/own/<uuid:draft_id>/submit")
@needs(Action.HANDOUT_WRITE)
def submit(draft_id: UUID) -> ResponseReturnValue:
    """Submit a draft for approval by a second person."""
    return _run_action(
        draft_id,
        "draft_submitted",
        lambda: operations.submit_for_review(current_actor(), draft_id, form_version()),
    )


@blueprint.post("/handouts/own/<uuid:draft_id>/withdraw")
@needs(Action.HANDOUT_WRITE)
def withdraw(draft_id: UUID) -> ResponseReturnValue:
    """Withdraw a draft from review."""
    return _run_action(
        draft_id,
        "draft_withdrawn",
        lambda: operations.withdraw_from_review(current_actor(), draft_id, form_version()),
    )


@blueprint.post("/handouts/own/<uuid:draft_id>/discard")
@needs(Action.HANDOUT_WRITE)
def discard(draft_id: UUID) -> ResponseReturnValue:
    """Discard a draft for good."""
    return _run_action(
        draft_id,
        "draft_discarded",
        lambda: operations.discard_draft(current_actor(), draft_id, form_version()),
    )


@blueprint.post("/handouts/own/<uuid:draft_id>/return")
@needs(Action.HANDOUT_APPROVE)
def return_draft(draft_id: UUID) -> ResponseReturnValue:
    """Return a draft to its authors with a reason."""

    def run() -> None:
        reason = read_form(ReturnDraftSchema())
        operations.return_draft(current_actor(), draft_id, reason, form_version())

    return _run_action(draft_id, "draft_returned", run)


@blueprint.post("/handouts/own/<uuid:draft_id>/publish")
@needs(Action.HANDOUT_APPROVE)
def publish(draft_id: UUID) -> ResponseReturnValue:
    """Approve and publish a draft; hide the library handout that it replaces if asked to."""

    def run() -> None:
        hide_original = read_form(PublishSchema())
        operations.publish_draft(
            current_actor(), draft_id, form_version(), hide_original=hide_original
        )

    return _run_action(draft_id, "handout_published", run)


def _run_action(draft_id: UUID, message: str, run: Callable[[], None]) -> ResponseReturnValue:
    """Run an action on a draft in a transaction and return to the draft's page."""
    try:
        with transaction():
            run()
    except Invalid as error:
        return render_draft(draft_id, submitted_form(error)), 422
    except Stale:
        return render_draft(draft_id, submitted_form(), stale=True), 412
    except RuleBroken as error:
        record_refused_request(error)
        return render_draft(draft_id, submitted_form(), error.reasons), 409
    flash(message)
    return redirect(url_for("authoring.draft_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>/history")
@needs(Action.HANDOUT_WRITE)
def history_page(draft_id: UUID) -> ResponseReturnValue:
    """Show a draft's revisions and what one of them changed: by default the last that changed the text."""
    actor = current_actor()
    draft, revisions = get_draft(actor, draft_id), list_revisions(draft_id)
    sources = [revision.source for revision in revisions]
    number = request.args.get("revision") or str(find_last_change(sources) + 1)
    selected = next((revision for revision in revisions if str(revision.number) == number), None)
    if selected is None:
        raise NotFound
    before = sources[selected.number - 2] if selected.number > 1 else _get_base(draft)[0]
    return render_template(
        "authoring/history.html",
        draft=draft,
        revisions=revisions,
        selected=selected,
        names=get_user_names({revision.recorded_by for revision in revisions}),
        comparison=compare_sources(before, selected.source),
        other_drafts=[
            other for other in list_drafts_by_slug(actor, draft.slug) if other.id != draft.id
        ],
    )


@blueprint.app_context_processor
def authoring_labels() -> dict[str, Any]:
    """Provide the labels of drafts and revisions to templates."""
    return {
        "draft_state_tags": DRAFT_STATE_TAGS,
        "revision_labels": REVISION_LABELS,
    }
