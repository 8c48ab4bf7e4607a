"""Drafts in every state, created through the operations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from caseapp.core.transaction import transaction
from caseapp.domain.authoring.operations import (
    create_draft,
    create_draft_from_version,
    publish_draft,
    save_draft,
    submit_for_review,
)
from caseapp.domain.authoring.queries import get_draft
from caseapp.domain.authoring.schemas import NewDraft
from caseapp.domain.authoring.source import STARTER_BODY, DraftContent, HandoutKey, read_content
from caseapp.domain.handouts.library import CONTENTS
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.practice.queries import today

FIELD = "::: text my_walk {max=200}\nWhere I will walk\n:::"
NOTHING = dict.fromkeys(CONTENTS, False)
KEY = HandoutKey("own-01", "en", None)


def build_content(title="An evening walk", **changed):
    """Return content that passes every check."""
    content = DraftContent(
        title=title,
        stage="steady",
        kind="worksheet",
        summary="A short walk each evening, alone or with a friend.",
        minutes=10,
        involves=NOTHING,
        review_date=today() + timedelta(days=180),
        change="First version.",
        body=STARTER_BODY["en"].replace("Write here.", f"Walk after supper.\n\n{FIELD}"),
    )
    return replace(content, **changed)


def create_saved_draft(actor, content=None, language="en"):
    """Create a draft, save complete content in it, and return its id and version."""
    with transaction():
        draft_id = create_draft(actor, NewDraft("An evening walk", language))
    with transaction():
        version = save_draft(actor, draft_id, content or build_content(), 1)
    return draft_id, version


def create_submitted_draft(actor, content=None):
    draft_id, version = create_saved_draft(actor, content)
    with transaction():
        submit_for_review(actor, draft_id, version)
    return draft_id, version + 1


def publish_new_handout(writer, approver, content=None):
    draft_id, version = create_submitted_draft(writer, content)
    with transaction():
        publish_draft(approver, draft_id, version)
    return get_draft(writer, draft_id).slug


def publish_copy(team, slug, *, change=None, language="en"):
    """Publish a practice handout based on a library handout and return its slug."""
    with transaction():
        draft_id = create_draft_from_version(team["supervisor"], slug, language)
    content = read_content(get_draft(team["supervisor"], draft_id).source)
    with transaction():
        version = save_draft(
            team["supervisor"], draft_id, replace(content, **(change or {"title": "Ours"})), 1
        )
    with transaction():
        submit_for_review(team["supervisor"], draft_id, version)
    with transaction():
        publish_draft(team["admin"], draft_id, version + 1)
    return get_draft(team["supervisor"], draft_id).slug


def reason_codes(refused):
    return [reason.code for reason in refused.value.reasons]


def list_published_slugs():
    return {item.handout.id for item in list_newest_versions()}
