"""The editor of practice handouts: save a draft, preview it as a page or PDF, and submit it for approval."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import redirect, render_template, request, send_file, url_for
from marshmallow import Schema, fields, validate
from werkzeug.datastructures import MultiDict

from caseapp.core.errors import Invalid
from caseapp.core.permissions import Action
from caseapp.domain.authoring import operations
from caseapp.domain.authoring.queries import build_draft_source, get_draft
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.schemas import (
    MAX_BODY_LENGTH,
    MAX_WARNINGS,
    PAIR_PARTS,
    WARNING_PARTS,
    DraftContentSchema,
    get_form_values,
    list_visible_rows,
)
from caseapp.domain.authoring.source import DraftContent, read_content
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.bars import CONTENT_LABELS, EFFECT_LABELS, TAG_LABELS
from caseapp.domain.handouts.drawings import DRAWINGS
from caseapp.domain.handouts.library import (
    LANGUAGES,
    MAX_PAIRS,
    MAX_PHRASE,
    MAX_STEP,
    STEPS,
    STOP_BOX,
    InvalidHandoutFile,
    library,
    parse_draft,
)
from caseapp.domain.handouts.printing import render_draft_pdf
from caseapp.domain.handouts.variants import WRITTEN_IN
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.form_merge import form_value
from caseapp.http.forms import BUTTON, Done, FormPage, Forms, Sent, Typed, no_lock
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import read_form
from caseapp.http.template_helpers import today, zone
from caseapp.web.authoring import REFUSED, Preview, blueprint, build_preview, load_draft
from caseapp.web.authoring import page as draft_page

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.authoring.models import HandoutDraft
    from caseapp.http.page_forms import PageForm

__all__ = ["blueprint"]

# The rows of the table are taken from one side together, since a row's number says nothing about what is in it.
WARNINGS = tuple(f"warnings.{row}.{part}" for row in range(MAX_WARNINGS) for part in WARNING_PARTS)
PAIRS = tuple(f"us.{row}.{part}" for row in range(MAX_PAIRS) for part in PAIR_PARTS)

BLOCK_EXAMPLES = """::: text next_step {max=120}
One thing I will do
:::

::: long what_happened {lines=4 private}
What happened
:::

::: ticks signs {private}
Tick what’s true
- I can’t settle until I hear something → 2
- I only want to say hello
:::

::: scale pull {before="Now" after="After the wait"}
How strong is the pull to send it?
0 = I can leave it
10 = I can’t leave it
:::

::: table nights {private}
My nights
| Night | To bed | Up |
|---|---|---|
| eg: Hassan | 11:30 | 6:45 |
| Mon | | |
:::

::: person who_helps {rows=2}
Who I’ll call
:::

::: sign agreed {who="Me, My coach"}
We’ve gone through this together
:::

::: draw our_week {height=55}
Our week
:::

::: talk
**Ana:** Could we speak on Sunday?

**Sam:** After lunch, yes.
:::"""
"""What the formatting help shows of blocks."""

page = FormPage(blueprint, "/handouts/own/<uuid:draft_id>/edit", Action.HANDOUT_WRITE, load_draft)


@page.show
def edit_page(draft: HandoutDraft, forms: Forms) -> ResponseReturnValue:
    """Show the editor of a draft; redirect to the draft's page if it can't be edited and nothing typed is left."""
    if draft.state != "draft" and not (forms.refusal or forms.drafts):
        return redirect(url_for("authoring.draft_page", draft_id=draft.id), code=303)
    form = forms.get("save")
    is_untouched = not (form.is_refused or form.restored_from)
    if is_untouched and "problems" in request.args:
        problems = find_problems(draft.source, today())
        forms.mark("save", problems, "Saved, but not ready to submit yet")
    return render_template(
        "authoring/edit.html",
        draft=draft,
        forms=forms,
        preview=build_preview(draft.source if is_untouched else _build_source(draft, form)),
        warning_rows=list_visible_rows(form.raw, "warnings"),
        pair_rows=list_visible_rows(form.raw, "us") if draft.language == WRITTEN_IN else [],
        steps=range(STEPS),
        max_step=MAX_STEP,
        max_phrase=MAX_PHRASE,
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
        stop_headings=STOP_BOX,
        tags=TAG_LABELS,
        effects=EFFECT_LABELS,
        contents=CONTENT_LABELS,
        library_handouts={
            handout.id: f"{handout.code} {handout.title}"
            for handout in library().values()
            if handout.language == "en"
        },
        max_body_length=MAX_BODY_LENGTH,
        block_examples=BLOCK_EXAMPLES,
        language=LANGUAGES[draft.language],
        drawings=[*DRAWINGS],
    )


def _build_source(draft: HandoutDraft, form: PageForm) -> str:
    """Return what the form shows as a source, or what is saved when it can't be read."""
    try:
        content, _do = load_content(Typed(MultiDict(form.raw), dict), None)
    except Invalid:
        return draft.source
    return build_draft_source(draft, content)


