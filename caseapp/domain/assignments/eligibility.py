"""Asked: what may be given in a case now, and what stands against it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import week_of
from caseapp.core.database import db
from caseapp.core.errors import Reason
from caseapp.core.permissions import Action
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.recommendations import Advice, reading_of, suggest
from caseapp.domain.assignments.schemas import Offer
from caseapp.domain.assignments.suitability import (
    CAREFUL,
    REFUSE,
    Situation,
    Verdict,
    judge,
    situation_of,
)
from caseapp.domain.handouts.models import Edition
from caseapp.domain.handouts.queries import HIDDEN, RECALLED, LibraryItem, newest_editions, texts_of
from caseapp.domain.handouts.rendering import empty_block_reason, empty_blocks
from caseapp.domain.practice.queries import Numbers, office, today

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseHead
    from caseapp.domain.handouts.library import Handout


IN_PERSON_ONLY = "in_person"


@dataclass(frozen=True)
class Live:
    """Show one sheet that a client has; what is stopped, or was read in the room, is not unread."""

    handout: Handout
    unread: bool
    due_on: date | None


def verdict_of(
    handout: Handout, situation: Situation, known: Numbers, stage: str | None = None
) -> Verdict:
    """Judge a handout, and refuse it as well when a block of help lines would stand empty."""
    verdict = judge(handout, situation, stage=stage)
    if empty := empty_blocks(handout, known):
        before = verdict.reasons if verdict.outcome == REFUSE else ()
        return Verdict(REFUSE, (*before, *map(empty_block_reason, empty)), ())
    return verdict


def situation_in(head: CaseHead) -> Situation:
    """Gather the situation of a case that was found for somebody who may see it."""
    return situation_of(
        head.safety, head.facts, in_person_only=IN_PERSON_ONLY in head.client.safe.channels
    )


def what_stops(
    handout: Handout, channel: str, situation: Situation, known: Numbers
) -> tuple[Reason, ...]:
    """List why a handout must not reach the client by a channel at this moment; empty when it may."""
    verdict = verdict_of(handout, situation, known)
    if verdict.outcome == REFUSE or channel not in verdict.channels:
        return verdict.reasons
    return ()


def offers_for(
    actor: Actor, head: CaseHead, stage: str | None = None, language: str | None = "en"
) -> list[Offer]:
    """Judge the library for a case; `stage` narrows it to sheets that fit a stage, None gives all."""
    require(actor, Action.ASSIGNMENT_READ)
    situation, known = situation_in(head), office().numbers
    given = {
        (row.slug, row.language)
        for row in db.session.execute(
            sa.select(Edition.slug, Edition.language)
            .join(Assignment, Assignment.edition_id == Edition.id)
            .where(Assignment.client_id == head.case.client_id, Assignment.withdrawn_at.is_(None))
        )
    }
    return [
        Offer(
            item.handout,
            item.edition_id,
            verdict_of(item.handout, situation, known, head.case.stage),
            (item.handout.id, item.handout.language) in given,
            item.reviewed,
        )
        for item in newest_editions()
        if (stage is None or item.handout.fits(stage))
        and (language is None or item.handout.language == language)
    ]


def advice_for(actor: Actor, head: CaseHead, language: str = "en") -> Advice:
    """Propose what to give next in a case, in a fixed number of statements; a closed case gets nothing new."""
    levels = head.safety.last.levels if head.safety.last else {}
    live, this = live_in(head), week_of(today())
    unread = [
        one.handout
        for one in live
        if one.unread and (one.due_on is None or week_of(one.due_on) <= this)
    ]
    if head.case.status != "open":
        return Advice(reading_of(levels, unread))
    given = {one.handout.id for one in live}
    offers = [
        replace(offer, given=offer.handout.id in given)
        for offer in offers_for(actor, head, language=language)
    ]
    return suggest(offers, stage=head.case.stage, levels=levels, unread=unread)


def live_in(head: CaseHead) -> list[Live]:
    """List what a client has and what of it is still to be read, for those who have already been let in."""
    rows = db.session.execute(
        sa.select(
            Edition.sha256,
            Edition.recalled_at,
            Assignment.channel,
            Assignment.read_at,
            Assignment.due_on,
        )
        .join(Edition, Edition.id == Assignment.edition_id)
        .where(Assignment.client_id == head.case.client_id, Assignment.withdrawn_at.is_(None))
    ).all()
    texts = texts_of(row.sha256 for row in rows)
    situation, known = situation_in(head), office().numbers
    return [
        Live(
            texts[row.sha256],
            row.read_at is None
            and row.channel != IN_PERSON_ONLY
            and row.recalled_at is None
            and not what_stops(texts[row.sha256], row.channel, situation, known),
            row.due_on,
        )
        for row in rows
    ]


def objections(
    head: CaseHead,
    item: LibraryItem,
    situation: Situation,
    known: Numbers,
    channel: str,
    *,
    confirmed: bool,
) -> list[Reason]:
    """List what stands against giving a sheet in a case now; empty when nothing does."""
    verdict = verdict_of(item.handout, situation, known, head.case.stage)
    has_it = head.case.client_id in who_has(item, channel, {head.case.client_id})
    return stands_against(item, verdict, channel, has_it=has_it, confirmed=confirmed)


def stands_against(
    item: LibraryItem, verdict: Verdict, channel: str, *, has_it: bool, confirmed: bool
) -> list[Reason]:
    """List what stands against giving a sheet that was judged; a pure function."""
    if item.recalled_at is not None:
        return [RECALLED]
    if item.hidden:
        return [HIDDEN]
    if verdict.outcome == REFUSE:
        return [*verdict.reasons]
    if channel not in verdict.channels:
        return _channel_refused(verdict)
    if has_it:
        return [
            Reason(
                "already_given",
                "The client already has this sheet in this way.",
                "Open it under Handouts to print it again.",
            )
        ]
    if verdict.outcome == CAREFUL and not confirmed:
        return [
            Reason(
                "confirm_needed",
                "This sheet asks for care.",
                "Read why, and confirm that you want to give it.",
            ),
            *verdict.reasons,
        ]
    return []


def _channel_refused(verdict: Verdict) -> list[Reason]:
    about = [r for r in verdict.reasons if r.code in {"in_session_only", "by_hand_only"}]
    return about or [
        Reason("channel_not_offered", "This sheet is not given in this way.", "Choose another way.")
    ]


def who_has(item: LibraryItem, channel: str, client_ids: Collection[UUID]) -> set[UUID]:
    """Name those of some clients who have an edition by a channel already."""
    return set(
        db.session.scalars(
            sa.select(Assignment.client_id).where(
                Assignment.client_id.in_(client_ids),
                Assignment.edition_id == item.edition_id,
                Assignment.channel == channel,
                Assignment.withdrawn_at.is_(None),
            )
        )
    )
