"""Asked: the drafts of the practice's own handouts, their steps and authors, and who may approve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason
from caseapp.core.permissions import Action
from caseapp.domain.authoring.models import HandoutDraftRevision, HandoutDraft
from caseapp.domain.authoring.source import HandoutKey, DraftContent, build_source
from caseapp.domain.handouts.library import Handout, parse
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

OPEN = ("draft", "waiting")
# Whoever wrote in a draft is no second person for it.
WRITING = ("started", "saved")
NOT_IN_REVIEW = Reason(
    "not_waiting",
    "This draft does not wait for approval.",
    "Open its page again: somebody was faster, or it was taken back.",
)
SECOND_PERSON = Reason(
    "second_person",
    "You have written in this text, so somebody else has to approve it.",
    "Ask another supervisor or admin who has not changed it.",
)


def get_previous_version(draft: HandoutDraft) -> Handout | None:
    """Give the edition that a draft goes on from, recalled or not; none when it is to be the first."""
    source = db.session.scalar(
        sa.select(HandoutVersion.source).where(
            HandoutVersion.slug == draft.slug,
            HandoutVersion.language == draft.language,
            HandoutVersion.number == draft.number - 1,
        )
    )
    return None if source is None else parse(source)


def build_draft_source(draft: HandoutDraft, text: DraftContent) -> str:
    """Write a text as the source that a draft would hold today."""
    name = HandoutKey(draft.slug, draft.language, draft.based_on)
    return build_source(text, name, today(), get_previous_version(draft))


def list_open_drafts(actor: Actor) -> Sequence[HandoutDraft]:
    """List the drafts that are being written or wait for a second person, the longest untouched first."""
    require(actor, Action.HANDOUT_WRITE)
    return db.session.scalars(
        sa.select(HandoutDraft)
        .where(HandoutDraft.state.in_(OPEN))
        .order_by(HandoutDraft.changed_at, HandoutDraft.id)
    ).all()


def get_draft(actor: Actor, draft_id: UUID) -> HandoutDraft:
    """Give a draft, open or done with.

    Raises NotFound.
    """
    require(actor, Action.HANDOUT_WRITE)
    found = db.session.get(HandoutDraft, draft_id)
    if found is None:
        raise NotFound
    return found


def list_drafts_by_slug(actor: Actor, slug: str) -> Sequence[HandoutDraft]:
    """List every draft that there was of one of our handouts, the newest first."""
    require(actor, Action.HANDOUT_WRITE)
    return db.session.scalars(
        sa.select(HandoutDraft)
        .where(HandoutDraft.slug == slug)
        .order_by(HandoutDraft.started_at.desc(), HandoutDraft.id.desc())
    ).all()


def list_revisions(draft_id: UUID) -> Sequence[HandoutDraftRevision]:
    """List what was done to a draft, in its order."""
    return db.session.scalars(
        sa.select(HandoutDraftRevision).where(HandoutDraftRevision.draft_id == draft_id).order_by(HandoutDraftRevision.number)
    ).all()


def get_author_ids(draft_id: UUID) -> set[UUID]:
    """Name everybody who wrote in a draft."""
    return set(
        db.session.scalars(
            sa.select(HandoutDraftRevision.by).where(
                HandoutDraftRevision.draft_id == draft_id, HandoutDraftRevision.kind.in_(WRITING)
            )
        )
    )


def publish_blockers(actor: Actor, draft: HandoutDraft) -> tuple[Reason, ...]:
    """Say why somebody cannot approve a draft as it stands; empty when they can."""
    if draft.state != "waiting":
        return (NOT_IN_REVIEW,)
    if actor.id in get_author_ids(draft.id):
        return (SECOND_PERSON,)
    return ()
