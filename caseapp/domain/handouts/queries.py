"""Asked: the library and its editions."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.text import fold
from caseapp.domain.handouts.library import LANGUAGES, SAFETY_SHEET, Handout, library, parse_handout
from caseapp.domain.handouts.models import HandoutVersion, HandoutVersionReview, HiddenHandout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

SLUG = re.compile(r"[a-z][a-z0-9-]{2,59}")


@dataclass(frozen=True)
class LibraryItem:
    """Show one edition of the library and who has reviewed it, if anybody."""

    handout: Handout
    handout_version_id: UUID
    published_at: datetime
    reviewed: HandoutVersionReview | None
    recalled_at: datetime | None = None
    recall_reason: str | None = None
    hidden: bool = False


_texts: dict[str, Handout] = {}


def get_handouts_by_hash(hashes: Iterable[str]) -> dict[str, Handout]:
    """Give editions by the hash of their text; each is parsed once in a process, since it never changes."""
    if not _texts:
        _texts.update({handout.sha256: handout for handout in library().values()})
    wanted = set(hashes)
    if missing := wanted - _texts.keys():
        rows = db.session.execute(
            sa.select(HandoutVersion.sha256, HandoutVersion.source).where(HandoutVersion.sha256.in_(missing))
        )
        _texts.update({row.sha256: parse_handout(row.source) for row in rows})
    return {sha256: _texts[sha256] for sha256 in wanted}


VERSION_COLUMNS = (
    HandoutVersion.id,
    HandoutVersion.slug,
    HandoutVersion.language,
    HandoutVersion.number,
    HandoutVersion.sha256,
    HandoutVersion.published_at,
    HandoutVersion.recalled_at,
    HandoutVersion.recall_reason,
)
RECALLED = Reason(
    "recalled",
    "The practice has recalled this version.",
    "Its page says why; a newer version or another sheet may do.",
)
HIDDEN = Reason(
    "hidden",
    "The practice has hidden this sheet.",
    "Choose another, or ask a supervisor or an admin to show it again.",
)


def _items(rows: Sequence[Any]) -> list[LibraryItem]:
    reviews: dict[UUID, HandoutVersionReview] = {}
    for review in db.session.scalars(
        sa.select(HandoutVersionReview)
        .where(HandoutVersionReview.handout_version_id.in_([row.id for row in rows]))
        .order_by(HandoutVersionReview.reviewed_on, HandoutVersionReview.id)
    ):
        reviews[review.handout_version_id] = review
    texts = get_handouts_by_hash(row.sha256 for row in rows)
    return [
        LibraryItem(
            texts[row.sha256],
            row.id,
            row.published_at,
            reviews.get(row.id),
            row.recalled_at,
            row.recall_reason,
        )
        for row in rows
    ]


def list_newest_versions(*, hidden: bool = False) -> list[LibraryItem]:
    """List the newest edition of everything that the practice shows, or of what it hides, in the library's order.

    Where the newest is recalled the sheet is left out: an older text is no stand-in for one that was taken back.
    """
    items = _newest()
    away = _out_of_sight(item.handout for item in items)
    return [replace(item, hidden=hidden) for item in items if (item.handout.id in away) is hidden]


def _out_of_sight(handouts: Iterable[Handout]) -> set[str]:
    """Name what is hidden now; a safety sheet of the library comes back once nothing of ours stands in for it."""
    slugs = set(db.session.scalars(sa.select(HiddenHandout.slug)))
    known = [*handouts] if slugs else []
    return slugs - {
        handout.id for handout in known if handout.id in slugs and not _may_be_missed(handout, known, slugs)
    }


def _may_be_missed(handout: Handout, known: Iterable[Handout], hidden: set[str]) -> bool:
    """Tell whether a sheet may stay away: a safety sheet of the library only while one of ours does the same for it."""
    return (
        handout.own
        or handout.kind != SAFETY_SHEET
        or any(
            ours.id not in hidden
            and (ours.based_on, ours.language) == (handout.id, handout.language)
            and (ours.kind, ours.hold_ok) == (handout.kind, handout.hold_ok)
            for ours in known
        )
    )


def find_unreplaced_languages(slug: str) -> list[str]:
    """Name the languages in which a sheet may not be hidden: it is for safety, and nothing of ours stands in for it."""
    known = [item.handout for item in _newest()]
    hidden = set(db.session.scalars(sa.select(HiddenHandout.slug)))
    return [
        handout.language
        for handout in known
        if handout.id == slug and not _may_be_missed(handout, known, hidden)
    ]


def _newest() -> list[LibraryItem]:
    newest: dict[tuple[str, str], Any] = {}
    for row in db.session.execute(sa.select(*VERSION_COLUMNS).order_by(HandoutVersion.number)):
        newest[row.slug, row.language] = row
    current = [row for row in newest.values() if row.recalled_at is None]
    found = {(item.handout.id, item.handout.language): item for item in _items(current)}
    return sorted(found.values(), key=lambda item: (item.handout.code, item.handout.language))


def list_handouts(
    actor: Actor,
    stage: str | None = None,
    q: str | None = None,
    language: str | None = None,
    *,
    hidden: bool = False,
) -> list[LibraryItem]:
    """List the library, narrowed to a stage, some words, a language; sheets for any stage fit each.

    What is hidden is listed apart, for those who may show it again.
    """
    require(actor, Action.HANDOUT_HIDE if hidden else Action.HANDOUT_READ)
    words = fold(q or "").split()
    return [
        item
        for item in list_newest_versions(hidden=hidden)
        if (language is None or item.handout.language == language)
        and (stage is None or item.handout.fits(stage))
        and all(word in _searched(item.handout) for word in words)
    ]


def _searched(handout: Handout) -> str:
    return fold(
        f"{handout.code} {handout.title} {handout.alias or ''} {handout.summary} {handout.kind}"
    )


def get_handout_version(slug: str, language: str = "en", number: int | None = None) -> LibraryItem:
    """Give one edition of a handout, the newest unless a number is given; editions tell nothing about anybody.

    Raises NotFound.
    """
    if not SLUG.fullmatch(slug) or language not in LANGUAGES:
        raise NotFound
    query = sa.select(*VERSION_COLUMNS).where(HandoutVersion.slug == slug, HandoutVersion.language == language)
    if number is not None:
        query = query.where(HandoutVersion.number == number)
    row = db.session.execute(query.order_by(HandoutVersion.number.desc()).limit(1)).first()
    if row is None:
        raise NotFound
    return replace(_items([row])[0], hidden=_is_hidden(slug))


def _is_hidden(slug: str) -> bool:
    return db.session.get(HiddenHandout, slug) is not None and slug in _out_of_sight(
        item.handout for item in _newest()
    )


def get_handout_version_by_id(handout_version_id: UUID) -> LibraryItem:
    """Give the edition that a record points at.

    Raises NotFound.
    """
    row = db.session.execute(sa.select(*VERSION_COLUMNS).where(HandoutVersion.id == handout_version_id)).first()
    if row is None:
        raise NotFound
    return _items([row])[0]


def require_not_recalled(item: LibraryItem) -> Handout:
    """Give an edition's text for handing out.

    Raises RuleBroken when it is recalled.
    """
    if item.recalled_at is not None:
        raise RuleBroken(RECALLED)
    return item.handout


def list_versions(actor: Actor, slug: str) -> list[LibraryItem]:
    """List every published edition of a handout in every language, newest first."""
    require(actor, Action.HANDOUT_READ)
    rows = db.session.execute(
        sa.select(*VERSION_COLUMNS)
        .where(HandoutVersion.slug == slug)
        .order_by(HandoutVersion.language, HandoutVersion.number.desc())
    ).all()
    return _items(rows)


def find_hidden_handout(slug: str) -> HiddenHandout | None:
    """Say who hid a sheet and when, if anybody did."""
    return db.session.get(HiddenHandout, slug)
