"""Asked: what suits a case, what was given, and what a client may read now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.access.actions import Action
from caseapp.access.actor import Actor, require
from caseapp.assignments.models import Assignment
from caseapp.assignments.pace import Advice, reading_of, suggest
from caseapp.assignments.schemas import AssignmentRecord
from caseapp.assignments.suitability import CAREFUL, REFUSE, Situation, Verdict, judge, situation_of
from caseapp.cases.models import Case
from caseapp.cases.queries import CaseHead, newest_case_of
from caseapp.clients.models import Client, ClientKey
from caseapp.clients.queries import opened, visible_to
from caseapp.core.clock import week_of
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.paging import Page, after, page_of, read_cursor
from caseapp.core.vault import DataKey, open_data, open_row, unwrap
from caseapp.handouts.models import Edition, Review
from caseapp.handouts.queries import HIDDEN, RECALLED, LibraryItem, newest_editions, texts_of
from caseapp.handouts.sheets import empty_block_reason, empty_blocks
from caseapp.practice.queries import Numbers, numbers, the_practice, today
from caseapp.screening.queries import safety_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.handouts.library import Handout


IN_PERSON_ONLY = "in_person"


@dataclass(frozen=True)
class Offer:
    """Show one handout to a coach who chooses for a case: the verdict, and whether it is there already."""

    handout: Handout
    edition_id: UUID
    verdict: Verdict
    given: bool
    reviewed: Review | None


@dataclass(frozen=True)
class Live:
    """Show one sheet that a client has; what is stopped, or was read in the room, is not unread."""

    handout: Handout
    unread: bool
    due_on: date | None


@dataclass(frozen=True)
class Holder:
    """Show one client who was given a handout."""

    id: UUID
    number: str
    client: str
    edition: int
    language: str
    assigned_at: datetime
    read_at: datetime | None
    withdrawn_at: datetime | None


def _holders() -> sa.Select[UUID, str, str, int, str, datetime, datetime | None, datetime | None]:
    return (
        sa.select(
            Assignment.id,
            Case.number,
            Client.name,
            Edition.number.label("edition"),
            Edition.language,
            Assignment.assigned_at,
            Assignment.read_at,
            Assignment.withdrawn_at,
        )
        .join(Edition, Edition.id == Assignment.edition_id)
        .join(Case, Case.id == Assignment.case_id)
        .join(Client, Client.id == Assignment.client_id)
    )


def holders_of(actor: Actor, slug: str, cursor: str | None, limit: int) -> Page[Holder]:
    """List to which of the actor's clients a handout was given, newest first."""
    require(actor, Action.ASSIGNMENT_READ)
    query = _holders().where(Edition.slug == slug, Assignment.client_id.in_(visible_to(actor)))
    rows = db.session.execute(
        after(query, Assignment.assigned_at, Assignment.id, cursor, limit)
    ).all()
    return page_of([Holder(*row) for row in rows], limit, lambda row: (row.assigned_at, row.id))


def older_holders(actor: Actor, item: LibraryItem, limit: int) -> list[Holder]:
    """List which of the actor's clients still hold an older version of an edition in an open case, by name."""
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        _holders()
        .where(
            Edition.slug == item.handout.id,
            Edition.language == item.handout.language,
            Edition.number < item.handout.version,
            Assignment.withdrawn_at.is_(None),
            Assignment.client_id.in_(visible_to(actor)),
            Case.status == "open",
        )
        .order_by(Edition.number, Client.name, Assignment.id)
        .limit(limit)
    ).all()
    return [Holder(*row) for row in rows]


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


def offers_for(
    actor: Actor, head: CaseHead, stage: str | None = None, language: str | None = "en"
) -> list[Offer]:
    """Judge the library for a case; `stage` narrows it to sheets that fit a stage, None gives all."""
    require(actor, Action.ASSIGNMENT_READ)
    situation, known = situation_in(head), numbers(the_practice())
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
    situation, known = situation_in(head), numbers(the_practice())
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


