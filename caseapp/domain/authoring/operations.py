"""Operations on drafts of practice handouts: create, save, review, publish and discard."""

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
from caseapp.domain.authoring.models import HandoutDraft, HandoutDraftRevision
from caseapp.domain.authoring.queries import (
    NOT_IN_REVIEW,
    OPEN_STATES,
    build_draft_source,
    get_draft,
    list_author_ids,
    list_publish_blockers,
)
from caseapp.domain.authoring.rules import find_problems, require_clinician
from caseapp.domain.authoring.schemas import NO_CLINICIAN, Approval
from caseapp.domain.authoring.source import (
    FIRST_CHANGE,
    STARTER_BODY,
    DraftContent,
    HandoutKey,
    build_source,
    copy_content,
    read_content,
)
from caseapp.domain.handouts.bars import list_points_to_accept
from caseapp.domain.handouts.library import (
    PRACTICE_PREFIX,
    ClinicianDecision,
    Handout,
    parse_handout,
)
from caseapp.domain.handouts.operations import hide_handout, publish_version, record_review
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.practice.queries import lock_practice_row, today

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.authoring.schemas import NewDraft

UNTITLED = "Untitled"
DRAFT_OPEN = Reason(
    "draft_open",
    "There is already an open draft of this handout.",
    "Continue it under Practice handouts.",
)
IN_REVIEW = Reason(
    "in_review",
    "This draft is waiting for approval and can’t be changed.",
    "Withdraw it first, or ask the approver to return it.",
)
NOT_AN_AUTHOR = Reason(
    "not_an_author",
    "Only an author can withdraw a draft.",
    "Return it with a reason instead.",
)
CLOSED_MESSAGES = {
    "published": "This draft has already been published.",
    "discarded": "This draft has been discarded.",
}


def create_draft(actor: Actor, new: NewDraft) -> UUID:
    """Create a draft of a new practice handout from the starter text and return its id."""
    require(actor, Action.HANDOUT_WRITE)
    content = DraftContent(
        title=new.title,
        kind="guide",
        change=FIRST_CHANGE[new.language],
        body=STARTER_BODY[new.language],
    )
    lock_practice_row()
    return _create(actor, HandoutKey(_next_slug(), new.language, None), content, None)


def create_draft_from_version(actor: Actor, slug: str, language: str) -> UUID:
    """Create a draft from the newest version of a handout and return its id.

    For a practice handout it becomes the next version, for a library handout a practice handout based on it.
    Raises NotFound, and RuleBroken while there is an open draft of the next version.
    """
    require(actor, Action.HANDOUT_WRITE)
    handout = get_handout_version(slug, language).handout
    lock_practice_row()
    if not handout.is_practice_handout:
        content = copy_content(handout, FIRST_CHANGE[language])
        return _create(actor, HandoutKey(_next_slug(), language, slug), content, None)
    if _has_open_draft(slug, language):
        raise RuleBroken(DRAFT_OPEN)
    key = HandoutKey(slug, language, handout.based_on)
    return _create(actor, key, copy_content(handout, ""), handout)


def _has_open_draft(slug: str, language: str) -> bool:
    query = sa.select(HandoutDraft.id).where(
        HandoutDraft.slug == slug,
        HandoutDraft.language == language,
        HandoutDraft.state.in_(OPEN_STATES),
    )
    return db.session.scalar(query) is not None


def _next_slug() -> str:
    """Return the next free slug; that of a discarded draft is not used again."""
    taken = db.session.scalars(sa.select(HandoutDraft.slug).distinct())
    return f"{PRACTICE_PREFIX}{max((int(slug.removeprefix(PRACTICE_PREFIX)) for slug in taken), default=0) + 1:02}"


def _create(actor: Actor, key: HandoutKey, content: DraftContent, previous: Handout | None) -> UUID:
    moment = now()
    draft = HandoutDraft(
        id=new_id(),
        slug=key.slug,
        language=key.language,
        number=previous.version + 1 if previous else 1,
        based_on=key.based_on,
        title=content.title or UNTITLED,
        source=build_source(content, key, today(), previous),
        state="draft",
        created_at=moment,
        updated_at=moment,
    )
    db.session.add(draft)
    _add_revision(actor, Action.HANDOUT_WRITE, draft, "created")
    return draft.id


def save_draft(actor: Actor, draft_id: UUID, content: DraftContent, expected_version: int) -> int:
    """Save the content of a draft, finished or not, and return the draft's new version.

    Raises NotFound, Stale, and RuleBroken when the draft is in review or closed.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _get_editable_draft(actor, draft_id)
    if content == read_content(draft.source):
        # Unchanged content is not saved again, so that sending a form twice does no harm.
        return draft.version
    set_committed_value(draft, "version", expected_version)
    draft.source = build_draft_source(draft, content)
    draft.title = content.title or UNTITLED
    _add_revision(actor, Action.HANDOUT_WRITE, draft, "saved")
    return draft.version


def submit_for_review(actor: Actor, draft_id: UUID, expected_version: int) -> None:
    """Submit a draft without problems for approval by a second person.

    Raises NotFound, Stale, RuleBroken when the draft is in review or closed, and Invalid with its problems by field.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _get_editable_draft(actor, draft_id)
    _parse_checked(draft.source)
    _change_state(actor, Action.HANDOUT_WRITE, draft, "in_review", "submitted", expected_version)


