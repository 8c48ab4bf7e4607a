"""Queries about drafts of practice handouts: the drafts, their revisions and authors, and who may publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason
from caseapp.core.permissions import Action
from caseapp.domain.authoring.models import HandoutDraft, HandoutDraftRevision
from caseapp.domain.authoring.source import DraftContent, HandoutKey, build_source
from caseapp.domain.handouts.library import Handout, parse_handout
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.domain.handouts.library import ClinicianDecision

OPEN_STATES = ("draft", "in_review")
# Whoever recorded a revision of these kinds is an author and can't approve the draft.
AUTHORING_KINDS = ("created", "saved")
NOT_IN_REVIEW = Reason(
    "not_in_review",
    "This draft isn’t waiting for approval.",
    "Reload the page. The draft has since been published, returned or withdrawn.",
)
SECOND_PERSON = Reason(
    "second_person",
    "You edited this draft, so someone else has to approve it.",
    "Ask another supervisor or admin who has not changed it.",
)


def get_previous_version(draft: HandoutDraft) -> Handout | None:
    """Return the version that a draft continues, recalled or not; None for the first version."""
    source = db.session.scalar(
        sa.select(HandoutVersion.source).where(
            HandoutVersion.slug == draft.slug,
            HandoutVersion.language == draft.language,
            HandoutVersion.number == draft.number - 1,
        )
    )
    return None if source is None else parse_handout(source)


def build_draft_source(
    draft: HandoutDraft, content: DraftContent, clinician: ClinicianDecision | None = None
) -> str:
    """Write content as the source of a draft, dated today."""
    key = HandoutKey(draft.slug, draft.language, draft.based_on)
    return build_source(content, key, today(), get_previous_version(draft), clinician)


def list_open_drafts(actor: Actor) -> Sequence[HandoutDraft]:
    """List the drafts that are being written or in review, least recently updated first."""
    require(actor, Action.HANDOUT_WRITE)
    return db.session.scalars(
        sa.select(HandoutDraft)
        .where(HandoutDraft.state.in_(OPEN_STATES))
        .order_by(HandoutDraft.updated_at, HandoutDraft.id)
    ).all()


def get_draft(actor: Actor, draft_id: UUID) -> HandoutDraft:
    """Return a draft in any state.

    Raises NotFound.
    """
    require(actor, Action.HANDOUT_WRITE)
    found = db.session.get(HandoutDraft, draft_id)
    if found is None:
        raise NotFound
    return found


def list_drafts_by_slug(actor: Actor, slug: str) -> Sequence[HandoutDraft]:
    """List every draft of a practice handout, newest first."""
    require(actor, Action.HANDOUT_WRITE)
    return db.session.scalars(
        sa.select(HandoutDraft)
        .where(HandoutDraft.slug == slug)
        .order_by(HandoutDraft.created_at.desc(), HandoutDraft.id.desc())
    ).all()


def list_revisions(draft_id: UUID) -> Sequence[HandoutDraftRevision]:
    """List the revisions of a draft, oldest first."""
    return db.session.scalars(
        sa.select(HandoutDraftRevision)
        .where(HandoutDraftRevision.draft_id == draft_id)
        .order_by(HandoutDraftRevision.number)
    ).all()


def list_author_ids(draft_id: UUID) -> set[UUID]:
    """Return the ids of everybody who wrote in a draft."""
    return set(
        db.session.scalars(
            sa.select(HandoutDraftRevision.recorded_by).where(
                HandoutDraftRevision.draft_id == draft_id,
                HandoutDraftRevision.kind.in_(AUTHORING_KINDS),
            )
        )
    )


def list_publish_blockers(actor: Actor, draft: HandoutDraft) -> tuple[Reason, ...]:
    """List the reasons why the actor can't publish a draft now; empty if they can."""
    if draft.state != "in_review":
        return (NOT_IN_REVIEW,)
    if actor.id in list_author_ids(draft.id):
        return (SECOND_PERSON,)
    return ()
