"""Done: handouts assigned, replaced, read and withdrawn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now, week_of
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal
from caseapp.domain.assignments.eligibility import live_in, objections, situation_in
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import get_assignment
from caseapp.domain.assignments.reading import reading
from caseapp.domain.assignments.recommendations import (
    FURTHEST,
    counts,
    first_week,
    reading_of,
    spread,
)
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.queries import CaseHead, case_head
from caseapp.domain.clients.models import Client
from caseapp.domain.handouts.models import Edition
from caseapp.domain.handouts.queries import LibraryItem, edition_of
from caseapp.domain.practice.queries import Numbers, office, today

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.assignments.schemas import NewAssignment
    from caseapp.domain.assignments.suitability import Situation


def assign(
    actor: Actor,
    case_id: UUID,
    slug: str,
    *,
    line: str,
    channel: str,
    confirmed: bool = False,
    language: str = "en",
    due_on: date | None = None,
) -> UUID:
    """Give the newest edition of a handout to a case's client; the assignment keeps that edition for ever.

    Raises NotFound, Invalid for a day out of reach, and RuleBroken with every reason: it does not suit, the channel is
    not safe, the client has it already, the case is closed; or `confirm_needed` when it asks for care and `confirmed`
    is False.
    """
    head, situation, known = _open_case(actor, case_id)
    item = edition_of(slug, language)
    if reasons := objections(head, item, situation, known, channel, confirmed=confirmed):
        raise RuleBroken(*reasons)
    return give_out(actor, head, item, line, channel, day_in_reach(due_on), now())


def assign_several(actor: Actor, case_id: UUID, wanted: NewAssignment) -> list[UUID]:
    """Give several handouts in one step, each judged for itself; with `spread`, one after another over the weeks.

    What may not be given is left out. Nothing is given when one of them asks for care that is not confirmed yet, so
    that the coach looks once more. Raises NotFound, Invalid for a day out of reach, and RuleBroken with the reasons,
    each naming its sheet, when care is to be confirmed or nothing at all may be given.
    """
    head, situation, known = _open_case(actor, case_id)
    start = day_in_reach(wanted.due_on)
    fit, unsure, refused = [], [], []
    for item in (edition_of(slug, wanted.language) for slug in wanted.slugs):
        found = objections(head, item, situation, known, wanted.channel, confirmed=wanted.confirmed)
        named = [Reason(r.code, f"{item.handout.title}: {r.message}", r.how) for r in found]
        if not found:
            fit.append(item)
        elif found[0].code == "confirm_needed":
            unsure += named
        else:
            refused += named
    if unsure or not fit:
        raise RuleBroken(*unsure, *refused)
    weeks = _weeks(head, fit, start) if wanted.spread else [start] * len(fit)
    moment = now()
    return [
        give_out(actor, head, item, wanted.line, wanted.channel, week, moment)
        for item, week in zip(fit, weeks, strict=True)
    ]


def day_in_reach(due_on: date | None) -> date | None:
    """Check the day that a sheet is meant for.

    Raises Invalid.
    """
    if due_on is not None and not week_of(today()) <= due_on <= today() + FURTHEST:
        raise Invalid({"due_on": ["Choose a day from this week on, at most half a year ahead."]})
    return due_on


def _weeks(head: CaseHead, items: list[LibraryItem], start: date | None) -> list[date | None]:
    """Lay the sheets into the coming weeks, beside what the client still has to read in each."""
    begin = week_of(start or first_week(today()))
    taken: Counter[date] = Counter()
    for one in live_in(head):
        if one.unread and counts(one.handout):
            week = week_of(one.due_on) if one.due_on else begin
            taken[max(week, begin)] += one.handout.minutes
    levels = head.safety.last.levels if head.safety.last else {}
    budget = reading_of(levels, []).budget
    return spread([item.handout for item in items], budget=budget, taken=taken, start=begin)


def _open_case(actor: Actor, case_id: UUID) -> tuple[CaseHead, Situation, Numbers]:
    require(actor, Action.ASSIGNMENT_MAKE)
    head = case_head(actor, case_id)
    if head.case.status != "open":
        raise RuleBroken(Reason("case_closed", "This case is closed.", "Reopen it first."))
    # Two assignments made at once wait for each other here: they must not get the same number.
    db.session.execute(
        sa.select(Client.id).where(Client.id == head.case.client_id).with_for_update()
    )
    return head, situation_in(head), office().numbers


def give_out(
    actor: Actor,
    head: CaseHead,
    item: LibraryItem,
    line: str,
    channel: str,
    due_on: date | None,
    moment: datetime,
) -> UUID:
    """Write down that a case gets a sheet that was judged for it; the client's row is locked already."""
    client_id = head.case.client_id
    last = db.session.scalar(
        sa.select(sa.func.max(Assignment.place)).where(Assignment.client_id == client_id)
    )
    row = Assignment(
        id=new_id(),
        case_id=head.case.id,
        client_id=client_id,
        edition_id=item.edition_id,
        place=(last or 0) + 1,
        stage=head.case.stage,
        channel=channel,
        levels=dict(head.safety.last.levels) if head.safety.last else {},
        due_on=due_on,
        assigned_at=moment,
        assigned_by=actor.id,
    )
    row.line = seal(row, "line", line.strip() or None, head.key)
    db.session.add(row)
    db.session.flush()
    record(
        actor,
        Action.ASSIGNMENT_MAKE,
        "assignment",
        row.id,
        client_id=client_id,
        details={
            "slug": item.handout.id,
            "language": item.handout.language,
            "number": item.handout.version,
            "channel": channel,
            "due_on": due_on.isoformat() if due_on else None,
        },
    )
    return row.id


