"""Asked: one sheet judged for many cases at once, the words for each reason, and how far a giving is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason
from caseapp.core.permissions import Action
from caseapp.domain.assignments.eligibility import situation_in, stands_against, verdict_of, who_has
from caseapp.domain.assignments.suitability import CAREFUL, GIVE, HOW, REFUSE
from caseapp.domain.bulk_assignments.models import LEFT_OUT, Giving, GivingItem
from caseapp.domain.bulk_assignments.schemas import GivingItemRecord, GivingRecord
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import CaseHead, case_heads
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import visible_to
from caseapp.domain.handouts.queries import edition_with
from caseapp.domain.practice.queries import Numbers, office
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import coached_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.handouts.queries import LibraryItem

CLOSED = Reason("case_closed", "This case is closed.", "Reopen it first.")
# What a giving stores are codes; these are their words where the sheet itself has none.
WORDS = {
    "already_given": "The client already has this sheet in this way.",
    "by_hand_only": "No safe way to send anything is confirmed, so it only changes hands in the room.",
    "case_closed": "The case is closed.",
    "case_gone": "The case is no longer in the care of whoever asked.",
    "channel_not_offered": "This sheet is not given in this way.",
    "contact_block": "Contact is barred at present.",
    "fault": "Something went wrong here, and nothing was given. Try it from the case.",
    "hidden": "The practice has hidden this sheet.",
    "help_lines_empty": "The sheet names help numbers that the practice has not listed.",
    "hold_open": "A hold is open.",
    "in_session_only": "Only together, in the room.",
    "later_stage": "The sheet belongs to a later stage.",
    "never_screened": "There is no screening yet.",
    "not_confirmed": "It asked for care and was not confirmed.",
    "recalled": "The practice has recalled this version.",
    "safety_screen_older_than_14_days": "The last screening is more than 14 days old.",
    "safety_screen_unknown": "A safety question was left out the last time.",
    "sender_gone": "Whoever asked for this may no longer give handouts.",
}


@dataclass(frozen=True)
class Candidate:
    """Say whether one case can get a sheet now: give, careful or refuse, and why not or why with care."""

    head: CaseHead
    outcome: str
    reasons: tuple[Reason, ...]

    @property
    def codes(self) -> list[str]:
        """Give the reasons as they are stored."""
        return list(dict.fromkeys(reason.code for reason in self.reasons))


def candidates_for(
    actor: Actor, item: LibraryItem, channel: str, case_ids: Iterable[UUID]
) -> list[Candidate]:
    """Judge a sheet for many cases by name, in a fixed number of statements; cases not the actor's are left away."""
    require(actor, Action.ASSIGNMENT_MAKE)
    heads = sorted(case_heads(actor, case_ids), key=lambda head: (head.client.name, head.case.id))
    having = who_has(item, channel, {head.case.client_id for head in heads})
    known = office().numbers
    return [
        candidate_of(head, item, known, channel, has_it=head.case.client_id in having)
        for head in heads
    ]


def candidate_of(
    head: CaseHead, item: LibraryItem, known: Numbers, channel: str, *, has_it: bool
) -> Candidate:
    """Judge a sheet for one case; a pure function."""
    if head.case.status != "open":
        return Candidate(head, REFUSE, (CLOSED,))
    verdict = verdict_of(item.handout, situation_in(head), known, head.case.stage)
    found = stands_against(item, verdict, channel, has_it=has_it, confirmed=False)
    if not found:
        return Candidate(head, GIVE, ())
    if found[0].code == "confirm_needed":
        return Candidate(head, CAREFUL, tuple(found[1:]))
    return Candidate(head, REFUSE, tuple(found))


def in_words(code: str, handout: Handout) -> Reason:
    """Say a stored code in words: the sheet's own where it has some."""
    own = {found.tag: found.because for found in handout.contraindications}
    return Reason(
        code, own.get(code) or WORDS.get(code, "It does not suit now."), HOW.get(code, "")
    )


def giving_shown(actor: Actor, giving_id: UUID) -> GivingRecord:
    """Show how far a giving is, to whoever asked for it and their supervisor: the cases that they may see.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    row = db.session.execute(
        sa.select(Giving, User.name)
        .join(User, User.id == Giving.made_by)
        .where(Giving.id == giving_id, Giving.made_by.in_(coached_by(actor)))
        .execution_options(populate_existing=True)
    ).first()
    if row is None:
        raise NotFound
    giving: Giving = row.Giving
    handout = edition_with(giving.edition_id).handout
    return GivingRecord(
        id=giving.id,
        handout=handout,
        channel=giving.channel,
        due_on=giving.due_on,
        made_at=giving.made_at,
        made_by=giving.made_by,
        sender=row.name,
        items=[
            GivingItemRecord(
                case_id=item.case_id,
                number=item.number,
                client=item.name,
                state=item.state,
                reasons=tuple(in_words(code, handout) for code in _told(item)),
                assignment_id=item.assignment_id,
                done_at=item.done_at,
            )
            for item in _items(actor, giving_id)
        ],
    )


def _told(item: Any) -> list[str]:  # noqa: ANN401 - a result row
    """Give the codes to show: while a case waits, they are only what was confirmed."""
    return list(item.reasons) if item.state == LEFT_OUT else []


def _items(actor: Actor, giving_id: UUID) -> Sequence[Any]:
    return db.session.execute(
        sa.select(
            GivingItem.case_id,
            Case.number,
            Client.name,
            GivingItem.state,
            GivingItem.reasons,
            GivingItem.assignment_id,
            GivingItem.done_at,
        )
        .join(Case, Case.id == GivingItem.case_id)
        .join(Client, Client.id == GivingItem.client_id)
        .where(GivingItem.giving_id == giving_id, GivingItem.client_id.in_(visible_to(actor)))
        .order_by(Client.name, GivingItem.id)
    ).all()
