"""Texts about a client that pages and briefs share: safe contact, consent, flags, and why there is a hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from caseapp.domain.clients.rules import is_contact_frozen, list_usable_channels
from caseapp.domain.consent.codes import EARLIER_TEXT, MISSING, WITHDRAWN
from caseapp.domain.consent.rules import derive_consent
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS_BY_KEY, LEVEL_LABELS, Level
from caseapp.http.template_helpers import current_practice, long_day

if TYPE_CHECKING:
    from collections.abc import Collection

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.consent.rules import ConsentState
    from caseapp.domain.screening.records import Hold

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
