"""The practice's own handouts: what is being written, the page of each draft, what is done with it, its history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, RuleBroken, Stale
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.comparison import changes, find_last_change
from caseapp.domain.authoring.operations import (
    publish_draft,
    discard_draft,
    return_draft,
    submit_for_review,
    create_draft_from_version,
    create_draft,
    withdraw_from_review,
)
from caseapp.domain.authoring.queries import (
    get_draft,
    list_drafts_by_slug,
    get_previous_version,
    list_open_drafts,
    list_revisions,
    publish_blockers,
)
from caseapp.domain.authoring.schemas import PublishSchema, NewDraftSchema, ReturnDraftSchema
from caseapp.domain.handouts.library import BrokenHandout, Handout, library, read
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.handouts.rendering import render_page_body
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.users.queries import list_users, get_user_names
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import needs, current_actor
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, submitted_form, form_version, read_form
from caseapp.http.template_helpers import flash, today

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from markupsafe import Markup

    from caseapp.core.errors import Reason
    from caseapp.domain.authoring.models import HandoutDraft

blueprint = Blueprint("authoring", __name__)

STATE_WORDS = {
    "draft": ("Draft", "watch"),
    "waiting": ("Waits for a second person", "info"),
    "published": ("Published", "ok"),
    "dropped": ("Dropped", ""),
}
STEP_WORDS = {
    "started": "Started",
    "saved": "Saved",
    "sent": "Sent for approval",
    "withdrawn": "Taken back",
    "returned": "Sent back",
    "published": "Approved and published",
    "dropped": "Dropped",
}
ENOUGH_PEOPLE = 2


@dataclass(frozen=True)
class Preview:
    """Show a text as a page, as far as it can be shown, with what is still wrong with it."""

    body: Markup | None
    handout: Handout | None
    faults: dict[str, list[str]]
    reasons: tuple[Reason, ...] = ()


def build_preview(source: str) -> Preview:
    """Make a page of a source, as far as that can be done, and say what is wrong with it."""
    faults = find_problems(source, today())
    try:
        handout = read(source)
    except BrokenHandout:
        return Preview(None, None, faults)
    try:
        known = get_practice_info().help_lines
        return Preview(render_page_body(handout, known, faith=True, staff=True), handout, faults)
    except RuleBroken as error:
        return Preview(None, handout, faults, error.reasons)


def approvers() -> list[str]:
    """Name everybody who may approve and can sign in."""
    return [
        person.name
        for person in list_users()
        if person.disabled_at is None and Action.HANDOUT_APPROVE in ACTIONS_BY_ROLE[Role(person.role)]
    ]


@blueprint.get("/handouts/own")
@needs(Action.HANDOUT_WRITE)
def own_list() -> ResponseReturnValue:
    """List what waits for approval, what is being written, and what we have published."""
    return _own_list(Form())


def _own_list(form: Form) -> str:
    actor = current_actor()
    drafts = list_open_drafts(actor)
    return render_template(
        "authoring/list.html",
        form=form,
        waiting=[draft for draft in drafts if draft.state == "waiting"],
        writing=[draft for draft in drafts if draft.state == "draft"],
        mine={draft.id for draft in drafts if publish_blockers(actor, draft)},
        published=[item for item in list_newest_versions() if item.handout.own],
        alone=len(approvers()) < ENOUGH_PEOPLE,
    )


@blueprint.post("/handouts/own")
@needs(Action.HANDOUT_WRITE)
def start_now() -> ResponseReturnValue:
    """Start a handout of our own."""
    try:
        new = read_form(NewDraftSchema())
        with transaction():
            draft_id = run_form_once(lambda: create_draft(current_actor(), new))
    except Invalid as error:
        return _own_list(submitted_form(error)), 422
    return redirect(url_for("authoring.edit_page", draft_id=draft_id), code=303)


@blueprint.post("/handouts/<string:slug>/own")
@needs(Action.HANDOUT_WRITE)
def start_from(slug: str) -> ResponseReturnValue:
    """Start from what is published: the next version of ours, or our own edition of a sheet of the library."""
    language = request.args.get("language", "en")
    with transaction():
        draft_id = run_form_once(lambda: create_draft_from_version(current_actor(), slug, language))
    return redirect(url_for("authoring.edit_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>")
@needs(Action.HANDOUT_WRITE)
def draft_page(draft_id: UUID) -> ResponseReturnValue:
    """Show a draft as it would be published, what differs from what is published, and what can be done with it."""
    return render_draft(draft_id)


def render_draft(
    draft_id: UUID,
    form: Form | None = None,
    reasons: tuple[Reason, ...] = (),
    *,
    stale: bool = False,
) -> str:
    """Give a draft's page, perhaps with what was sent to it and why it was refused."""
    actor = current_actor()
    draft, steps = get_draft(actor, draft_id), list_revisions(draft_id)
    before, against = _before(draft)
    original = library().get((draft.based_on or "", draft.language))
    return render_template(
        "authoring/draft.html",
        draft=draft,
        steps=steps,
        names=get_user_names({step.by for step in steps}),
        preview=build_preview(draft.source),
        changes=changes(before, draft.source),
        against=against,
        barred=publish_blockers(actor, draft),
        alone=len(approvers()) < ENOUGH_PEOPLE,
        original=original,
        form=form or Form(),
        reasons=reasons,
        stale=stale,
    )


