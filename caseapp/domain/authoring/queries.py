"""Asked: the drafts of the practice's own handouts, their steps and authors, and who may approve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason
from caseapp.core.permissions import Action
from caseapp.domain.authoring.models import DraftStep, HandoutDraft
from caseapp.domain.authoring.source import Name, OwnText, source_of
from caseapp.domain.handouts.library import Handout, parse
from caseapp.domain.handouts.models import Edition
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

OPEN = ("draft", "waiting")
# Whoever wrote in a draft is no second person for it.
WRITING = ("started", "saved")
NOT_WAITING = Reason(
    "not_waiting",
    "This draft does not wait for approval.",
    "Open its page again: somebody was faster, or it was taken back.",
)
SECOND_PERSON = Reason(
    "second_person",
    "You have written in this text, so somebody else has to approve it.",
    "Ask another supervisor or admin who has not changed it.",
)


def edition_before(draft: HandoutDraft) -> Handout | None:
    """Give the edition that a draft goes on from, recalled or not; none when it is to be the first."""
    source = db.session.scalar(
        sa.select(Edition.source).where(
            Edition.slug == draft.slug,
            Edition.language == draft.language,
            Edition.number == draft.number - 1,
        )
    )
    return None if source is None else parse(source)


def as_source(draft: HandoutDraft, text: OwnText) -> str:
    """Write a text as the source that a draft would hold today."""
    name = Name(draft.slug, draft.language, draft.based_on)
    return source_of(text, name, today(), edition_before(draft))


def open_drafts(actor: Actor) -> Sequence[HandoutDraft]:
    """List the drafts that are being written or wait for a second person, the longest untouched first."""
    require(actor, Action.HANDOUT_WRITE)
    return db.session.scalars(
        sa.select(HandoutDraft)
        .where(HandoutDraft.state.in_(OPEN))
        .order_by(HandoutDraft.changed_at, HandoutDraft.id)
    ).all()


def draft_of(actor: Actor, draft_id: UUID) -> HandoutDraft:
    """Give a draft, open or done with.

    Raises NotFound.
    """
    require(actor, Action.HANDOUT_WRITE)
    found = db.session.get(HandoutDraft, draft_id)
    if found is None:
        raise NotFound
    return found


def drafts_about(actor: Actor, slug: str) -> Sequence[HandoutDraft]:
    """List every draft that there was of one of our handouts, the newest first."""
    require(actor, Action.HANDOUT_WRITE)
    return db.session.scalars(
        sa.select(HandoutDraft)
        .where(HandoutDraft.slug == slug)
        .order_by(HandoutDraft.started_at.desc(), HandoutDraft.id.desc())
    ).all()


def steps_of(draft_id: UUID) -> Sequence[DraftStep]:
    """List what was done to a draft, in its order."""
    return db.session.scalars(
        sa.select(DraftStep).where(DraftStep.draft_id == draft_id).order_by(DraftStep.number)
    ).all()


def authors_of(draft_id: UUID) -> set[UUID]:
    """Name everybody who wrote in a draft."""
    return set(
        db.session.scalars(
            sa.select(DraftStep.by).where(
                DraftStep.draft_id == draft_id, DraftStep.kind.in_(WRITING)
            )
        )
    )


def why_not_approved(actor: Actor, draft: HandoutDraft) -> tuple[Reason, ...]:
    """Say why somebody cannot approve a draft as it stands; empty when they can."""
    if draft.state != "waiting":
        return (NOT_WAITING,)
    if actor.id in authors_of(draft.id):
        return (SECOND_PERSON,)
    return ()
