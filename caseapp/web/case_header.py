"""The header of case pages: loading the case, and the texts of its identity bar and hold banner."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from caseapp.core.errors import NotFound
from caseapp.domain.cases.queries import get_case_context_by_number, lock_case
from caseapp.domain.cases.stages import stages
from caseapp.domain.clients.rules import is_contact_frozen, list_usable_channels
from caseapp.domain.consent.codes import EARLIER_TEXT, MISSING, WITHDRAWN
from caseapp.domain.consent.rules import derive_consent
from caseapp.domain.dashboard.case_page import get_case_page
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS_BY_KEY, LEVEL_LABELS, Level
from caseapp.http.guard import current_actor
from caseapp.http.template_helpers import current_practice, local, long_day, today

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime
    from uuid import UUID

    from flask import Blueprint

    from caseapp.core.actor import Actor
    from caseapp.domain.cases.queries import CaseContext, LockedCase
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.consent.rules import ConsentState
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.screening.proposals import Proposal
    from caseapp.domain.screening.records import Hold

Locked = TypeVar("Locked")

CONTACT_CHANNEL_LABELS = {
    "call": "phone call",
    "voicemail": "voicemail",
    "text": "text message",
    "email": "email",
    "post": "letter",
    "portal": "portal",
}
PHONE_CHANNELS = ("call", "voicemail", "text")
ALERT_FLAGS = frozenset({"contact_block", "violence_flag", "client_harm_flag", "self_harm_flag"})
DIGITS_SHOWN = 3
EN_DASH = "\u2013"


def load_case_context(number: str) -> CasePage:
    """Load the case of a page and record that it was read.

    Raises NotFound.
    """
    actor = current_actor()
    return get_case_page(actor, number)


def lock_page_case(actor: Actor, number: str, *_part: object) -> LockedCase:
    """Lock the case of a page for a form whose address names a part of it too.

    Raises NotFound.
    """
    return lock_case(actor, number)


def lock_in_case(
    lock: Callable[[Actor, UUID], Locked], client_of: Callable[[Locked], UUID]
) -> Callable[[Actor, str, UUID], Locked]:
    """Make the lock of a form whose address names a case and a record of its client from the lock of the record.

    What it returns raises what `lock` raises, and NotFound when the client has no such case.
    """

    def lock_record(actor: Actor, number: str, record_id: UUID) -> Locked:
        locked = lock(actor, record_id)
        if client_of(locked) != get_case_context_by_number(actor, number).case.client_id:
            raise NotFound
        return locked

    return lock_record


def describe_safe_contact(client: ClientRecord, flags: Collection[str]) -> tuple[str, str]:
    """Describe how a client with these active flags may be contacted now, and how not.

    Of a phone number only the last digits are shown.
    """
    safe = client.safe
    if not safe.channels:
        return "none recorded yet.", "Ask the client before you call or write."
    usable, notes = list_usable_channels(client, flags), []
    if is_contact_frozen(flags, client.contact_confirmed_at) and "in_person" not in safe.channels:
        notes.append("Send nothing until the safe ways are confirmed under Details.")
    if not usable:
        notes = ["Don’t call or write.", *notes, safe.warning]
        return "in person only.", " ".join(filter(None, notes))
    by_phone = [CONTACT_CHANNEL_LABELS[channel] for channel in PHONE_CHANNELS if channel in usable]
    channels = [label for channel, label in CONTACT_CHANNEL_LABELS.items() if channel in usable][
        len(by_phone) :
    ]
    digits = re.sub(r"\D", "", client.phone or "")
    if by_phone:
        number = f" to the number ending {digits[-DIGITS_SHOWN:]}" if digits else ""
        channels.insert(0, f"{' or '.join(by_phone)}{number}")
    parts = [" or ".join(channels)]
    if safe.times:
        parts.append(safe.times)
    excluded = [label for channel, label in CONTACT_CHANNEL_LABELS.items() if channel not in usable]
    if excluded:
        notes.append(f"{', '.join(f'no {label}' for label in excluded)}.".capitalize())
    if safe.code_word:
        notes.append(f"Code word: {safe.code_word}.")
    if safe.warning:
        notes.append(safe.warning)
    return f"{', '.join(parts).rstrip('.')}.", " ".join(notes)


def consent_of(client: ClientRecord) -> ConsentState:
    """Tell how a client's consent stands."""
    return derive_consent(client, current_practice().consent_version)


