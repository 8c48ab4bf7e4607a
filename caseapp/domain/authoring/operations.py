"""Done: the practice's own handouts started, written, sent, approved by a second person, or dropped."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.authoring.checks import find_problems
from caseapp.domain.authoring.models import HandoutDraftRevision, HandoutDraft
from caseapp.domain.authoring.queries import (
    NOT_IN_REVIEW,
    OPEN,
    build_draft_source,
    get_author_ids,
    get_draft,
    publish_blockers,
)
from caseapp.domain.authoring.source import (
    STARTER_BODY,
    FIRST_CHANGE,
    HandoutKey,
    DraftContent,
    copy_content,
    build_source,
    read_content,
)
from caseapp.domain.handouts.library import OWN, Handout, parse
from caseapp.domain.handouts.operations import hide_handout, one_at_a_time, publish
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.authoring.schemas import NewDraft

UNTITLED = "Untitled"
BEING_WRITTEN = Reason(
    "draft_open",
    "Somebody is already working on this handout.",
    "Open that draft under Our own handouts.",
)


def create_draft(actor: Actor, new: NewDraft) -> UUID:
    """Start a handout of the practice's own from a bare frame."""
    require(actor, Action.HANDOUT_WRITE)
    text = DraftContent(
        title=new.title, kind="guide", change=FIRST_CHANGE[new.language], body=STARTER_BODY[new.language]
    )
    one_at_a_time()
    return _start(actor, HandoutKey(_next_slug(), new.language, None), text, None)


def create_draft_from_version(actor: Actor, slug: str, language: str) -> UUID:
    """Start from what is published: the next version of one of ours, or our own edition of one of the library's.

    Raises NotFound, and RuleBroken while somebody works on the next version already.
    """
    require(actor, Action.HANDOUT_WRITE)
    from_here = get_handout_version(slug, language).handout
    one_at_a_time()
    if not from_here.own:
        text = copy_content(from_here, FIRST_CHANGE[language])
        return _start(actor, HandoutKey(_next_slug(), language, slug), text, None)
    if _open_draft(slug, language):
        raise RuleBroken(BEING_WRITTEN)
    name = HandoutKey(slug, language, from_here.based_on)
    return _start(actor, name, copy_content(from_here, ""), from_here)


def _open_draft(slug: str, language: str) -> bool:
    query = sa.select(HandoutDraft.id).where(
        HandoutDraft.slug == slug, HandoutDraft.language == language, HandoutDraft.state.in_(OPEN)
    )
    return db.session.scalar(query) is not None


def _next_slug() -> str:
    """Give the next number; a number that was dropped is not used again."""
    taken = db.session.scalars(sa.select(HandoutDraft.slug).distinct())
    return f"{OWN}{max((int(slug.removeprefix(OWN)) for slug in taken), default=0) + 1:02}"


def _start(actor: Actor, name: HandoutKey, text: DraftContent, before: Handout | None) -> UUID:
    moment = now()
    draft = HandoutDraft(
        id=new_id(),
        slug=name.slug,
        language=name.language,
        number=before.version + 1 if before else 1,
        based_on=name.based_on,
        title=text.title or UNTITLED,
        source=build_source(text, name, today(), before),
        state="draft",
        started_at=moment,
        changed_at=moment,
    )
    db.session.add(draft)
    _step(actor, Action.HANDOUT_WRITE, draft, "started")
    return draft.id


def save_draft(actor: Actor, draft_id: UUID, text: DraftContent, expected_version: int) -> int:
    """Save what changed in a draft, finished or not; give its version from here on.

    Raises NotFound, Stale, and RuleBroken when it waits for approval or is done with.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _being_written(actor, draft_id)
    if text == read_content(draft.source):
        # What stands there already is not saved again, so that a form sent twice does no harm.
        return draft.version
    set_committed_value(draft, "version", expected_version)
    draft.source = build_draft_source(draft, text)
    draft.title = text.title or UNTITLED
    _step(actor, Action.HANDOUT_WRITE, draft, "saved")
    return draft.version


def submit_for_review(actor: Actor, draft_id: UUID, expected_version: int) -> None:
    """Send a draft to a second person, once nothing is wrong with it any more.

    Raises NotFound, Stale, RuleBroken when it is not being written, and Invalid naming each place of the editor.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _being_written(actor, draft_id)
    _flawless(draft.source)
    _move(actor, Action.HANDOUT_WRITE, draft, "waiting", "sent", expected_version)


