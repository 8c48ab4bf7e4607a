"""PDFs of assigned handouts: one, or several in a packet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.clock import get_week_start
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.i18n import in_language
from caseapp.core.permissions import Action
from caseapp.domain.assignments.queries import list_chosen_assignments
from caseapp.domain.assignments.reading import get_reading_list
from caseapp.domain.assignments.rules import ALREADY_WITHDRAWN, printed_details
from caseapp.domain.handouts.packets import MAX_HANDOUTS, PacketItem, render_packet_pdf
from caseapp.domain.handouts.printing import (
    NOT_PERSONALIZED,
    Personalization,
    render_handout_pdf,
)
from caseapp.domain.practice.queries import today
from caseapp.domain.suitability.queries import recipient_in_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.practice.queries import Letterhead
    from caseapp.domain.suitability.schemas import Recipient


def list_omissions(
    context: CaseContext, records: Sequence[AssignmentRecord]
) -> dict[UUID, list[Reason]]:
    """List for each printable assignment of a case what its PDF leaves out and why."""
    recipient = recipient_in_case(context)
    return {
        record.id: [*printed_details([record], recipient)[1]]
        for record in records
        if not record.blockers and record.withdrawn_at is None
    }


def assignment_pdf(record: AssignmentRecord, *, large: bool, discreet: bool) -> bytes:
    """Make the PDF of one assignment in its handout version; `discreet` makes the copy that a client saves.

    A discreet copy names no practice, person, stage or source, in its text and in its properties. Any other is stored
    sealed under the client's key as soon as it says anything about them. Raises what `render_handout_pdf` raises.
    """
    recipient = record.recipient
    (personalization,) = _details([record], recipient, discreet=discreet)
    with in_language(recipient.language):
        return render_handout_pdf(
            record.handout,
            _letterhead(recipient, discreet=discreet),
            recipient.practice_info.help_lines,
            faith=recipient.faith,
            large=large,
            personalization=personalization,
            key=recipient.key if personalization else None,
            reviewed=record.reviewed,
        )


def _letterhead(recipient: Recipient, *, discreet: bool) -> Letterhead:
    """Give the letterhead; without a QR code where the client doesn't use the portal, as it may give them away."""
    found = recipient.practice_info.letterhead
    if discreet:
        return found.discreet()
    situation = recipient.situation
    allowed = not situation.portal_blockers and not situation.is_discreet
    return found if allowed else found.without_qr_code()


def _details(
    records: Sequence[AssignmentRecord], recipient: Recipient, *, discreet: bool
) -> list[Personalization]:
    if discreet:
        return [NOT_PERSONALIZED for _ in records]
    return printed_details(records, recipient)[0]


@dataclass(frozen=True)
class Packet:
    """What one PDF contains, which assignments are left out and why, and which details it omits."""

    records: tuple[AssignmentRecord, ...]
    left_out: tuple[tuple[AssignmentRecord, tuple[Reason, ...]], ...]
    omissions: tuple[Reason, ...]


def get_packet(actor: Actor, context: CaseContext, ids: Iterable[UUID]) -> Packet:
    """Check which chosen assignments of a case one PDF can contain now, in the order of assignment.

    Raises NotFound when one isn't part of this case, Invalid when there are too many.
    """
    wanted = set(ids)
    if len(wanted) > MAX_HANDOUTS:
        raise Invalid({"assignment": [f"Choose at most {MAX_HANDOUTS} handouts for one PDF."]})
    checked = [
        (record, _packet_blockers(record))
        for record in list_chosen_assignments(actor, context, wanted)
    ]
    fit = tuple(record for record, reasons in checked if not reasons)
    omissions = printed_details(fit, recipient_in_case(context))[1]
    return Packet(fit, tuple((r, why) for r, why in checked if why), omissions)


def _packet_blockers(record: AssignmentRecord) -> tuple[Reason, ...]:
    if record.withdrawn_at is not None:
        return (ALREADY_WITHDRAWN,)
    return record.blockers


def case_packet_pdf(
    actor: Actor, context: CaseContext, ids: Iterable[UUID], *, large: bool
) -> bytes:
    """Make one PDF of chosen assignments of a case.

    The user has seen what is left out, so nothing may be left out here without telling them. Raises NotFound, Invalid,
    and RuleBroken with the reasons when none was chosen or one of them has blockers.
    """
    packet = get_packet(actor, context, ids)
    if packet.left_out:
        raise RuleBroken(
            *(
                Reason(why.code, f"{record.title}: {why.message}", why.way_out)
                for record, reasons in packet.left_out
                for why in reasons
            )
        )
    return _packet_pdf(packet.records, large=large, discreet=False)


def list_client_packet(actor: Actor) -> list[AssignmentRecord]:
    """List what a client's packet contains now: their reading list in order, only the newest when it is long.

    Raises NotFound when there are fewer than two.
    """
    found = sorted(get_reading_list(actor), key=lambda record: record.position)[-MAX_HANDOUTS:]
    if len(found) < 2:  # noqa: PLR2004 - one handout is no packet
        raise NotFound
    return found


def client_packet_pdf(actor: Actor, records: Sequence[AssignmentRecord]) -> bytes:
    """Make the client's packet as one PDF, a discreet copy."""
    require(actor, Action.PORTAL_READ)
    return _packet_pdf(records, large=False, discreet=True)


def _packet_pdf(records: Sequence[AssignmentRecord], *, large: bool, discreet: bool) -> bytes:
    if not records:
        raise RuleBroken(
            Reason(
                "nothing_chosen",
                "No handout is chosen.",
                "Choose the handouts you want in one PDF.",
            )
        )
    recipient = records[0].recipient
    personalization = _details(records, recipient, discreet=discreet)
    # The cover names the coach who assigned the newest of them.
    last = personalization[-1]
    with in_language(recipient.language):
        return render_packet_pdf(
            [
                PacketItem(
                    record.handout,
                    record.position,
                    _format_week(record),
                    own.message,
                    record.reviewed,
                )
                for record, own in zip(records, personalization, strict=True)
            ],
            _letterhead(recipient, discreet=discreet),
            recipient.practice_info.help_lines,
            recipient.key,
            faith=recipient.faith,
            large=large,
            personalization=Personalization(last.preferred_name, last.coach),
        )


def _format_week(record: AssignmentRecord) -> date | None:
    """Give the planned week until it is over: a PDF must never make a client feel late."""
    return record.week if record.week and record.week >= get_week_start(today()) else None