def describe_consent(client: ClientRecord) -> str:
    """Describe in a sentence how a client's consent stands."""
    found = consent_of(client)
    if found.state == WITHDRAWN and found.withdrawn_on:
        return f"The client withdrew consent on {long_day(found.withdrawn_on)}."
    if found.state == EARLIER_TEXT:
        published = current_practice().consent_version
        return f"The client hasn’t agreed to the practice’s current consent text yet (version {published})."
    if found.state == MISSING:
        return "No consent has been recorded yet."
    return "The client has given consent."


def stage_dates(context: CasePage) -> dict[int, str]:
    """Describe when the case was in each stage so far, by stage number."""
    entered: dict[str, datetime] = {}
    left: dict[str, datetime] = {}
    for event in reversed(context.events):
        if event.from_stage:
            left[event.from_stage] = event.occurred_at
        if event.to_stage:
            entered[event.to_stage] = event.occurred_at
    found = {}
    for stage in stages():
        if stage.number > context.stage.number or stage.id not in entered:
            continue
        if stage.id != context.stage.id:
            found[stage.number] = _date_range(entered[stage.id], left[stage.id])
        elif context.case.closed_at:
            found[stage.number] = f"Closed {_short_date(context.case.closed_at)}"
        else:
            on_hold = ", on hold" if context.safety.hold else ""
            found[stage.number] = f"Since {_short_date(entered[stage.id])}{on_hold}"
    return found


def _short_date(moment: datetime) -> str:
    found = local(moment).date()
    year = "" if found.year == today().year else f" {found.year}"
    return f"{found.day} {found:%b}{year}"


def _date_range(start: datetime, end: datetime) -> str:
    first, last = local(start).date(), local(end).date()
    if first == last:
        return _short_date(end)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} {EN_DASH} {_short_date(end)}"
    return f"{_short_date(start)} {EN_DASH} {_short_date(end)}"


def flag_tags(context: CaseContext) -> list[tuple[str, str]]:
    """Return the label and tag colour of each active flag."""
    return [
        (label, "alert" if kind in ALERT_FLAGS else "watch")
        for kind, label in FLAG_LABELS.items()
        if kind in context.safety.flags
    ]


def describe_hold_reasons(hold: Hold) -> str:
    """Describe the answers that opened a hold, without those in error; for each item the highest level counts."""
    worst: dict[str, int] = {}
    for reason in hold.standing or hold.reasons:
        worst[reason["item"]] = max(reason["level"], worst.get(reason["item"], 0))
    parts = [
        f"{ITEMS_BY_KEY[key].label} is at {LEVEL_LABELS[Level(n)].lower()}"
        for key, n in worst.items()
    ]
    return f"{'; '.join(parts)}." if parts else ""


def describe_proposal(proposal: Proposal) -> str:
    """Describe how long an item has been at watch or above."""
    reported = proposal.raised.reported_since
    since = local(proposal.lasts_since).date()
    is_reported = reported is not None and proposal.lasts_since < proposal.raised.began_at
    if is_reported and reported is not None:
        since = reported
    days = (today() - since).days
    year = "" if since.year == today().year else f" {since.year}"
    source = ", as the client reported" if is_reported else ""
    label = ITEMS_BY_KEY[proposal.item].label
    return (
        f"{label}: at Watch or above for {days} days, since {since.day} {since:%B}{year}{source}."
    )


def hold_day(hold: Hold) -> int:
    """Count the days of a hold; the day it opened is day 1."""
    return (today() - local(hold.opened_at).date()).days + 1


def register_template_globals(blueprint: Blueprint) -> None:
    """Make these functions available to every staff template."""
    for function in (
        consent_of,
        describe_consent,
        describe_safe_contact,
        stage_dates,
        flag_tags,
        describe_hold_reasons,
        describe_proposal,
        hold_day,
    ):
        blueprint.add_app_template_global(function)
