"""Rules for a client's copy of their record: how it may reach them. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.clients.rules import UNSAFE_FLAGS, list_channel_blockers

if TYPE_CHECKING:
    from caseapp.domain.cases.queries import CaseContext, LockedCase
    from caseapp.domain.dashboard.copy_schemas import MadeCopy, NewCopy

ASK_ALONE = Reason(
    "copy_not_asked",
    "Somebody else may find this copy, so the client has to be asked first.",
    "Ask with nobody else present where they will keep the copy and the passphrase and who could find them. Then tick "
    "the box.",
)
ONLY_IN_PERSON = Reason(
    "copy_only_in_person",
    "Somebody may be a danger to this client, so a copy is only handed over in person, whatever is in it.",
    "Choose “In person”.",
)
CHANGED = Reason(
    "copy_changed",
    "The record changed while the copy was made.",
    "Make it again.",
)


def is_copy_a_risk(context: CaseContext) -> bool:
    """Tell whether somebody is known who may be a danger to a client, and could find a copy of their record.

    That is so with a flag for violence or unsafe delivery, and during a safety hold. Awaiting clinical sign-off.
    """
    return not UNSAFE_FLAGS.isdisjoint(context.safety.flags) or context.safety.hold == "safety"


def list_copy_blockers(context: CaseContext, new: NewCopy) -> list[Reason]:
    """List why a client can't get this copy of their record in this way; empty when they can.

    The client is always asked alone, since nobody knows before who could find a copy. Email and post have to be safe
    now, and carry none while somebody may be a danger: a note, a reason, an entry of the contact log and the title of a
    handout may all tell of it. That consent was withdrawn doesn't matter: people may see what is kept about them all
    the same (GDPR, article 15). Awaiting clinical and legal sign-off.
    """
    return ([] if new.asked_alone else [ASK_ALONE]) + list_way_blockers(context, new.channel)


def list_way_blockers(context: CaseContext, channel: str) -> list[Reason]:
    """List why no copy of the record can reach a client in this way now; empty when one can."""
    if channel == "in_person":
        return []
    if is_copy_a_risk(context):
        return [ONLY_IN_PERSON]
    return list_channel_blockers(context.client, context.safety.flags, channel)


def check_copy(case: LockedCase, new: NewCopy, made: MadeCopy, sha256: str) -> None:
    """Check that the client of a locked case can get the copy that was made, in this way.

    `sha256` is the hash of what the record holds now. Raises RuleBroken.
    """
    refuse_for(list_copy_blockers(case, new) or ([] if made.sha256 == sha256 else [CHANGED]))