def withdraw_from_review(actor: Actor, draft_id: UUID, expected_version: int) -> None:
    """Take a draft that waits back to the desk, by one of its authors.

    Raises NotFound, Stale, and RuleBroken when it does not wait or the actor has not written in it.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _waiting(actor, draft_id)
    if actor.id not in get_author_ids(draft.id):
        raise RuleBroken(
            Reason(
                "not_the_author",
                "Only somebody who wrote in it takes it back.",
                "Send it back with a reason instead.",
            )
        )
    _move(actor, Action.HANDOUT_WRITE, draft, "draft", "withdrawn", expected_version)


def return_draft(actor: Actor, draft_id: UUID, reason: str, expected_version: int) -> None:
    """Send a draft that waits back to its authors with a reason.

    Raises NotFound, Stale, and RuleBroken when it does not wait.
    """
    require(actor, Action.HANDOUT_APPROVE)
    draft = _waiting(actor, draft_id)
    _move(actor, Action.HANDOUT_APPROVE, draft, "draft", "returned", expected_version, reason)


def discard_draft(actor: Actor, draft_id: UUID, expected_version: int) -> None:
    """Drop a draft for good; its history stays.

    Raises NotFound, Stale, and RuleBroken when it is not being written.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _being_written(actor, draft_id)
    _move(actor, Action.HANDOUT_WRITE, draft, "dropped", "dropped", expected_version)


def publish_draft(
    actor: Actor, draft_id: UUID, expected_version: int, *, hide_original: bool = False
) -> UUID:
    """Publish a draft that waits as the next edition; with `hide_original`, hide what it was copied from as well.

    Everything happens in one transaction or nothing does. Raises NotFound, Stale, Invalid when it would no longer pass
    the checks, and RuleBroken when it does not wait, when the actor wrote in it, or when the original must stay.
    """
    require(actor, Action.HANDOUT_APPROVE)
    draft = get_draft(actor, draft_id)
    if reasons := publish_blockers(actor, draft):
        raise RuleBroken(*reasons)
    # The date of the edition is that of its approval.
    draft.source = build_draft_source(draft, read_content(draft.source))
    handout = _flawless(draft.source)
    # Whoever was a moment slower fails at the draft's version, before there is a second edition.
    _move(actor, Action.HANDOUT_APPROVE, draft, "published", "published", expected_version)
    handout_version_id = publish(handout)
    if hide_original and draft.based_on:
        hide_handout(actor, draft.based_on)
    return handout_version_id


def _flawless(source: str) -> Handout:
    if faults := find_problems(source, today()):
        raise Invalid(faults, "This text is not ready yet.")
    return parse(source)


def _being_written(actor: Actor, draft_id: UUID) -> HandoutDraft:
    draft = get_draft(actor, draft_id)
    if draft.state == "waiting":
        raise RuleBroken(
            Reason(
                "waiting",
                "This text waits for approval and stays as it is.",
                "Take it back first, or have it sent back.",
            )
        )
    if draft.state != "draft":
        raise RuleBroken(Reason("draft_done", f"This draft was {draft.state}."))
    return draft


def _waiting(actor: Actor, draft_id: UUID) -> HandoutDraft:
    draft = get_draft(actor, draft_id)
    if draft.state != "waiting":
        raise RuleBroken(NOT_IN_REVIEW)
    return draft


def _move(
    actor: Actor,
    action: Action,
    draft: HandoutDraft,
    state: str,
    kind: str,
    expected_version: int,
    reason: str | None = None,
) -> None:
    set_committed_value(draft, "version", expected_version)
    draft.state = state
    _step(actor, action, draft, kind, reason)


def _step(
    actor: Actor, action: Action, draft: HandoutDraft, kind: str, reason: str | None = None
) -> None:
    """Write a step into the history and the log, in the transaction of the step itself."""
    draft.changed_at = now()
    db.session.flush()
    last = db.session.scalar(
        sa.select(sa.func.max(HandoutDraftRevision.number)).where(HandoutDraftRevision.draft_id == draft.id)
    )
    db.session.add(
        HandoutDraftRevision(
            draft_id=draft.id,
            number=(last or 0) + 1,
            kind=kind,
            at=draft.changed_at,
            by=actor.id,
            reason=reason,
            sha256=hashlib.sha256(draft.source.encode()).hexdigest(),
            source=draft.source,
        )
    )
    db.session.flush()
    record(
        actor,
        action,
        "handout_draft",
        draft.id,
        details={"slug": draft.slug, "language": draft.language, "step": kind},
    )
