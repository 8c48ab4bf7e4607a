"""Drafts at every step, made through the operations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from caseapp.core.transaction import transaction
from caseapp.domain.authoring.operations import (
    approve_own,
    save_own,
    send_own,
    start_edition,
    start_own,
)
from caseapp.domain.authoring.queries import draft_of
from caseapp.domain.authoring.schemas import NewOwn
from caseapp.domain.authoring.source import BEGINNING, Name, OwnText, text_in
from caseapp.domain.handouts.library import Field
from caseapp.domain.handouts.queries import newest_editions
from caseapp.domain.practice.queries import today

PLACE = Field("my_walk", "Where I will walk", "text", (), 200, 3, required=False, sensitive=False)
NAME = Name("own-01", "en", None)


def whole(title="An evening walk", **changed):
    """Give a text that passes every check."""
    text = OwnText(
        title=title,
        stage="steady",
        kind="worksheet",
        summary="A short walk each evening, alone or with a friend.",
        minutes=10,
        places=(PLACE,),
        review_date=today() + timedelta(days=180),
        change="First edition.",
        body=BEGINNING["en"].replace("Write here.", "Walk after supper.\n\n{{field:my_walk}}"),
    )
    return replace(text, **changed)


def started(actor, text=None, language="en"):
    """Start a draft and save a whole text in it; give its id and version."""
    with transaction():
        draft_id = start_own(actor, NewOwn("An evening walk", language))
    with transaction():
        version = save_own(actor, draft_id, text or whole(), 1)
    return draft_id, version


def sent(actor, text=None):
    draft_id, version = started(actor, text)
    with transaction():
        send_own(actor, draft_id, version)
    return draft_id, version + 1


def published(writer, approver, text=None):
    draft_id, version = sent(writer, text)
    with transaction():
        approve_own(approver, draft_id, version)
    return draft_of(writer, draft_id).slug


def own_edition(team, slug, *, change=None, language="en"):
    """Publish our own edition of a sheet of the library; give its name in addresses."""
    with transaction():
        draft_id = start_edition(team["supervisor"], slug, language)
    text = text_in(draft_of(team["supervisor"], draft_id).source)
    with transaction():
        version = save_own(
            team["supervisor"], draft_id, replace(text, **(change or {"title": "Ours"})), 1
        )
    with transaction():
        send_own(team["supervisor"], draft_id, version)
    with transaction():
        approve_own(team["admin"], draft_id, version + 1)
    return draft_of(team["supervisor"], draft_id).slug


def codes(refused):
    return [reason.code for reason in refused.value.reasons]


def listed():
    return {item.handout.id for item in newest_editions()}
