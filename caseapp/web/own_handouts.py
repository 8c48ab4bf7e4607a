"""The practice's own handouts: where they are written, the second person's page, their history."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, send_file, url_for

from caseapp.access.actions import ACTIONS_OF, Action, Role
from caseapp.cases.stages import stages
from caseapp.core.errors import Invalid, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.handouts.drafts import (
    approve_own,
    as_source,
    drop_own,
    save_own,
    send_back,
    send_own,
    start_edition,
    start_own,
    take_back,
)
from caseapp.handouts.editor import (
    TYPES,
    OwnTextSchema,
    form_values,
    rows_to_show,
)
from caseapp.handouts.history import changes
from caseapp.handouts.library import STOP_BOX, BrokenHandout, Handout, library, read
from caseapp.handouts.own import LONGEST_BODY, faults_in, text_in
from caseapp.handouts.paper import draft_pdf
from caseapp.handouts.queries import (
    draft_of,
    drafts_about,
    edition_before,
    newest_editions,
    open_drafts,
    steps_of,
    why_not_approved,
)
from caseapp.handouts.schemas import LANGUAGES, ApprovalSchema, NewOwnSchema, SendBackSchema
from caseapp.handouts.sheets import page_html
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.once import form_once
from caseapp.http.pages import say, today
from caseapp.http.payload import Form, form_of, form_version, read_form
from caseapp.practice.queries import office
from caseapp.users.queries import everyone, names_of
from caseapp.web.handouts import EFFECT_WORDS, TAG_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from markupsafe import Markup

    from caseapp.core.errors import Reason
    from caseapp.handouts.models import HandoutDraft

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


def _preview(source: str) -> Preview:
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
        for person in everyone()
        if person.disabled_at is None and Action.HANDOUT_APPROVE in ACTIONS_OF[Role(person.role)]
    ]


@blueprint.get("/handouts/own")
@needs(Action.HANDOUT_WRITE)
def own_list() -> ResponseReturnValue:
    """List what waits for approval, what is being written, and what we have published."""
    return _own_list(Form())


def _own_list(form: Form) -> str:
    actor = the_actor()
    drafts = open_drafts(actor)
    return render_template(
        "handouts/own/list.html",
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
            draft_id = form_once(lambda: start_own(the_actor(), new))
    except Invalid as error:
        return _own_list(form_of(error)), 422
    return redirect(url_for("own_handouts.edit_page", draft_id=draft_id), code=303)


@blueprint.post("/handouts/<string:slug>/own")
@needs(Action.HANDOUT_WRITE)
def start_from(slug: str) -> ResponseReturnValue:
    """Start from what is published: the next version of ours, or our own edition of a sheet of the library."""
    language = request.args.get("language", "en")
    with transaction():
        draft_id = form_once(lambda: start_edition(the_actor(), slug, language))
    return redirect(url_for("own_handouts.edit_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>")
@needs(Action.HANDOUT_WRITE)
def draft_page(draft_id: UUID) -> ResponseReturnValue:
    """Show a draft as it would be published, what differs from what is published, and what can be done with it."""
    return _draft_page(draft_id)


def _draft_page(
    draft_id: UUID,
    form: Form | None = None,
    reasons: tuple[Reason, ...] = (),
    *,
    stale: bool = False,
) -> str:
    actor = the_actor()
    draft, steps = draft_of(actor, draft_id), steps_of(draft_id)
    before, against = _before(draft)
    original = library().get((draft.based_on or "", draft.language))
    return render_template(
        "handouts/own/draft.html",
        draft=draft,
        steps=steps,
        names=names_of({step.by for step in steps}),
        preview=_preview(draft.source),
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


@blueprint.get("/handouts/own/<uuid:draft_id>/edit")
@needs(Action.HANDOUT_WRITE)
def edit_page(draft_id: UUID) -> ResponseReturnValue:
    """Show the editor of a draft; what is no longer being written leads to its page."""
    draft = draft_of(the_actor(), draft_id)
    if draft.state != "draft":
        return redirect(url_for("own_handouts.draft_page", draft_id=draft_id), code=303)
    return _editor(draft)


def _editor(draft: HandoutDraft, sent: Form | None = None, *, stale: bool = False) -> str:
    form = sent or Form(form_values(text_in(draft.source)))
    return render_template(
        "handouts/own/edit.html",
        draft=draft,
        form=form,
        stale=stale,
        preview=_preview(_source_sent(draft) if sent and not sent.errors else draft.source),
        warning_rows=rows_to_show(form.raw, "warnings"),
        place_rows=rows_to_show(form.raw, "places"),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
        stop_words=STOP_BOX,
        types=TYPES,
        tags=TAG_WORDS,
        effects=EFFECT_WORDS,
        sheets={h.id: f"{h.code} {h.title}" for h in library().values() if h.language == "en"},
        longest_body=LONGEST_BODY,
        language=LANGUAGES[draft.language],
    )


def _source_sent(draft: HandoutDraft) -> str:
    return as_source(draft, read_form(OwnTextSchema()))


@blueprint.post("/handouts/own/<uuid:draft_id>/edit")
@needs(Action.HANDOUT_WRITE)
def save_now(draft_id: UUID) -> ResponseReturnValue:
    """Save the draft, only look at it, or save it and send it on to a second person."""
    actor, do = the_actor(), request.form.get("do", "save")
    draft = draft_of(actor, draft_id)
    try:
        text, version = read_form(OwnTextSchema()), form_version()
        if do == "preview":
            return _editor(draft, form_of())
        with transaction():
            version = save_own(actor, draft_id, text, version)
        if do == "send":
            # What was written is kept, also where it is not ready to be sent.
            with transaction():
                send_own(actor, draft_id, version)
    except Invalid as error:
        return _editor(draft_of(actor, draft_id), _as_sent(error)), 422
    except Stale:
        return _editor(draft_of(actor, draft_id), form_of(), stale=True), 412
    except RuleBroken as error:
        remember_refusal(error)
        return _draft_page(draft_id, None, error.reasons), 409
    if do == "send":
        say("own_sent")
        return redirect(url_for("own_handouts.draft_page", draft_id=draft_id), code=303)
    say("own_saved")
    return redirect(url_for("own_handouts.edit_page", draft_id=draft_id), code=303)


def _as_sent(error: Invalid) -> Form:
    """Show what was sent; where the text was understood, in the order in which its faults number its rows."""
    try:
        values = form_values(read_form(OwnTextSchema()))
    except Invalid:
        return form_of(error)
    return Form(values | {"version": request.form.get("version", "")}, error.fields)


@blueprint.post("/handouts/own/<uuid:draft_id>/preview")
@needs(Action.HANDOUT_WRITE)
def preview_now(draft_id: UUID) -> ResponseReturnValue:
    """Answer what was typed as a page, for the editor's own preview; nothing is kept."""
    draft = draft_of(the_actor(), draft_id)
    try:
        preview = _preview(_source_sent(draft))
    except Invalid as error:
        preview = Preview(None, None, error.fields)
    return render_template("handouts/own/preview.html", preview=preview)


