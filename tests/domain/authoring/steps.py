"""Drafts at every step, made through the operations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from caseapp.core.transaction import transaction
from caseapp.domain.authoring.operations import (
    publish_draft,
    save_draft,
    submit_for_review,
    create_draft_from_version,
    create_draft,
)
from caseapp.domain.authoring.queries import get_draft
from caseapp.domain.authoring.schemas import NewDraft
from caseapp.domain.authoring.source import STARTER_BODY, HandoutKey, DraftContent, read_content
from caseapp.domain.handouts.library import Field
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.practice.queries import today

PLACE = Field("my_walk", "Where I will walk", "text", (), 200, 3, required=False, sensitive=False)
NAME = HandoutKey("own-01", "en", None)


def whole(title="An evening walk", **changed):
    """Give a text that passes every check."""
    text = DraftContent(
        title=title,
        stage="steady",
        kind="worksheet",
        summary="A short walk each evening, alone or with a friend.",
        minutes=10,
        answer_fields=(PLACE,),
        review_date=today() + timedelta(days=180),
        change="First edition.",
        body=STARTER_BODY["en"].replace("Write here.", "Walk after supper.\n\n{{field:my_walk}}"),
    )
    return replace(text, **changed)


def started(actor, text=None, language="en"):
    """Start a draft and save a whole text in it; give its id and version."""
    with transaction():
        draft_id = create_draft(actor, NewDraft("An evening walk", language))
    with transaction():
        version = save_draft(actor, draft_id, text or whole(), 1)
    return draft_id, version


def sent(actor, text=None):
    draft_id, version = started(actor, text)
    with transaction():
        submit_for_review(actor, draft_id, version)
    return draft_id, version + 1


def published(writer, approver, text=None):
    draft_id, version = sent(writer, text)
    with transaction():
        publish_draft(approver, draft_id, version)
    return get_draft(writer, draft_id).slug


def publish_copy(team, slug, *, change=None, language="en"):
    """Publish our own edition of a sheet of the library; give its name in addresses."""
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], slug, language)
    text = read_content(get_draft(team["supervisor"], draft_id).source)
    with transaction():
        version = save_draft(
            team["supervisor"], draft_id, replace(text, **(change or {"title": "Ours"})), 1
        )
    with transaction():
        submit_for_review(team["supervisor"], draft_id, version)
    with transaction():
        publish_draft(team["admin"], draft_id, version + 1)
    return get_draft(team["supervisor"], draft_id).slug


def codes(refused):
    return [reason.code for reason in refused.value.reasons]


def listed():
    return {item.handout.id for item in list_newest_versions()}
