"""The practice's own handouts: what is being written, the page of each draft, what is done with it, its history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, RuleBroken, Stale
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.authoring.checks import faults_in
from caseapp.domain.authoring.comparison import changes, last_changed
from caseapp.domain.authoring.operations import (
    approve_own,
    drop_own,
    send_back,
    send_own,
    start_edition,
    start_own,
    take_back,
)
from caseapp.domain.authoring.queries import (
    draft_of,
    drafts_about,
    edition_before,
    open_drafts,
    steps_of,
    why_not_approved,
)
from caseapp.domain.authoring.schemas import ApprovalSchema, NewOwnSchema, SendBackSchema
from caseapp.domain.handouts.library import BrokenHandout, Handout, library, read
from caseapp.domain.handouts.queries import newest_editions
from caseapp.domain.handouts.rendering import page_html
from caseapp.domain.practice.queries import office
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

blueprint = Blueprint("own_handouts", __name__)

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


def preview_of(source: str) -> Preview:
    """Make a page of a source, as far as that can be done, and say what is wrong with it."""
    faults = faults_in(source, today())
    try:
        handout = read(source)
    except BrokenHandout:
        return Preview(None, None, faults)
    try:
        known = office().numbers
        return Preview(page_html(handout, known, faith=True, staff=True), handout, faults)
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
    drafts = open_drafts(actor)
    return render_template(
        "authoring/list.html",
        form=form,
        waiting=[draft for draft in drafts if draft.state == "waiting"],
        writing=[draft for draft in drafts if draft.state == "draft"],
        mine={draft.id for draft in drafts if why_not_approved(actor, draft)},
        published=[item for item in newest_editions() if item.handout.own],
        alone=len(approvers()) < ENOUGH_PEOPLE,
    )


@blueprint.post("/handouts/own")
@needs(Action.HANDOUT_WRITE)
def start_now() -> ResponseReturnValue:
    """Start a handout of our own."""
    try:
        new = read_form(NewOwnSchema())
        with transaction():
            draft_id = run_form_once(lambda: start_own(current_actor(), new))
    except Invalid as error:
        return _own_list(submitted_form(error)), 422
    return redirect(url_for("own_handouts.edit_page", draft_id=draft_id), code=303)


@blueprint.post("/handouts/<string:slug>/own")
@needs(Action.HANDOUT_WRITE)
def start_from(slug: str) -> ResponseReturnValue:
    """Start from what is published: the next version of ours, or our own edition of a sheet of the library."""
    language = request.args.get("language", "en")
    with transaction():
        draft_id = run_form_once(lambda: start_edition(current_actor(), slug, language))
    return redirect(url_for("own_handouts.edit_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>")
@needs(Action.HANDOUT_WRITE)
def draft_page(draft_id: UUID) -> ResponseReturnValue:
    """Show a draft as it would be published, what differs from what is published, and what can be done with it."""
    return draft_shown(draft_id)


def draft_shown(
    draft_id: UUID,
    form: Form | None = None,
    reasons: tuple[Reason, ...] = (),
    *,
    stale: bool = False,
) -> str:
    """Give a draft's page, perhaps with what was sent to it and why it was refused."""
    actor = current_actor()
    draft, steps = draft_of(actor, draft_id), steps_of(draft_id)
    before, against = _before(draft)
    original = library().get((draft.based_on or "", draft.language))
    return render_template(
        "authoring/draft.html",
        draft=draft,
        steps=steps,
        names=get_user_names({step.by for step in steps}),
        preview=preview_of(draft.source),
        changes=changes(before, draft.source),
        against=against,
        barred=why_not_approved(actor, draft),
        alone=len(approvers()) < ENOUGH_PEOPLE,
        original=original,
        form=form or Form(),
        reasons=reasons,
        stale=stale,
    )


def _before(draft: HandoutDraft) -> tuple[str | None, str]:
    """Give the text that a draft is compared with, and say in words which it is."""
    published = edition_before(draft)
    if published:
        return published.source, f"version {published.version}"
    original = library().get((draft.based_on or "", draft.language))
    return (original.source, "the sheet of the library") if original else (None, "")


@blueprint.post("/handouts/own/<uuid:draft_id>/send")
@needs(Action.HANDOUT_WRITE)
def send_now(draft_id: UUID) -> ResponseReturnValue:
    """Send a draft to a second person."""
    return _moved(draft_id, "draft_submitted", lambda: send_own(current_actor(), draft_id, form_version()))


@blueprint.post("/handouts/own/<uuid:draft_id>/withdraw")
@needs(Action.HANDOUT_WRITE)
def withdraw_now(draft_id: UUID) -> ResponseReturnValue:
    """Take a draft that waits back."""
    return _moved(
        draft_id, "draft_withdrawn", lambda: take_back(current_actor(), draft_id, form_version())
    )


@blueprint.post("/handouts/own/<uuid:draft_id>/drop")
@needs(Action.HANDOUT_WRITE)
def drop_now(draft_id: UUID) -> ResponseReturnValue:
    """Drop a draft for good."""
    return _moved(draft_id, "draft_discarded", lambda: drop_own(current_actor(), draft_id, form_version()))


@blueprint.post("/handouts/own/<uuid:draft_id>/return")
@needs(Action.HANDOUT_APPROVE)
def return_now(draft_id: UUID) -> ResponseReturnValue:
    """Send a draft back to its authors with a reason."""

    def go() -> None:
        send_back(current_actor(), draft_id, read_form(SendBackSchema()), form_version())

    return _moved(draft_id, "draft_returned", go)


@blueprint.post("/handouts/own/<uuid:draft_id>/approve")
@needs(Action.HANDOUT_APPROVE)
def approve_now(draft_id: UUID) -> ResponseReturnValue:
    """Approve and publish a draft; with a tick, hide the sheet that it stands in for."""

    def go() -> None:
        hide = read_form(ApprovalSchema())
        approve_own(current_actor(), draft_id, form_version(), hide_original=hide)

    return _moved(draft_id, "handout_published", go)


def _moved(draft_id: UUID, said: str, go: Callable[[], None]) -> ResponseReturnValue:
    """Do one step in a transaction of its own and come back to the draft's page."""
    try:
        with transaction():
            go()
    except Invalid as error:
        return draft_shown(draft_id, submitted_form(error)), 422
    except Stale:
        return draft_shown(draft_id, submitted_form(), stale=True), 412
    except RuleBroken as error:
        record_refused_request(error)
        return draft_shown(draft_id, submitted_form(), error.reasons), 409
    flash(said)
    return redirect(url_for("own_handouts.draft_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>/history")
@needs(Action.HANDOUT_WRITE)
def history_page(draft_id: UUID) -> ResponseReturnValue:
    """Show every step of a draft, and what one of them changed: unless asked, the last that changed the text."""
    actor = current_actor()
    draft, steps = draft_of(actor, draft_id), steps_of(draft_id)
    wanted = request.args.get("step") or last_changed([step.source for step in steps]) + 1
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
        others=[other for other in drafts_about(actor, draft.slug) if other.id != draft.id],
    )


@blueprint.app_context_processor
def own_words() -> dict[str, Any]:
    """Give the words about our own handouts to the pages that use them."""
    return {
        "draft_states": STATE_WORDS,
        "step_words": STEP_WORDS,
    }
