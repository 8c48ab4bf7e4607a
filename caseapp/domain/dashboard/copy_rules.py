"""Rules for a client's copy of their record: how it may reach them, and what it may hold then. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.clients.rules import UNSAFE_FLAGS, list_channel_blockers
from caseapp.domain.dashboard.copy_schemas import ABOUT_SAFETY

if TYPE_CHECKING:
    from caseapp.domain.cases.queries import CaseContext, LockedCase
    from caseapp.domain.dashboard.copy_schemas import NewCopy

ASK_ALONE = Reason(
    "copy_not_asked",
    "Somebody else may find this copy, so the client has to be asked first.",
    "Ask with nobody else present where they will keep the copy and the passphrase and who could find them. Then tick "
    "the box.",
)
ONLY_IN_PERSON = Reason(
    "copy_only_in_person",
    "Somebody may be a danger to this client, so screenings, holds, safety plans and follow-ups are only handed over "
    "in person.",
    "Choose “In person”, or leave these kinds out.",
)


def is_copy_a_risk(context: CaseContext) -> bool:
    """Tell whether somebody is known who may be a danger to a client, and could find a copy of their record.

    That is so with a flag for violence or unsafe delivery, and during a safety hold. Awaiting clinical sign-off.
    """
    return not UNSAFE_FLAGS.isdisjoint(context.safety.flags) or context.safety.hold == "safety"


def list_copy_blockers(context: CaseContext, new: NewCopy) -> list[Reason]:
    """List why a client can't get this copy of their record in this way; empty when they can.

    The client is always asked alone, since nobody knows before who could find a copy. Email and post have to be safe
    now. That consent was withdrawn doesn't matter: people may see what is kept about them all the same (GDPR, article
    15). Awaiting clinical and legal sign-off.
    """
    found = [] if new.asked_alone else [ASK_ALONE]
    if new.channel == "in_person":
        return found
    found += list_channel_blockers(context.client, context.safety.flags, new.channel)
    if is_copy_a_risk(context) and not ABOUT_SAFETY.isdisjoint(new.filters.kinds):
        found.append(ONLY_IN_PERSON)
    return found


def check_copy(case: LockedCase, new: NewCopy) -> None:
    """Check that the client of a locked case can get this copy in this way.

    Raises RuleBroken.
    """
    refuse_for(list_copy_blockers(case, new))
