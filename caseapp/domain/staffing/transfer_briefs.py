"""The brief of a transferred case: what the new coach has to know about it, for some days after the acceptance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import pdf
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.fonts import find_missing_glyphs
from caseapp.core.permissions import Action
from caseapp.core.templating import render_text
from caseapp.domain.assignments.queries import list_current_assignments
from caseapp.domain.cases.queries import CaseContext, get_case_context, newest_case_id
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import Transfer
from caseapp.domain.clients.visibility import select_clients_of
from caseapp.domain.notes.queries import find_last_plan
from caseapp.domain.notes.unsigned import list_draft_times
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.staffing.cover_queries import list_due
from caseapp.domain.staffing.transfer_rules import BRIEF_FOR
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.notes.records import NoteRecord


@dataclass(frozen=True)
class Brief:
    """What the new coach of a transferred client has to know, as it is now.

    `due` are the open follow-ups that are due within a week, `drafts` when the former coach began each note that isn't
    signed, `unread` the handouts that the client hasn't read, and `plan` the newest signed note that has a plan.
    """

    id: UUID
    former: str
    accepted_at: datetime
    readable_until: datetime
    context: CaseContext = field(repr=False)
    due: tuple[FollowUpRecord, ...] = field(repr=False)
    drafts: tuple[datetime, ...]
    unread: tuple[AssignmentRecord, ...] = field(repr=False)
    plan: NoteRecord | None = field(repr=False)


def get_brief(actor: Actor, transfer_id: UUID) -> Brief:
    """Load the brief of a client's newest case for whoever accepted the transfer, until BRIEF_FOR later.

    Raises NotFound for anybody else, once they aren't the client's coach any more, and for a client without a case.
    """
    require(actor, Action.CASE_READ)
    moment = now()
    found = db.session.execute(
        sa.select(Transfer, User.name, newest_case_id(Transfer.client_id).label("case_id"))
        .join(User, User.id == Transfer.from_id)
        .where(
            Transfer.id == transfer_id,
            Transfer.to_id == actor.id,
            Transfer.state == "accepted",
            Transfer.decided_at > moment - BRIEF_FOR,
            Transfer.client_id.in_(select_clients_of(actor.id, COACH)),
        )
    ).first()
    if found is None or found.case_id is None or found.Transfer.decided_at is None:
        raise NotFound
    transfer: Transfer = found.Transfer
    context = get_case_context(actor, found.case_id)
    return Brief(
        id=transfer.id,
        former=found.name,
        accepted_at=found.Transfer.decided_at,
        readable_until=found.Transfer.decided_at + BRIEF_FOR,
        context=context,
        due=tuple(list_due({context.client.id: context.key}).get(context.client.id, ())),
        drafts=tuple(list_draft_times(actor, context.client.id, transfer.from_id)),
        unread=tuple(one for one in list_current_assignments(context) if one.read_at is None),
        plan=find_last_plan(actor, context.case.id),
    )


@dataclass(frozen=True)
class BriefSection:
    """A part of a brief, as it is shown and printed."""

    title: str
    lines: tuple[str, ...] = field(repr=False)


def brief_pdf(actor: Actor, number: str, heading: str, sections: Sequence[BriefSection]) -> bytes:
    """Make a brief as pages to print, which name the case by its number only.

    It is made anew each time and never stored. Notes may have characters that our fonts lack: those are printed as a
    question mark, and the last line says so. Raises what `core.pdf` raises.
    """
    require(actor, Action.CASE_EXPORT)
    words = "".join((heading, *(text for one in sections for text in (one.title, *one.lines))))
    missing = find_missing_glyphs(words)
    values = {
        "practice": get_practice_info().practice,
        "number": number,
        "heading": heading,
        "sections": sections,
        "is_replaced": bool(missing),
    }
    html = render_text("pdf/brief.html", values)
    return pdf.render(html.translate({ord(char): "?" for char in missing}), style="report.css")