def _assignments(
    *where: sa.ColumnElement[bool],
) -> sa.Select[Assignment, str, datetime | None]:
    query = sa.select(Assignment, Edition.sha256, Edition.recalled_at)
    return query.join(Edition, Edition.id == Assignment.edition_id).where(*where)


def _records(
    rows: Sequence[Any], key: DataKey, situation: Situation, known: Numbers
) -> list[AssignmentRecord]:
    texts = texts_of(row.sha256 for row in rows)
    found = []
    for row in rows:
        handout, given = texts[row.sha256], row.Assignment
        stopped: tuple[Reason, ...] = ()
        if given.withdrawn_at is None:
            stopped = what_stops(handout, given.channel, situation, known)
            if row.recalled_at is not None:
                stopped = (RECALLED,)
        found.append(_record(given, handout, key, stopped))
    return found


def _record(
    row: Assignment, handout: Handout, key: DataKey, stopped: tuple[Reason, ...]
) -> AssignmentRecord:
    return AssignmentRecord(
        id=row.id,
        case_id=row.case_id,
        client_id=row.client_id,
        handout=handout,
        edition_id=row.edition_id,
        place=row.place,
        stage=row.stage,
        channel=row.channel,
        line=open_row(row, "line", key) or "",
        levels=row.levels,
        due_on=row.due_on,
        assigned_at=row.assigned_at,
        assigned_by=row.assigned_by,
        opened_at=row.opened_at,
        read_at=row.read_at,
        withdrawn_at=row.withdrawn_at,
        stopped=stopped,
        version=row.version,
    )


def what_stops(
    handout: Handout, channel: str, situation: Situation, known: Numbers
) -> tuple[Reason, ...]:
    """List why a handout must not reach the client by a channel at this moment; empty when it may."""
    verdict = verdict_of(handout, situation, known)
    if verdict.outcome == REFUSE or channel not in verdict.channels:
        return verdict.reasons
    return ()


def assignments_of(
    actor: Actor,
    head: CaseHead,
    *,
    before: tuple[datetime, UUID] | str | None = None,
    limit: int = 100,
) -> list[AssignmentRecord]:
    """List what was given in a case, newest first, each with what stops it now; in a fixed number of statements."""
    require(actor, Action.ASSIGNMENT_READ)
    query = _assignments(Assignment.case_id == head.case.id)
    if before is not None:
        at, row = read_cursor(before) if isinstance(before, str) else before
        query = query.where(
            sa.tuple_(Assignment.assigned_at, Assignment.id)
            < sa.tuple_(
                sa.literal(at, Assignment.assigned_at.type), sa.literal(row, Assignment.id.type)
            )
        )
    rows = db.session.execute(
        query.order_by(Assignment.assigned_at.desc(), Assignment.id.desc()).limit(limit)
    ).all()
    return _records(rows, head.key, situation_in(head), numbers(the_practice()))


def given_together(actor: Actor, head: CaseHead, assignment_id: UUID) -> list[AssignmentRecord]:
    """List what was given in one step with an assignment, in its order.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    here = Assignment.case_id == head.case.id
    moment = sa.select(Assignment.assigned_at).where(Assignment.id == assignment_id, here)
    rows = db.session.execute(
        _assignments(here, Assignment.assigned_at == moment.scalar_subquery()).order_by(
            Assignment.place
        )
    ).all()
    if not rows:
        raise NotFound
    return _records(rows, head.key, situation_in(head), numbers(the_practice()))


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
    if item.recalled_at is not None:
        return [RECALLED]
    if item.hidden:
        return [HIDDEN]
    verdict = verdict_of(item.handout, situation, known, head.case.stage)
    if verdict.outcome == REFUSE:
        return [*verdict.reasons]
    if channel not in verdict.channels:
        return _channel_refused(verdict)
    if _has_it(head, item, channel):
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


def _has_it(head: CaseHead, item: LibraryItem, channel: str) -> bool:
    return (
        db.session.scalar(
            sa.select(Assignment.id).where(
                Assignment.client_id == head.case.client_id,
                Assignment.edition_id == item.edition_id,
                Assignment.channel == channel,
                Assignment.withdrawn_at.is_(None),
            )
        )
        is not None
    )


def get_assignment(actor: Actor, assignment_id: UUID) -> Assignment:
    """Load an assignment for a change.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(Assignment).where(
            Assignment.id == assignment_id, Assignment.client_id.in_(visible_to(actor))
        )
    )
    if found is None:
        raise NotFound
    return found