def withdraw(actor: Actor, assignment_id: UUID, expected_version: int) -> None:
    """Take a handout back: the portal no longer shows it, the record of it stays.

    Raises NotFound, RuleBroken when it was withdrawn before, Stale when it changed meanwhile.
    """
    require(actor, Action.ASSIGNMENT_WITHDRAW)
    row = get_assignment(actor, assignment_id)
    if row.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is already withdrawn."))
    set_committed_value(row, "version", expected_version)
    row.withdrawn_at, row.withdrawn_by = now(), actor.id
    db.session.flush()
    record(actor, Action.ASSIGNMENT_WITHDRAW, "assignment", row.id, client_id=row.client_id)


def replace_older(actor: Actor, assignment_id: UUID, *, line: str, confirmed: bool = False) -> UUID:
    """Replace what a client holds of an older version with the newest, in the same way and for the same week.

    The newest is judged anew. Raises NotFound, and RuleBroken when it is withdrawn, not older, or may not be given now.
    """
    require(actor, Action.ASSIGNMENT_WITHDRAW)
    old = get_assignment(actor, assignment_id)
    head, situation, known = _open_case(actor, old.case_id)
    # Whoever came second waited for the client's row above and must see what the first one did.
    db.session.refresh(old)
    if old.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is already withdrawn."))
    held = db.session.get_one(Edition, old.edition_id)
    item = edition_of(held.slug, held.language)
    if item.handout.version <= held.number:
        raise RuleBroken(Reason("already_newest", "The client holds the newest version."))
    if found := objections(head, item, situation, known, old.channel, confirmed=confirmed):
        raise RuleBroken(*found)
    withdraw(actor, old.id, old.version)
    return give_out(actor, head, item, line, old.channel, old.due_on, now())


def mark_read(actor: Actor, which: UUID | int, expected_version: int | None = None) -> None:
    """Mark a sheet as read: a client by its place in the portal, staff by its id when it went over the table.

    Doing it twice changes nothing. Raises NotFound, Forbidden, what `reading` raises, RuleBroken when staff mark what
    only the client can, Stale when it changed meanwhile.
    """
    if isinstance(which, int):
        require(actor, Action.PORTAL_MARK)
        row, action = _own(actor, reading(actor, which).id), Action.PORTAL_MARK
    else:
        require(actor, Action.ASSIGNMENT_MARK)
        row, action = _given_by_hand(actor, which), Action.ASSIGNMENT_MARK
    if row.read_at is not None:
        return
    if expected_version is not None:
        set_committed_value(row, "version", expected_version)
    row.read_at = now()
    db.session.flush()
    record(actor, action, "assignment", row.id, client_id=row.client_id, details={"read": True})


def _own(actor: Actor, assignment_id: UUID) -> Assignment:
    row = db.session.get(Assignment, assignment_id)
    if row is None or row.client_id != actor.id:
        raise Forbidden("This sheet belongs to somebody else.")
    return row


def _given_by_hand(actor: Actor, assignment_id: UUID) -> Assignment:
    row = get_assignment(actor, assignment_id)
    if row.channel == "portal":
        raise RuleBroken(
            Reason(
                "client_marks_it",
                "In the portal the client says when it is read.",
                "Ask about it the next time you talk.",
            )
        )
    if row.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is withdrawn."))
    return row
