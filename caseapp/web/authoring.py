"""Pages about practice handouts: the list of drafts, each draft's page and history, and the actions on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request, url_for

from caseapp.core.errors import NotFound, RuleBroken
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action, Role
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
from caseapp.domain.authoring.rules import find_problems, list_source_points
from caseapp.domain.authoring.schemas import (
    Approval,
    NewDraft,
    NewDraftSchema,
    PublishSchema,
    ReturnDraftSchema,
)
from caseapp.domain.authoring.source import read_decision
from caseapp.domain.handouts.library import Handout, InvalidHandoutFile, library, parse_draft
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.handouts.rendering import render_page_body
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.users.queries import get_user_names, list_users
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor, needs
from caseapp.http.template_helpers import today
from caseapp.web import handouts

if TYPE_CHECKING:
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
REFUSED = "You can’t do that because:"


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


practice_handouts = FormPage(blueprint, "/handouts/own", Action.HANDOUT_WRITE, lambda: None)


@practice_handouts.show
def draft_list(_view: None, forms: Forms) -> str:
    """List the drafts in review, the drafts being written, and the published practice handouts."""
    actor = current_actor()
    drafts = list_open_drafts(actor)
    return render_template(
        "authoring/list.html",
        forms=forms,
        in_review=[draft for draft in drafts if draft.state == "in_review"],
        in_progress=[draft for draft in drafts if draft.state == "draft"],
        publishable={draft.id for draft in drafts if not list_publish_blockers(actor, draft)},
        published=[item for item in list_newest_versions() if item.handout.is_practice_handout],
        has_second_approver=_has_second_approver(),
    )


@practice_handouts.form(Action.HANDOUT_WRITE, Body(NewDraftSchema, NewDraft), lock=no_lock)
def create(_locked: None, new: NewDraft, sent: Sent) -> Done:
    """Create a draft of a new practice handout."""
    draft_id = operations.create_draft(sent.actor, new)
    return Done(url_for("authoring.edit_page", draft_id=draft_id))


@handouts.page.form(
    Action.HANDOUT_WRITE,
    Body(handouts.ShownVersionSchema, handouts.ShownVersion),
    lock=no_lock,
    rule="/handouts/<string:slug>/own",
    refused=REFUSED,
)
def create_from_handout(_locked: None, shown: handouts.ShownVersion, sent: Sent) -> Done:
    """Create a draft of a practice handout's next version, or of a practice handout based on a library handout."""
    draft_id = operations.create_draft_from_version(sent.actor, sent.args["slug"], shown.language)
    return Done(url_for("authoring.edit_page", draft_id=draft_id))


def load_draft(draft_id: UUID) -> HandoutDraft:
    """Load the draft of a page.

    Raises NotFound.
    """
    return get_draft(current_actor(), draft_id)


page = FormPage(blueprint, "/handouts/own/<uuid:draft_id>", Action.HANDOUT_WRITE, load_draft)


@page.show
def draft_page(draft: HandoutDraft, forms: Forms) -> str:
    """Show a draft as it would be published, its differences from the published version, and its actions."""
    revisions = list_revisions(draft.id)
    base_source, base_label = _get_base(draft)
    original = library().get((draft.based_on or "", draft.language))
    return render_template(
        "authoring/draft.html",
        draft=draft,
        revisions=revisions,
        names=get_user_names({revision.recorded_by for revision in revisions}),
        preview=build_preview(draft.source),
        points=list_source_points(draft.source),
        comparison=compare_sources(base_source, draft.source),
        base_label=base_label,
        publish_blockers=list_publish_blockers(current_actor(), draft),
        has_second_approver=_has_second_approver(),
        original=original,
        forms=forms,
    )


def _get_base(draft: HandoutDraft) -> tuple[str | None, str]:
    """Return the source that a draft is compared with, and words for it."""
    published = get_previous_version(draft)
    if published:
        return published.source, f"version {published.version}"
    original = library().get((draft.based_on or "", draft.language))
    return (original.source, "the library handout") if original else (None, "")


@page.form(
    Action.HANDOUT_WRITE,
    BUTTON,
    lock=no_lock,
    rule="/handouts/own/<uuid:draft_id>/submit",
    refused=REFUSED,
)
def submit(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Submit a draft for approval by a second person."""
    operations.submit_for_review(sent.actor, sent.args["draft_id"], sent.version)
    return _to_draft(sent, "draft_submitted")


@page.form(
    Action.HANDOUT_WRITE,
    BUTTON,
    lock=no_lock,
    rule="/handouts/own/<uuid:draft_id>/withdraw",
    refused=REFUSED,
)
def withdraw(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Withdraw a draft from review."""
    operations.withdraw_from_review(sent.actor, sent.args["draft_id"], sent.version)
    return _to_draft(sent, "draft_withdrawn")


@page.form(
    Action.HANDOUT_WRITE,
    BUTTON,
    lock=no_lock,
    rule="/handouts/own/<uuid:draft_id>/discard",
    refused=REFUSED,
)
def discard(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Discard a draft for good."""
    operations.discard_draft(sent.actor, sent.args["draft_id"], sent.version)
    return _to_draft(sent, "draft_discarded")


@page.form(
    Action.HANDOUT_APPROVE,
    Body(ReturnDraftSchema, str),
    lock=no_lock,
    rule="/handouts/own/<uuid:draft_id>/return",
    refused=REFUSED,
)
def return_draft(_locked: None, reason: str, sent: Sent) -> Done:
    """Return a draft to its authors with a reason."""
    operations.return_draft(sent.actor, sent.args["draft_id"], reason, sent.version)
    return _to_draft(sent, "draft_returned")


@page.form(
    Action.HANDOUT_APPROVE,
    Body(PublishSchema, Approval),
    lock=no_lock,
    rule="/handouts/own/<uuid:draft_id>/publish",
    refused=REFUSED,
)
def publish(_locked: None, approval: Approval, sent: Sent) -> Done:
    """Approve and publish a draft, with a clinician's name where it needs one."""
    operations.publish_draft(sent.actor, sent.args["draft_id"], sent.version, approval)
    return _to_draft(sent, "handout_published")


def _to_draft(sent: Sent, message: str) -> Done:
    return Done(url_for("authoring.draft_page", draft_id=sent.args["draft_id"]), message)


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
        "read_decision": read_decision,
    }