@blueprint.post("/handouts/own/<uuid:draft_id>/pdf")
@needs(Action.HANDOUT_WRITE)
def pdf_now(draft_id: UUID) -> ResponseReturnValue:
    """Give what was typed, or the draft as it is saved, as a PDF marked as a draft; nothing is kept."""
    draft = draft_of(the_actor(), draft_id)
    try:
        source = _source_sent(draft) if "body" in request.form else draft.source
        handout = read(source)
        made = draft_pdf(handout, office().letterhead, office().numbers)
    except BrokenHandout:
        found = Invalid(faults_in(source, today()))
        return _not_printed(draft, found), 422
    except Invalid as error:
        return _not_printed(draft, error), 422
    return send_file(
        BytesIO(made), mimetype="application/pdf", as_attachment=True, download_name="draft.pdf"
    )


def _not_printed(draft: HandoutDraft, error: Invalid) -> str:
    if "body" in request.form and draft.state == "draft":
        return _editor(draft, _as_sent(error))
    return _draft_page(draft.id, Form(errors=error.fields))


@blueprint.post("/handouts/own/<uuid:draft_id>/send")
@needs(Action.HANDOUT_WRITE)
def send_now(draft_id: UUID) -> ResponseReturnValue:
    """Send a draft to a second person."""
    return _moved(draft_id, "own_sent", lambda: send_own(the_actor(), draft_id, form_version()))


@blueprint.post("/handouts/own/<uuid:draft_id>/withdraw")
@needs(Action.HANDOUT_WRITE)
def withdraw_now(draft_id: UUID) -> ResponseReturnValue:
    """Take a draft that waits back."""
    return _moved(
        draft_id, "own_taken_back", lambda: take_back(the_actor(), draft_id, form_version())
    )


@blueprint.post("/handouts/own/<uuid:draft_id>/drop")
@needs(Action.HANDOUT_WRITE)
def drop_now(draft_id: UUID) -> ResponseReturnValue:
    """Drop a draft for good."""
    return _moved(draft_id, "own_dropped", lambda: drop_own(the_actor(), draft_id, form_version()))


@blueprint.post("/handouts/own/<uuid:draft_id>/return")
@needs(Action.HANDOUT_APPROVE)
def return_now(draft_id: UUID) -> ResponseReturnValue:
    """Send a draft back to its authors with a reason."""

    def go() -> None:
        send_back(the_actor(), draft_id, read_form(SendBackSchema()), form_version())

    return _moved(draft_id, "own_sent_back", go)


@blueprint.post("/handouts/own/<uuid:draft_id>/approve")
@needs(Action.HANDOUT_APPROVE)
def approve_now(draft_id: UUID) -> ResponseReturnValue:
    """Approve and publish a draft; with a tick, hide the sheet that it stands in for."""

    def go() -> None:
        hide = read_form(ApprovalSchema())
        approve_own(the_actor(), draft_id, form_version(), hide_original=hide)

    return _moved(draft_id, "own_published", go)


def _moved(draft_id: UUID, said: str, go: Callable[[], None]) -> ResponseReturnValue:
    """Do one step in a transaction of its own and come back to the draft's page."""
    try:
        with transaction():
            go()
    except Invalid as error:
        return _draft_page(draft_id, form_of(error)), 422
    except Stale:
        return _draft_page(draft_id, form_of(), stale=True), 412
    except RuleBroken as error:
        remember_refusal(error)
        return _draft_page(draft_id, form_of(), error.reasons), 409
    say(said)
    return redirect(url_for("own_handouts.draft_page", draft_id=draft_id), code=303)


@blueprint.get("/handouts/own/<uuid:draft_id>/history")
@needs(Action.HANDOUT_WRITE)
def history_page(draft_id: UUID) -> ResponseReturnValue:
    """Show every step of a draft, and what one of them changed."""
    actor = the_actor()
    draft, steps = draft_of(actor, draft_id), steps_of(draft_id)
    wanted = request.args.get("step", str(steps[-1].number))
    chosen = next((step for step in steps if str(step.number) == wanted), None)
    if chosen is None:
        raise NotFound
    before = steps[chosen.number - 2].source if chosen.number > 1 else _before(draft)[0]
    return render_template(
        "handouts/own/history.html",
        draft=draft,
        steps=steps,
        chosen=chosen,
        names=names_of({step.by for step in steps}),
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
