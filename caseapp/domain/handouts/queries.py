"""Queries about the library and its published versions."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db, kept_in_session
from caseapp.core.errors import NotFound, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.text import fold_for_search
from caseapp.domain.handouts.bars import get_bars
from caseapp.domain.handouts.library import (
    LANGUAGES,
    SAFETY_HANDOUT,
    Handout,
    library,
    parse_handout,
)
from caseapp.domain.handouts.models import HandoutVersion, HandoutVersionReview, HiddenHandout
from caseapp.domain.handouts.rules import RECALLED
from caseapp.domain.handouts.variants import for_reader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime
    from uuid import UUID

SLUG = re.compile(r"[a-z][a-z0-9-]{2,59}")


@dataclass(frozen=True)
class LibraryItem:
    """A handout version with its latest review, if there is one."""

    handout: Handout
    handout_version_id: UUID
    published_at: datetime
    reviewed: HandoutVersionReview | None
    recalled_at: datetime | None = None
    recall_reason: str | None = None
    hidden: bool = False


_texts: dict[str, Handout] = {}


def get_handouts_by_hash(hashes: Iterable[str]) -> dict[str, Handout]:
    """Get handouts by the SHA-256 of their source, each in the variant for whoever reads now.

    Each is parsed once per process, as a source never changes.
    """
    if not _texts:
        _texts.update({handout.sha256: handout for handout in library().values()})
    wanted = set(hashes)
    if missing := wanted - _texts.keys():
        rows = db.session.execute(
            sa.select(HandoutVersion.sha256, HandoutVersion.source).where(
                HandoutVersion.sha256.in_(missing)
            )
        )
        _texts.update({row.sha256: parse_handout(row.source) for row in rows})
    return {sha256: for_reader(_texts[sha256]) for sha256 in wanted}


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


def _items(rows: Iterable[Any]) -> list[LibraryItem]:
    """Build the items from rows of `_select_versions`: the last review of a version is its latest."""
    newest = {row.id: row for row in rows}
    texts = get_handouts_by_hash(row.sha256 for row in newest.values())
    return [
        LibraryItem(
            texts[row.sha256],
            row.id,
            row.published_at,
            row.HandoutVersionReview,
            row.recalled_at,
            row.recall_reason,
        )
        for row in newest.values()
    ]


def _select_versions(*where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """Select versions by number, each with its reviews in order and with the slug of a hidden handout."""
    return (
        sa.select(*VERSION_COLUMNS, HandoutVersionReview, HiddenHandout.slug.label("hidden_slug"))
        .outerjoin(
            HandoutVersionReview, HandoutVersionReview.handout_version_id == HandoutVersion.id
        )
        .outerjoin(HiddenHandout, HiddenHandout.slug == HandoutVersion.slug)
        .where(*where)
        .order_by(HandoutVersion.number, HandoutVersionReview.reviewed_on, HandoutVersionReview.id)
    )


def is_reviewed() -> sa.Exists:
    """Build the condition that a licensed clinician has reviewed a selected version."""
    return sa.exists().where(HandoutVersionReview.handout_version_id == HandoutVersion.id)


def load_library() -> list[LibraryItem]:
    """Load the newest version of every handout, ordered by code and language, in one statement.

    A handout whose newest version is recalled is left out: an older version must not replace a recalled one.
    """
    rows = db.session.execute(_select_versions()).all()
    newest = {(row.slug, row.language): row for row in rows}
    items = sorted(
        _items(row for row in newest.values() if row.recalled_at is None),
        key=lambda item: (item.handout.code, item.handout.language),
    )
    hidden = _hidden_slugs(
        [item.handout for item in items], {row.hidden_slug for row in newest.values()} - {None}
    )
    return [replace(item, hidden=item.handout.id in hidden) for item in items]


get_library = kept_in_session(load_library)


def list_newest_versions(*, hidden: bool = False) -> list[LibraryItem]:
    """List the newest version of every visible handout, or of every hidden one, ordered by code and language."""
    return [item for item in get_library() if item.hidden is hidden]


def _hidden_slugs(known: Collection[Handout], marked: Collection[str]) -> set[str]:
    """Tell which of the handouts marked as hidden are hidden now.

    A safety handout is shown again once no practice handout replaces it.
    """
    return set(marked) - {
        handout.id
        for handout in known
        if handout.id in marked and not _may_be_hidden(handout, known, marked)
    }


def _may_be_hidden(handout: Handout, known: Iterable[Handout], hidden: Collection[str]) -> bool:
    """Return whether a handout may be hidden: a safety handout only while a practice handout replaces it."""
    return (
        handout.is_practice_handout
        or handout.kind != SAFETY_HANDOUT
        or any(
            replacement.id not in hidden
            and (replacement.based_on, replacement.language) == (handout.id, handout.language)
            and replacement.kind == handout.kind
            and get_bars(replacement).hold_ok == get_bars(handout).hold_ok
            for replacement in known
        )
    )


def find_unreplaced_languages(slug: str) -> list[str]:
    """List the languages in which a safety handout may not be hidden, because no practice handout replaces it.

    The caller holds the practice's lock.
    """
    known = [item.handout for item in load_library()]
    hidden = set(db.session.scalars(sa.select(HiddenHandout.slug)))
    return [
        handout.language
        for handout in known
        if handout.id == slug and not _may_be_hidden(handout, known, hidden)
    ]


def list_handouts(
    actor: Actor,
    stage: str | None = None,
    q: str | None = None,
    language: str | None = None,
    *,
    hidden: bool = False,
) -> list[LibraryItem]:
    """List the library filtered by stage, search text `q` and language; handouts for any stage fit every stage.

    `hidden` lists hidden handouts instead, for users who may show them again.
    """
    require(actor, Action.HANDOUT_HIDE if hidden else Action.HANDOUT_READ)
    terms = fold_for_search(q or "").split()
    return [
        item
        for item in list_newest_versions(hidden=hidden)
        if (language is None or item.handout.language == language)
        and (stage is None or item.handout.fits(stage))
        and all(term in _search_text(item.handout) for term in terms)
    ]


def _search_text(handout: Handout) -> str:
    return fold_for_search(
        f"{handout.code} {handout.title} {handout.alias or ''} {handout.summary} {handout.kind}"
    )


def get_handout_version(slug: str, language: str = "en", number: int | None = None) -> LibraryItem:
    """Get one version of a handout, the newest unless a number is given; a version holds no personal data.

    Raises NotFound.
    """
    if not SLUG.fullmatch(slug) or language not in LANGUAGES:
        raise NotFound
    where = [HandoutVersion.slug == slug, HandoutVersion.language == language]
    if number is not None:
        where.append(HandoutVersion.number == number)
    rows = db.session.execute(_select_versions(*where)).all()
    if not rows:
        raise NotFound
    *_, newest = _items(rows)
    return replace(newest, hidden=rows[-1].hidden_slug is not None and _is_hidden(slug))


def _is_hidden(slug: str) -> bool:
    """Tell whether a handout that is marked as hidden is hidden now."""
    return not any(item.handout.id == slug and not item.hidden for item in load_library())


def get_handout_version_by_id(handout_version_id: UUID) -> LibraryItem:
    """Get the version that a record refers to.

    Raises NotFound.
    """
    found = _items(db.session.execute(_select_versions(HandoutVersion.id == handout_version_id)))
    if not found:
        raise NotFound
    return found[0]


def require_not_recalled(item: LibraryItem) -> Handout:
    """Return the handout of a version.

    Raises RuleBroken when the version is recalled.
    """
    if item.recalled_at is not None:
        raise RuleBroken(RECALLED)
    return item.handout


def list_versions(actor: Actor, slug: str) -> list[LibraryItem]:
    """List every published version of a handout, by language, newest first."""
    require(actor, Action.HANDOUT_READ)
    found = _items(db.session.execute(_select_versions(HandoutVersion.slug == slug)))
    newest_first = sorted(found, key=lambda item: item.handout.version, reverse=True)
    return sorted(newest_first, key=lambda item: item.handout.language)


def find_hidden_handout(slug: str) -> HiddenHandout | None:
    """Find who hid a handout and when; None when it is not hidden."""
    return db.session.get(HiddenHandout, slug)
