"""Rules for the contact log: what each kind may say, and the follow-up that it may ask for. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.contacts.codes import (
    CANCELLED,
    FOLLOWUP_AFTER,
    FOLLOWUP_TITLES,
    HAS_METHOD,
)
from caseapp.domain.followups.schemas import NewFollowUp

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.contacts.queries import LockedContact
    from caseapp.domain.contacts.schemas import NewContact

ALREADY_IN_ERROR = Reason(
    "already_in_error",
    "This entry is already marked as recorded in error.",
    "Record what happened as a new entry.",
)


def find_contact_faults(new: NewContact, moment: datetime) -> dict[str, list[str]]:
    """Find what is wrong with a new entry at a moment: messages by field, empty when all is right."""
    faults = {}
    if new.happened_at is not None and new.happened_at > moment:
        faults["happened_at"] = ["This time is in the future."]
    if new.kind in HAS_METHOD and new.method is None:
        faults["method"] = ["Choose how you made contact, or tried to."]
    elif new.kind not in HAS_METHOD and new.method is not None:
        faults["method"] = ["A session that didn’t take place has no method. Leave this empty."]
    if new.kind != CANCELLED and new.cancelled_by is not None:
        faults["cancelled_by"] = ["This is only for a cancelled session. Leave it empty."]
    if new.follow_up and new.kind not in FOLLOWUP_TITLES:
        faults["follow_up"] = ["You were in contact, so add any follow-up on the Follow-ups page."]
    return faults


def derive_followup(kind: str, moment: datetime) -> NewFollowUp:
    """Derive the follow-up that an entry of a kind asks for, when it is recorded at a moment."""
    return NewFollowUp(FOLLOWUP_TITLES[kind], moment + FOLLOWUP_AFTER)


def check_error(contact: LockedContact) -> None:
    """Check that an entry can be marked as recorded in error.

    Raises RuleBroken when it is already.
    """
    if contact.record.in_error_at is not None:
        refuse_for([ALREADY_IN_ERROR])