def assignment_shown(actor: Actor, assignment_id: UUID) -> AssignmentRecord:
    """Show one assignment to staff, also when it is stopped or withdrawn.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    row = db.session.execute(
        _assignments(Assignment.id == assignment_id, Assignment.client_id.in_(visible_to(actor)))
    ).first()
    if row is None:
        raise NotFound
    key, situation = _reader(row.Assignment.client_id, row.Assignment.case_id)
    return _records([row], key, situation, numbers(the_practice()))[0]


def printable(actor: Actor, assignment_id: UUID) -> AssignmentRecord:
    """Show an assignment that is about to be printed again: what may not be given now is not handed out twice.

    Raises NotFound, and RuleBroken with what stops it.
    """
    found = assignment_shown(actor, assignment_id)
    if found.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is withdrawn."))
    if found.stopped:
        raise RuleBroken(*found.stopped)
    return found


def _reader(client_id: UUID, case_id: UUID | None = None) -> tuple[DataKey, Situation]:
    """Open a client's key and gather their situation, for those who have already been let in.

    The facts are those of one case, or of the newest. Raises NotFound when the client is gone.
    """
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == client_id)
    ).first()
    if row is None:
        raise NotFound
    key = unwrap(client_id, row.wrapped)
    case = db.session.get(Case, case_id) if case_id else newest_case_of(client_id)
    facts = (open_data(case, "facts", key) or {}) if case else {}
    safe = opened(row.Client, key).safe
    situation = situation_of(
        safety_of(client_id), facts, in_person_only=IN_PERSON_ONLY in safe.channels
    )
    return key, situation


def reading_list(actor: Actor) -> list[AssignmentRecord]:
    """List what a client may read in the portal now: given there, not withdrawn, still suitable."""
    require(actor, Action.PORTAL_READ)
    key, situation = _reader(actor.id)
    rows = db.session.execute(
        _assignments(
            Assignment.client_id == actor.id,
            Assignment.channel == "portal",
            Assignment.withdrawn_at.is_(None),
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    ).all()
    found = _records(rows, key, situation, numbers(the_practice()))
    return [record for record in found if not record.stopped]


def reading(actor: Actor, place: int) -> AssignmentRecord:
    """Show a client one sheet of their list, judged at this moment.

    Raises NotFound, and RuleBroken in neutral words when it was withdrawn (`withdrawn`) or is stopped (`resting`): a
    client's page never says why.
    """
    require(actor, Action.PORTAL_READ)
    row = db.session.execute(
        _assignments(
            Assignment.client_id == actor.id,
            Assignment.place == place,
            Assignment.channel == "portal",
        )
    ).first()
    if row is None:
        raise NotFound
    if row.Assignment.withdrawn_at is not None or row.recalled_at is not None:
        raise RuleBroken(
            Reason(
                "withdrawn",
                "Your coach has taken this sheet back.",
                "Ask your coach if you need it.",
            )
        )
    key, situation = _reader(actor.id)
    found = _records([row], key, situation, numbers(the_practice()))[0]
    if found.stopped:
        raise RuleBroken(
            Reason(
                "resting",
                "This sheet is resting just now.",
                "Your coach can tell you more the next time you talk.",
            )
        )
    return found


def faith_of(actor: Actor) -> bool:
    """Tell whether a client asked for the faith variants of handouts."""
    require(actor, Action.PORTAL_READ)
    _, situation = _reader(actor.id)
    return wants_faith(situation.facts)


def wants_faith(facts: Any) -> bool:  # noqa: ANN401 - a mapping of coded facts
    """Tell from a case's facts whether the client asked for the faith variants."""
    return bool(facts.get("faith_variant") == "yes")