def _before(draft: HandoutDraft) -> tuple[str | None, str]:
    """Give the text that a draft is compared with, and say in words which it is."""
    published = get_previous_version(draft)
    if published:
        return published.source, f"version {published.version}"
    original = library().get((draft.based_on or "", draft.language))
    return (original.source, "the sheet of the library") if original else (None, "")


@blueprint.post("/handouts/own/<uuid:draft_id>/send")
@needs(Action.HANDOUT_WRITE)
def send_now(draft_id: UUID) -> ResponseReturnValue:
    """Send a draft to a second person."""
    return _moved(draft_id, "draft_submitted", lambda: submit_for_review(current_actor(), draft_id, form_version()))


@blueprint.post("/handouts/own/<uuid:draft_id>/withdraw")
@needs(Action.HANDOUT_WRITE)
def withdraw_now(draft_id: UUID) -> ResponseReturnValue:
    """Take a draft that waits back."""
    return _moved(
        draft_id, "draft_withdrawn", lambda: withdraw_from_review(current_actor(), draft_id, form_version())
    )


@blueprint.post("/handouts/own/<uuid:draft_id>/drop")
@needs(Action.HANDOUT_WRITE)
def drop_now(draft_id: UUID) -> ResponseReturnValue:
    """Drop a draft for good."""
    return _moved(draft_id, "draft_discarded", lambda: discard_draft(current_actor(), draft_id, form_version()))


@blueprint.post("/handouts/own/<uuid:draft_id>/return")
@needs(Action.HANDOUT_APPROVE)
def return_now(draft_id: UUID) -> ResponseReturnValue:
    """Send a draft back to its authors with a reason."""

    def go() -> None:
        return_draft(current_actor(), draft_id, read_form(ReturnDraftSchema()), form_version())

    return _moved(draft_id, "draft_returned", go)


@blueprint.post("/handouts/own/<uuid:draft_id>/approve")
@needs(Action.HANDOUT_APPROVE)
def approve_now(draft_id: UUID) -> ResponseReturnValue:
    """Approve and publish a draft; with a tick, hide the sheet that it stands in for."""

    def go() -> None:
        hide = read_form(PublishSchema())
        publish_draft(current_actor(), draft_id, form_version(), hide_original=hide)

    return _moved(draft_id, "handout_published", go)


def _moved(draft_id: UUID, said: str, go: Callable[[], None]) -> ResponseReturnValue:
    """Do one step in a transaction of its own and come back to the draft's page."""
    try:
        with transaction():
            go()
    except Invalid as error:
        return render_draft(draft_id, submitted_form(error)), 422
    except Stale:
        return render_draft(draft_id, submitted_form(), stale=True), 412
    except RuleBroken as error:
        record_refused_request(error)
        return render_draft(draft_id, submitted_form(), error.reasons), 409
    flash(said)
    return redirect(url_for("authoring.draft_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>/history")
@needs(Action.HANDOUT_WRITE)
def history_page(draft_id: UUID) -> ResponseReturnValue:
    """Show every step of a draft, and what one of them changed: unless asked, the last that changed the text."""
    actor = current_actor()
    draft, steps = get_draft(actor, draft_id), list_revisions(draft_id)
    wanted = request.args.get("step") or find_last_change([step.source for step in steps]) + 1
    chosen = next((step for step in steps if str(step.number) == str(wanted)), None)
    if chosen is None:
        raise NotFound
    before = steps[chosen.number - 2].source if chosen.number > 1 else _before(draft)[0]
    return render_template(
        "authoring/history.html",
        draft=draft,
        steps=steps,
        chosen=chosen,
        names=get_user_names({step.by for step in steps}),
        changes=changes(before, chosen.source),
        others=[other for other in list_drafts_by_slug(actor, draft.slug) if other.id != draft.id],
    )


@blueprint.app_context_processor
def own_words() -> dict[str, Any]:
    """Give the words about our own handouts to the pages that use them."""
    return {
        "draft_states": STATE_WORDS,
        "step_words": STEP_WORDS,
    }