def withdraw_from_review(actor: Actor, draft_id: UUID, expected_version: int) -> None:
    """Take a draft out of review so that its authors can change it; only an author can do this.

    Raises NotFound, Stale, and RuleBroken when the draft is not in review or the actor is not an author.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _get_draft_in_review(actor, draft_id)
    if actor.id not in list_author_ids(draft.id):
        raise RuleBroken(NOT_AN_AUTHOR)
    _change_state(actor, Action.HANDOUT_WRITE, draft, "draft", "withdrawn", expected_version)


def return_draft(actor: Actor, draft_id: UUID, reason: str, expected_version: int) -> None:
    """Return a draft in review to its authors with a reason.

    Raises NotFound, Stale, and RuleBroken when the draft is not in review.
    """
    require(actor, Action.HANDOUT_APPROVE)
    draft = _get_draft_in_review(actor, draft_id)
    _change_state(
        actor, Action.HANDOUT_APPROVE, draft, "draft", "returned", expected_version, reason
    )


def discard_draft(actor: Actor, draft_id: UUID, expected_version: int) -> None:
    """Discard a draft for good; its history stays.

    Raises NotFound, Stale, and RuleBroken when the draft is in review or closed.
    """
    require(actor, Action.HANDOUT_WRITE)
    draft = _get_editable_draft(actor, draft_id)
    _change_state(actor, Action.HANDOUT_WRITE, draft, "discarded", "discarded", expected_version)


def publish_draft(
    actor: Actor, draft_id: UUID, expected_version: int, approval: Approval = NO_CLINICIAN
) -> UUID:
    """Approve a draft in review, publish it as the next version of its handout, and return that version's id.

    A clinician whom the approval names has reviewed it and accepts that it is laxer than what it inherits. The library
    handout that it is based on is hidden if asked for. All of it happens in one transaction. Raises NotFound, Stale,
    Invalid when the draft no longer passes the checks or a clinician has to be named, and RuleBroken when it is not in
    review, the actor is an author, or the original can't be hidden.
    """
    require(actor, Action.HANDOUT_APPROVE)
    draft = get_draft(actor, draft_id)
    if blockers := list_publish_blockers(actor, draft):
        raise RuleBroken(*blockers)
    # A version is dated on the day of its approval.
    content, review = read_content(draft.source), approval.review
    draft.source = build_draft_source(draft, content)
    handout = _parse_checked(draft.source)
    require_clinician(handout, review.clinician if review else None)
    if review and (points := list_points_to_accept(handout)):
        accepted = tuple(point.code for point in points)
        decision = ClinicianDecision(review.clinician, review.reviewed_on, accepted)
        draft.source = build_draft_source(draft, content, decision)
        handout = parse_handout(draft.source)
    # Of two simultaneous approvals, the second fails here, at the draft's version, before another version is published.
    _change_state(actor, Action.HANDOUT_APPROVE, draft, "published", "published", expected_version)
    handout_version_id = publish_version(handout)
    if review:
        record_review(actor, handout_version_id, review)
    if approval.hide_original and draft.based_on:
        hide_handout(actor, draft.based_on)
    return handout_version_id


def _parse_checked(source: str) -> Handout:
    """Parse a source that must have no problems; raises Invalid with the problems by form field."""
    if problems := find_problems(source, today()):
        raise Invalid(problems, "This draft is not ready yet.")
    return parse_handout(source)


def _get_editable_draft(actor: Actor, draft_id: UUID) -> HandoutDraft:
    draft = get_draft(actor, draft_id)
    if draft.state == "in_review":
        raise RuleBroken(IN_REVIEW)
    if draft.state != "draft":
        raise RuleBroken(Reason("draft_closed", CLOSED_MESSAGES[draft.state], "Start a new draft."))
    return draft


def _get_draft_in_review(actor: Actor, draft_id: UUID) -> HandoutDraft:
    draft = get_draft(actor, draft_id)
    if draft.state != "in_review":
        raise RuleBroken(NOT_IN_REVIEW)
    return draft


def _change_state(
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
    _add_revision(actor, action, draft, kind, reason)


def _add_revision(
    actor: Actor, action: Action, draft: HandoutDraft, kind: str, reason: str | None = None
) -> None:
    """Record an action on a draft in its history and in the audit log, in the action's own transaction."""
    draft.updated_at = now()
    db.session.flush()
    last = db.session.scalar(
        sa.select(sa.func.max(HandoutDraftRevision.number)).where(
            HandoutDraftRevision.draft_id == draft.id
        )
    )
    db.session.add(
        HandoutDraftRevision(
            draft_id=draft.id,
            number=(last or 0) + 1,
            kind=kind,
            recorded_at=draft.updated_at,
            recorded_by=actor.id,
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
        details={"slug": draft.slug, "language": draft.language, "revision": kind},
    )
