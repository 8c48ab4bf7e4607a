"""Done: the library published, reviewed by a clinician, recalled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.access.actions import Action
from caseapp.access.actor import Actor, require
from caseapp.audit.operations import record
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.handouts.library import BrokenHandout, library
from caseapp.handouts.models import Edition, Review
from caseapp.practice.queries import today

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.handouts.schemas import NewReview


def publish_library() -> int:
    """Publish every edition of the library that is new; give their number.

    Raises BrokenHandout when a text changed without a new version number, since assignments point at editions for ever.
    """
    known = {
        (row.slug, row.language, row.number): row.sha256
        for row in db.session.execute(
            sa.select(Edition.slug, Edition.language, Edition.number, Edition.sha256)
        )
    }
    new = []
    for (slug, language), handout in library().items():
        before = known.get((slug, language, handout.version))
        if before is None:
            new.append(
                Edition(
                    slug=slug,
                    language=language,
                    number=handout.version,
                    sha256=handout.sha256,
                    source=handout.source,
                    published_at=now(),
                )
            )
        elif before != handout.sha256:
            raise BrokenHandout(
                f"{slug} ({language}): the text changed, but version {handout.version} did not."
            )
    db.session.add_all(new)
    db.session.flush()
    return len(new)


def record_review(actor: Actor, edition_id: UUID, new: NewReview) -> UUID:
    """Record that a licensed clinician has read one edition; the next edition needs its own review.

    Raises NotFound, and Invalid for a day that has not come yet.
    """
    require(actor, Action.HANDOUT_REVIEW)
    edition = db.session.get(Edition, edition_id)
    if edition is None:
        raise NotFound
    if new.reviewed_on > today():
        raise Invalid({"reviewed_on": ["Choose today or a day before."]})
    review = Review(
        edition_id=edition_id,
        clinician=new.clinician,
        reviewed_on=new.reviewed_on,
        recorded_at=now(),
        recorded_by=actor.id,
    )
    db.session.add(review)
    db.session.flush()
    record(
        actor,
        Action.HANDOUT_REVIEW,
        "edition",
        edition_id,
        details={"slug": edition.slug, "language": edition.language, "number": edition.number},
    )
    return review.id


def recall(actor: Actor, edition_id: UUID, reason: str) -> None:
    """Take an edition back from everybody at once: no list shows it, and it can neither be given nor opened.

    Nothing is copied to the assignments: each looks at its edition at the moment of use. Raises NotFound, and
    RuleBroken when it was recalled before.
    """
    require(actor, Action.HANDOUT_RECALL)
    edition = db.session.scalar(
        sa.select(Edition).where(Edition.id == edition_id).with_for_update()
    )
    if edition is None:
        raise NotFound
    if edition.recalled_at is not None:
        raise RuleBroken(Reason("already_recalled", "This version is recalled already."))
    edition.recalled_at, edition.recalled_by, edition.recall_reason = now(), actor.id, reason
    db.session.flush()
    record(
        actor,
        Action.HANDOUT_RECALL,
        "edition",
        edition_id,
        details={"slug": edition.slug, "language": edition.language, "number": edition.number},
    )
