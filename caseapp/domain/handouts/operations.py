"""Done: editions published, reviewed by a clinician, recalled; a sheet hidden or shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.handouts.library import LANGUAGES, BrokenHandout, Handout, library
from caseapp.domain.handouts.models import HandoutVersion, HandoutVersionReview, HiddenHandout
from caseapp.domain.handouts.queries import find_hidden_handout, find_unreplaced_languages
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.handouts.schemas import NewReview


def publish_library() -> int:
    """Publish every edition of the library that is new; give their number.

    Raises BrokenHandout when a text changed without a new version number, since assignments point at editions for ever.
    """
    known = {
        (row.slug, row.language, row.number): row.sha256
        for row in db.session.execute(
            sa.select(HandoutVersion.slug, HandoutVersion.language, HandoutVersion.number, HandoutVersion.sha256)
        )
    }
    new = []
    for (slug, language), handout in library().items():
        before = known.get((slug, language, handout.version))
        if before is None:
            new.append(_edition_of(handout))
        elif before != handout.sha256:
            raise BrokenHandout(
                f"{slug} ({language}): the text changed, but version {handout.version} did not."
            )
    db.session.add_all(new)
    db.session.flush()
    return len(new)


def publish(handout: Handout) -> UUID:
    """Publish one text; whoever asks has judged it, and asked and recorded who may."""
    handout_version = _edition_of(handout)
    db.session.add(handout_version)
    db.session.flush()
    return handout_version.id


def _edition_of(handout: Handout) -> HandoutVersion:
    return HandoutVersion(
        slug=handout.id,
        language=handout.language,
        number=handout.version,
        sha256=handout.sha256,
        source=handout.source,
        published_at=now(),
    )


def record_review(actor: Actor, handout_version_id: UUID, new: NewReview) -> UUID:
    """Record that a licensed clinician has read one edition; the next edition needs its own review.

    Raises NotFound, and Invalid for a day that has not come yet.
    """
    require(actor, Action.HANDOUT_REVIEW)
    handout_version = db.session.get(HandoutVersion, handout_version_id)
    if handout_version is None:
        raise NotFound
    if new.reviewed_on > today():
        raise Invalid({"reviewed_on": ["Choose today or a day before."]})
    review = HandoutVersionReview(
        handout_version_id=handout_version_id,
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
        "handout_version",
        handout_version_id,
        details={"slug": handout_version.slug, "language": handout_version.language, "number": handout_version.number},
    )
    return review.id


def recall(actor: Actor, handout_version_id: UUID, reason: str) -> None:
    """Take an edition back from everybody at once: no list shows it, and it can neither be given nor opened.

    Nothing is copied to the assignments: each looks at its edition at the moment of use. Raises NotFound, and
    RuleBroken when it was recalled before.
    """
    require(actor, Action.HANDOUT_RECALL)
    handout_version = db.session.scalar(
        sa.select(HandoutVersion).where(HandoutVersion.id == handout_version_id).with_for_update()
    )
    if handout_version is None:
        raise NotFound
    if handout_version.recalled_at is not None:
        raise RuleBroken(Reason("already_recalled", "This version is recalled already."))
    handout_version.recalled_at, handout_version.recalled_by, handout_version.recall_reason = now(), actor.id, reason
    db.session.flush()
    record(
        actor,
        Action.HANDOUT_RECALL,
        "handout_version",
        handout_version_id,
        details={"slug": handout_version.slug, "language": handout_version.language, "number": handout_version.number},
    )


def hide_handout(actor: Actor, slug: str) -> None:
    """Keep a handout out of every list; what was given stays given.

    Raises NotFound, and RuleBroken when it is hidden already, or when it is a safety sheet of the library and no safety
    sheet of the practice's own, for the same holds and in each of its languages, stands in its place.
    """
    require(actor, Action.HANDOUT_HIDE)
    _any_edition(slug)
    lock_practice_row()
    if find_hidden_handout(slug) is not None:
        raise RuleBroken(Reason("already_hidden", "This sheet is hidden already."))
    if bare := find_unreplaced_languages(slug):
        named = " and ".join(LANGUAGES[language] for language in bare)
        raise RuleBroken(
            Reason(
                "safety_sheet",
                f"This is a safety sheet, and nothing of ours stands in for it in {named}.",
                "Publish our own edition of it first: a safety sheet too, with the same hold mark.",
            )
        )
    db.session.add(HiddenHandout(slug=slug, hidden_at=now(), hidden_by=actor.id))
    db.session.flush()
    record(actor, Action.HANDOUT_HIDE, "handout", details={"slug": slug, "hidden": True})


def show_handout(actor: Actor, slug: str) -> None:
    """Put a hidden handout back into the lists.

    Raises NotFound, and RuleBroken when it is not hidden.
    """
    require(actor, Action.HANDOUT_HIDE)
    _any_edition(slug)
    found = find_hidden_handout(slug)
    if found is None:
        raise RuleBroken(Reason("not_hidden", "This sheet is not hidden."))
    db.session.delete(found)
    db.session.flush()
    record(actor, Action.HANDOUT_HIDE, "handout", details={"slug": slug, "hidden": False})


def _any_edition(slug: str) -> None:
    if db.session.scalar(sa.select(HandoutVersion.id).where(HandoutVersion.slug == slug).limit(1)) is None:
        raise NotFound


def lock_practice_row() -> None:
    """Let those who hide sheets or give out numbers for new ones wait for each other, to the end of the transaction."""
    db.session.execute(sa.select(Practice.id).with_for_update())
