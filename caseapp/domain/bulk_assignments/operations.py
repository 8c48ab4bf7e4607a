"""Done: a giving begun, and carried out case by case by a job, one transaction for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from caseapp.core import outbox
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.core.vault import open_row, seal
from caseapp.domain.assignments.eligibility import who_has
from caseapp.domain.assignments.operations import day_in_reach, give_out
from caseapp.domain.assignments.suitability import CAREFUL, REFUSE
from caseapp.domain.audit.operations import record
from caseapp.domain.bulk_assignments.models import GIVEN, LEFT_OUT, WAITING, Giving, GivingItem
from caseapp.domain.bulk_assignments.queries import candidate_of, candidates_for, in_words
from caseapp.domain.cases.queries import case_head
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.handouts.queries import edition_of, edition_with
from caseapp.domain.practice.queries import office
from caseapp.domain.users.queries import at_work

if TYPE_CHECKING:
    from caseapp.domain.bulk_assignments.queries import Candidate
    from caseapp.domain.bulk_assignments.schemas import NewGiving

GIVE = "giving"
# So few that a delivery ends long before its outbox row counts as forgotten; what is left gets a row of its own.
AT_ONCE = 100
TRIES = 3

log = structlog.get_logger()


class Unfinished(Exception):
    """Some cases of a giving failed and are to be tried again."""


def begin_giving(actor: Actor, slug: str, wanted: NewGiving) -> UUID:
    """Write down who is to get a sheet, judged now, and hand the work to the job; in a fixed number of statements.

    Cases that are not the actor's count as not chosen. Those that may not get it, or ask for care in a way that was
    not read and confirmed, are left out from the start. Raises NotFound, Invalid for a day out of reach, and RuleBroken
    when a newer version came out meanwhile or nobody is left.
    """
    require(actor, Action.ASSIGNMENT_MAKE)
    item = edition_of(slug, wanted.language)
    if wanted.edition is not None and wanted.edition != item.handout.version:
        raise RuleBroken(
            Reason(
                "edition_changed",
                "This version is not the newest any more.",
                "Look at the newest one, then choose again.",
            )
        )
    due_on = day_in_reach(wanted.due_on)
    found = candidates_for(actor, item, wanted.channel, wanted.cases)
    if not found:
        raise NotFound
    giving = Giving(
        id=new_id(),
        slug=slug,
        language=wanted.language,
        edition_id=item.edition_id,
        channel=wanted.channel,
        due_on=due_on,
        made_at=now(),
        made_by=actor.id,
    )
    items = [_item(giving, candidate, wanted) for candidate in found]
    if all(one.state == LEFT_OUT for one in items):
        raise RuleBroken(
            Reason("nobody_left", "None of those you chose can get this sheet like this."),
            *{code: in_words(code, item.handout) for one in items for code in one.reasons}.values(),
        )
    db.session.add(giving)
    db.session.flush()
    db.session.add_all(items)
    db.session.flush()
    record(
        actor,
        Action.ASSIGNMENT_MAKE,
        "giving",
        giving.id,
        details={
            "slug": slug,
            "language": wanted.language,
            "number": item.handout.version,
            "channel": wanted.channel,
            "due_on": due_on.isoformat() if due_on else None,
            "cases": len(items),
        },
    )
    outbox.put(GIVE, {"giving": giving.id.hex})
    return giving.id


def _item(giving: Giving, candidate: Candidate, wanted: NewGiving) -> GivingItem:
    case, codes = candidate.head.case, candidate.codes
    read = wanted.confirmed.get(case.id)
    confirmed = candidate.outcome == CAREFUL and read is not None and read.issuperset(codes)
    unsure = candidate.outcome == CAREFUL and not confirmed
    out = unsure or candidate.outcome == REFUSE
    row = GivingItem(
        id=new_id(),
        giving_id=giving.id,
        case_id=case.id,
        client_id=case.client_id,
        confirmed=confirmed,
        state=LEFT_OUT if out else WAITING,
        reasons=["not_confirmed", *codes] if unsure else codes,
        tries=0,
        done_at=giving.made_at if out else None,
    )
    row.line = None if out else seal(row, "line", wanted.line or None, candidate.head.key)
    return row


def carry_out(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Give to the next of those who wait, each in a transaction of its own; safe to run twice, killed or side by side.

    Raises Unfinished when some failed, so that the outbox comes back to them.
    """
    giving_id = UUID(hex=payload["giving"])
    waiting = db.session.scalars(
        sa.select(GivingItem.id)
        .where(GivingItem.giving_id == giving_id, GivingItem.state == WAITING)
        .order_by(GivingItem.id)
        .limit(AT_ONCE)
    ).all()
    failed = 0
    for item_id in waiting:
        try:
            _give_one(item_id)
        except Exception as fault:  # noqa: BLE001 - one case must not keep the others waiting
            log.warning("giving.failed", item=str(item_id), fault=type(fault).__name__)
            _count_failure(item_id)
            failed += 1
    if failed:
        raise Unfinished
    if len(waiting) == AT_ONCE:
        with transaction():
            outbox.put(GIVE, payload)


def _give_one(item_id: UUID) -> None:
    """Judge one case anew with the rights of this moment, then give or leave out; what another worker has is passed."""
    with transaction() as session:
        # What an earlier case loaded must not be believed: flags, holds and rights change while the job runs.
        session.expire_all()
        row = session.execute(
            sa.select(GivingItem, Giving)
            .join(Giving, Giving.id == GivingItem.giving_id)
            .where(GivingItem.id == item_id, GivingItem.state == WAITING)
            .with_for_update(of=GivingItem, skip_locked=True)
        ).first()
        if row is None:
            return
        item: GivingItem = row.GivingItem
        made = _made(item, row.Giving)
        if isinstance(made, UUID):
            item.state, item.assignment_id, item.reasons = GIVEN, made, []
        else:
            item.state, item.reasons = LEFT_OUT, made
        item.line, item.done_at = None, now()


def _made(item: GivingItem, giving: Giving) -> UUID | list[str]:
    """Give the assignment that was made, or the codes of what stands against it.

    A confirmation covers the reasons that were read and no others.
    """
    actor = at_work(giving.made_by)
    if actor is None or not actor.may(Action.ASSIGNMENT_MAKE):
        return ["sender_gone"]
    lock_client(item.client_id)
    try:
        head = case_head(actor, item.case_id)
    except NotFound:
        return ["case_gone"]
    sheet = edition_with(giving.edition_id)
    has_it = bool(who_has(sheet, giving.channel, {item.client_id}))
    found = candidate_of(head, sheet, office().numbers, giving.channel, has_it=has_it)
    if found.outcome == REFUSE:
        return found.codes
    if set(found.codes) - set(item.reasons):
        return ["not_confirmed", *found.codes]
    line = open_row(item, "line", head.key) or ""
    return give_out(actor, head, sheet, line, giving.channel, giving.due_on, now())


def _count_failure(item_id: UUID) -> None:
    with transaction() as session:
        here = (GivingItem.id == item_id, GivingItem.state == WAITING)
        session.execute(sa.update(GivingItem).where(*here).values(tries=GivingItem.tries + 1))
        session.execute(
            sa.update(GivingItem)
            .where(*here, GivingItem.tries >= TRIES)
            .values(state=LEFT_OUT, reasons=["fault"], line=None, done_at=now())
        )
