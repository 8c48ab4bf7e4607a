"""Operations on handouts: publish, review, recall, hide and show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.handouts.library import LANGUAGES, Handout, InvalidHandoutFile, library
from caseapp.domain.handouts.models import HandoutVersion, HandoutVersionReview, HiddenHandout
from caseapp.domain.handouts.queries import find_hidden_handout, find_unreplaced_languages
from caseapp.domain.practice.queries import lock_practice_row, today

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.handouts.schemas import NewReview


def publish_library() -> int:
    """Publish the library's new versions and return how many there were.

    Raises InvalidHandoutFile when a text changed without a new version number: assignments refer to a version for ever.
    """
    known = {
        (row.slug, row.language, row.number): row.sha256
        for row in db.session.execute(
            sa.select(
                HandoutVersion.slug,
                HandoutVersion.language,
                HandoutVersion.number,
                HandoutVersion.sha256,
            )
        )
    }
    new = []
    for (slug, language), handout in library().items():
        before = known.get((slug, language, handout.version))
        if before is None:
            new.append(_build_version(handout))
        elif before != handout.sha256:
            raise InvalidHandoutFile(
                f"{slug} ({language}): the text changed, but version {handout.version} did not."
            )
    db.session.add_all(new)
    db.session.flush()
    return len(new)


def publish_version(handout: Handout) -> UUID:
    """Publish one handout and return the version's id.

    The caller checks the text and the permission, and records the audit event.
    """
    handout_version = _build_version(handout)
    db.session.add(handout_version)
    db.session.flush()
    return handout_version.id


def _build_version(handout: Handout) -> HandoutVersion:
    return HandoutVersion(
        slug=handout.id,
        language=handout.language,
        number=handout.version,
        sha256=handout.sha256,
        source=handout.source,
        published_at=now(),
    )


def record_review(actor: Actor, handout_version_id: UUID, new: NewReview) -> UUID:
    """Record that a licensed clinician has reviewed one version; the next version needs its own review.

    Raises NotFound, and Invalid for a date in the future.
    """
    require(actor, Action.HANDOUT_REVIEW)
    handout_version = db.session.get(HandoutVersion, handout_version_id)
    if handout_version is None:
        raise NotFound
    if new.reviewed_on > today():
        raise Invalid({"reviewed_on": ["Choose today or an earlier date."]})
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
        details={
            "slug": handout_version.slug,
            "language": handout_version.language,
            "number": handout_version.number,
        },
    )
    return review.id


def recall(actor: Actor, handout_version_id: UUID, reason: str) -> None:
    """Recall a version: from now on it is not listed and can be neither assigned nor opened.

    Assignments are not changed: each reads the state of its version when it is used. Raises NotFound, and RuleBroken
    when it is already recalled.
    """
    require(actor, Action.HANDOUT_RECALL)
    handout_version = db.session.scalar(
        sa.select(HandoutVersion).where(HandoutVersion.id == handout_version_id).with_for_update()
    )
    if handout_version is None:
        raise NotFound
    if handout_version.recalled_at is not None:
        raise RuleBroken(
            Reason(
                "already_recalled",
                "This version has already been recalled.",
                "The handout’s page explains why.",
            )
        )
    handout_version.recalled_at, handout_version.recalled_by, handout_version.recall_reason = (
        now(),
        actor.id,
        reason,
    )
    db.session.flush()
    record(
        actor,
        Action.HANDOUT_RECALL,
        "handout_version",
        handout_version_id,
        details={
            "slug": handout_version.slug,
            "language": handout_version.language,
            "number": handout_version.number,
        },
    )


def hide_handout(actor: Actor, slug: str) -> None:
    """Hide a handout from every list; assignments stay.

    Raises NotFound, and RuleBroken when it is already hidden, or when it is a safety handout of the library and the
    practice has not published a safety handout based on it with the same hold mark in each of its languages.
    """
    require(actor, Action.HANDOUT_HIDE)
    _require_published(slug)
    lock_practice_row()
    if find_hidden_handout(slug) is not None:
        raise RuleBroken(
            Reason(
                "already_hidden", "This handout is already hidden.", "There is nothing left to do."
            )
        )
    if missing := find_unreplaced_languages(slug):
        named = " and ".join(LANGUAGES[language] for language in missing)
        raise RuleBroken(
            Reason(
                "safety_handout",
                f"This is a safety handout, and no practice handout replaces it in {named}.",
                "First publish a practice handout based on this one. It must also be a safety handout and be "
                "allowed during the same holds.",
            )
        )
    db.session.add(HiddenHandout(slug=slug, hidden_at=now(), hidden_by=actor.id))
    db.session.flush()
    record(actor, Action.HANDOUT_HIDE, "handout", details={"slug": slug, "hidden": True})


def show_handout(actor: Actor, slug: str) -> None:
    """Show a hidden handout in the lists again.

    Raises NotFound, and RuleBroken when it is not hidden.
    """
    require(actor, Action.HANDOUT_HIDE)
    _require_published(slug)
    found = find_hidden_handout(slug)
    if found is None:
        raise RuleBroken(Reason("not_hidden", "This handout is not hidden.", "You can assign it."))
    db.session.delete(found)
    db.session.flush()
    record(actor, Action.HANDOUT_HIDE, "handout", details={"slug": slug, "hidden": False})


def _require_published(slug: str) -> None:
    if (
        db.session.scalar(sa.select(HandoutVersion.id).where(HandoutVersion.slug == slug).limit(1))
        is None
    ):
        raise NotFound