class SaveSchema(Schema):
    """What the button of the editor asks for besides saving."""

    do = fields.String(load_default="save", validate=validate.OneOf(["save", "submit"]))


def load_content(typed: Typed, _locked: None) -> tuple[DraftContent, str]:
    """Load the content of a draft, and what to do with it.

    Raises Invalid naming each field.
    """
    content, wanted = typed.load(DraftContentSchema(), SaveSchema())
    return content, wanted["do"]


def content_values(draft: HandoutDraft) -> dict[str, Any]:
    """Return what the editor's form sends untouched."""
    blank = dict.fromkeys((*WARNINGS, *PAIRS), "")
    return blank | get_form_values(read_content(draft.source))


@page.form(
    Action.HANDOUT_WRITE,
    load_content,
    lock=no_lock,
    values=content_values,
    coupled=(WARNINGS, PAIRS),
    refused=REFUSED,
)
def save(_locked: None, body: tuple[DraftContent, str], sent: Sent) -> Done:
    """Save the draft, and submit it for approval if asked to; a text that isn't ready for that is saved too."""
    (content, do), draft_id = body, sent.args["draft_id"]
    version = operations.save_draft(sent.actor, draft_id, content, sent.version)
    if do == "save":
        return Done(url_for("authoring.edit_page", draft_id=draft_id), "draft_saved")
    try:
        operations.submit_for_review(sent.actor, draft_id, version)
    except Invalid:
        return Done(url_for("authoring.edit_page", draft_id=draft_id, problems="yes"))
    return Done(url_for("authoring.draft_page", draft_id=draft_id), "draft_submitted")


@page.post(
    Action.HANDOUT_WRITE,
    load_content,
    rule="/handouts/own/<uuid:draft_id>/edit/preview",
    part_of="save",
)
def preview_typed(_body: tuple[DraftContent, str], sent: Sent) -> ResponseReturnValue:
    """Show the editor with a preview of what was typed, without saving it."""
    return page.forms["preview_typed"].show_again(sent, None, HTTPStatus.OK)


@page.post(
    Action.HANDOUT_WRITE,
    load_content,
    rule="/handouts/own/<uuid:draft_id>/edit/pdf",
    part_of="save",
)
def preview_typed_pdf(body: tuple[DraftContent, str], sent: Sent) -> ResponseReturnValue:
    """Send what was typed as a PDF marked as a draft, without saving it."""
    content, _do = body
    draft = get_draft(sent.actor, sent.args["draft_id"])
    try:
        return _send_pdf(build_draft_source(draft, content))
    except Invalid as error:
        # The problems count the rows of the content, where blank ones are dropped, so the form shows those rows.
        shown = {name: form_value(value, zone) for name, value in get_form_values(content).items()}
        typed = MultiDict(shown | {"version": sent.fields.get("version", "")})
        route = page.forms["preview_typed_pdf"]
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return route.show_again(replace(sent, fields=typed), error, status)


@draft_page.post(Action.HANDOUT_WRITE, BUTTON, rule="/handouts/own/<uuid:draft_id>/pdf")
def preview_pdf(_body: dict[str, Any], sent: Sent) -> ResponseReturnValue:
    """Send the saved draft as a PDF marked as a draft."""
    return _send_pdf(get_draft(sent.actor, sent.args["draft_id"]).source)


def _send_pdf(source: str) -> ResponseReturnValue:
    try:
        handout = parse_draft(source)
    except InvalidHandoutFile as error:
        raise Invalid(find_problems(source, today())) from error
    practice = get_practice_info()
    pdf = render_draft_pdf(handout, practice.letterhead, practice.help_lines)
    return send_file(
        BytesIO(pdf), mimetype="application/pdf", as_attachment=True, download_name="draft.pdf"
    )


@blueprint.post("/handouts/own/<uuid:draft_id>/preview")
@needs(Action.HANDOUT_WRITE)
def preview(draft_id: UUID) -> ResponseReturnValue:
    """Render the form as a part of the page, for the script that shows it beside the form while somebody types."""
    draft = get_draft(current_actor(), draft_id)
    try:
        found = build_preview(build_draft_source(draft, read_form(DraftContentSchema())))
    except Invalid as error:
        found = Preview(None, None, error.fields)
    return render_template("authoring/preview.html", preview=found)
