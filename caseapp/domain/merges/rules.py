"""Rules for merging the records of a client who was entered twice. Pure functions.

A merge can't be undone, so it decides nothing by itself: whatever the two records say differently about safety, contact
or access is made the same by people first. Product proposals, awaiting sign-off; those about safety clinical sign-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.core.text import fold_for_search
from caseapp.domain.clients.rules import ONLY_COVERS
from caseapp.domain.clients.schemas import CHANNELS
from caseapp.domain.screening.protocol import (
    CIRCUMSTANCES,
    FEAR_AT_HOME,
    FLAG_LABELS,
    ITEMS_BY_KEY,
    Level,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.merges.queries import LockedMerge
    from caseapp.domain.screening.records import Answer, Raised
    from caseapp.domain.screening.state import DerivedState

PARTNER_REASONS = frozenset(
    {"is_partner", "has_partner", "similar_to_partner", "has_similar_partner"}
)
"""The codes of MATCH_REASONS by which two clients may be a couple."""
MERGE_OTHER_WAY = "Merge the records the other way round."
OR_MERGE_OTHER_WAY = "Or merge the records the other way round."

SAME_CLIENT = Reason(
    "merge_same_client", "This is the same record.", "Choose a case of another client."
)
COUPLE = Reason(
    "merge_couple",
    "One of the two clients, or somebody with a similar name, is recorded as the other’s partner. They may be two "
    "people.",
    "If that is wrong, correct the partner’s name under Details first.",
)
NOT_ALIKE = Reason(
    "merge_not_alike",
    "No name, email address or phone number is the same in both records.",
    "Check that you chose the right record. If both are about the same person, correct the details first.",
)
ONLY_CONTACT = Reason(
    "merge_only_contact",
    "Only an email address or phone number matches, not the name. Two people may share one.",
    "If both records are about the same person, correct the name in one of them first.",
)
BIRTH_YEAR = Reason(
    "merge_other_birth_year",
    "The two records have different years of birth. They may be two people.",
    "If one of the years is wrong, correct it first.",
)
DECIDED = Reason(
    "merge_decided_conflict",
    "Somebody has decided that the clients of both records can be coached here. They may be two people.",
    "If both records are about the same person, confirm that you know of the decision.",
)
TWO_OPEN_CASES = Reason(
    "merge_two_open_cases", "Both records have an open case.", "Close one of the two first."
)
OTHER_COACH = Reason(
    "merge_other_coach",
    "The record that is merged has a coach who doesn’t coach the client of the record that is kept.",
    "First hand over the client of the record that is merged to the coach of the other record.",
)
DENIED = Reason(
    "merge_access_denied",
    "A member of staff must not see one of the two records.",
    "First record that this person must not see the other client either. If you can’t find the entry, ask another "
    "supervisor.",
)
EMERGENCY = Reason(
    "merge_emergency_access",
    "Emergency access to one of the two records is still open or hasn’t been reviewed.",
    "Wait until it has ended and has been reviewed.",
)
UNDECIDED = Reason(
    "merge_undecided_conflict",
    "There is a possible conflict between the record that is merged and a third client. Nobody has decided about it.",
    "First open a case of the record that is merged, and decide under Details.",
)
ERASURE = Reason(
    "merge_erasure",
    "Somebody has requested the erasure of one of the two records.",
    "Wait for the decision, or withdraw the request.",
)
DRAFT = Reason(
    "merge_draft",
    "There is a draft note in the record that is merged.",
    "Its author has to sign, move or discard it first.",
)
HELD = Reason(
    "merge_legal_hold",
    "There is a legal hold on the record that is merged. It has to be kept as it is.",
    f"{MERGE_OTHER_WAY} Or an admin or the client’s supervisor can lift the hold once it is no longer needed.",
)
ASSIGNING = Reason(
    "merge_waiting_handout",
    "A handout is being assigned to several clients, including the one whose record is merged.",
    "Wait until this is finished.",
)
PRIVATE_WRITING = Reason(
    "merge_private_writing",
    "The client has written something in the portal, in the record that is merged. Only they can open what they didn’t "
    "share.",
    MERGE_OTHER_WAY,
)
PARTNER = Reason(
    "merge_other_partner",
    "The record that is merged names a partner who isn’t named in the record that is kept.",
    "Write the partner’s name in the record that is kept, so that conflicts are found. If only one of the two names "
    "is right, correct the other one.",
)
WITHDRAWN = Reason(
    "merge_consent_withdrawn",
    "Consent was withdrawn in only one of the two records, or on different days.",
    "Record the withdrawal with the same day in both. If the client has given consent since, record that in the "
    f"record with the withdrawal. {OR_MERGE_OTHER_WAY}",
)
SAFE_CONTACT = Reason(
    "merge_safe_contact",
    "A safe time, code word or warning of the record that is merged is missing or worded differently in the other one.",
    "Ask the client, and write what still applies in both records, in the same words.",
)
PLAN = Reason(
    "merge_safety_plan",
    "The newest safety plan is in the record that is merged, and safety plans are not merged.",
    f"Write it in the record that is kept. {OR_MERGE_OTHER_WAY}",
)


@dataclass(frozen=True)
class MergedRecord:
    """What a merge depends on in one of the two records.

    `coaches` are the coaches with an active account, `denied` whoever must not see the client. `has_emergency` tells
    that emergency access is open or hasn't been reviewed, `has_private_writing` that there is something only the client
    can open, and `has_undecided` that nobody has decided about a possible conflict with a third client. `plan_at` is
    when the newest safety plan was written.
    """

    client: ClientRecord
    safety: DerivedState
    coaches: frozenset[UUID]
    denied: frozenset[UUID]
    is_responsible: bool
    has_open_case: bool
    has_emergency: bool
    has_erasure: bool
    has_legal_hold: bool
    has_draft: bool
    has_waiting_handout: bool
    has_private_writing: bool
    has_undecided: bool
    plan_at: datetime | None


@dataclass(frozen=True)
class MergeFacts:
    """The record that is merged and the one that is kept, and the codes of MATCH_REASONS by which they match.

    `is_decided` tells that somebody has decided that both clients can be coached here. `withdrawn_on` is the day of a
    withdrawal of consent that is in force by the entries of both records together.
    """

    gone: MergedRecord
    stays: MergedRecord
    reasons: frozenset[str]
    is_decided: bool
    withdrawn_on: date | None


def list_merge_blockers(facts: MergeFacts, *, despite_decision: bool) -> list[Reason]:
    """List why a supervisor who sees both records can't merge the one into the other; empty when they can.

    `despite_decision` is their confirmation that the two are one person although somebody has decided about a possible
    conflict between them.
    """
    gone, stays = facts.gone, facts.stays
    if gone.client.id == stays.client.id:
        return [SAME_CLIENT]
    found = [
        reason
        for reason, applies in (
            (COUPLE, not PARTNER_REASONS.isdisjoint(facts.reasons)),
            (NOT_ALIKE, not facts.reasons),
            (ONLY_CONTACT, facts.reasons == {"same_contact"}),
            (BIRTH_YEAR, _differ(gone.client.birth_year, stays.client.birth_year)),
            (DECIDED, facts.is_decided and not despite_decision),
            (ONLY_COVERS, not (gone.is_responsible and stays.is_responsible)),
            (TWO_OPEN_CASES, gone.has_open_case and stays.has_open_case),
            (OTHER_COACH, not gone.coaches <= stays.coaches),
            (DENIED, gone.denied != stays.denied),
            (EMERGENCY, gone.has_emergency or stays.has_emergency),
            (ERASURE, gone.has_erasure or stays.has_erasure),
            (HELD, gone.has_legal_hold),
            (UNDECIDED, gone.has_undecided),
            (DRAFT, gone.has_draft),
            (ASSIGNING, gone.has_waiting_handout),
            (PRIVATE_WRITING, gone.has_private_writing),
            (WITHDRAWN, _is_consent_unclear(facts)),
        )
        if applies
    ]
    return [
        *found,
        *list_detail_differences(gone.client, stays.client),
        *list_lost_plans(gone.plan_at, stays.plan_at),
        *list_lost_safety(gone.safety, stays.safety),
    ]


def list_detail_differences(gone: ClientRecord, stays: ClientRecord) -> list[Reason]:
    """List where the details of the record that is merged are stricter than those of the record that is kept.

    Ways of contact stay safe only where both records list them as safe, and nothing that protects the client is lost.
    """
    found = []
    partner = fold_for_search(gone.partner_name or "")
    if partner and partner != fold_for_search(stays.partner_name or ""):
        found.append(PARTNER)
    only_there = [
        label
        for channel, label in CHANNELS.items()
        if stays.safe.allows(channel) and not gone.safe.allows(channel)
    ]
    if only_there:
        found.append(
            Reason(
                "merge_unsafe_channel",
                f"Only the record that is kept lists this as safe: {', '.join(map(str, only_there))}.",
                "Ask the client, and make the safe ways of contact the same in both records.",
            )
        )
    for name in ("times", "code_word", "warning"):
        words = _fold(getattr(gone.safe, name))
        if words and words != _fold(getattr(stays.safe, name)):
            found.append(SAFE_CONTACT)
            break
    return found


def _fold(words: str) -> str:
    return " ".join(fold_for_search(words).split())


def _differ(year: int | None, other: int | None) -> bool:
    return year is not None and other is not None and year != other


def _is_consent_unclear(facts: MergeFacts) -> bool:
    """Tell whether a withdrawal is only in one record, or would not be in force as in the record that is kept.

    The entries move, and whether there is consent is derived from all of them whenever one is marked as an error.
    """
    gone, stays = facts.gone.client.consent_withdrawn_on, facts.stays.client.consent_withdrawn_on
    return (gone is None) != (stays is None) or facts.withdrawn_on != stays


def list_lost_plans(gone_at: datetime | None, stays_at: datetime | None) -> list[Reason]:
    """Say so when the newest safety plan is in the record that is merged."""
    return [PLAN] if gone_at and (stays_at is None or stays_at < gone_at) else []


def list_lost_safety(gone: DerivedState, stays: DerivedState) -> list[Reason]:
    """List what counts in the record that is merged and would not count as strictly afterwards.

    Safety events are chained and are not merged, so the record that is kept has to be the stricter one in everything:
    it has each open hold, without an exception, each active flag and each current circumstance. Each item at watch or
    above is at least as high there, or was asked there since, as the protocol lets an answer lower another one; and
    it has lasted there for as long.
    """
    holds = {hold.kind for hold in stays.holds if not hold.allowed_handout}
    flags = {flag.kind for flag in stays.flags}
    lost = [
        *(f"an open {hold.kind} hold" for hold in gone.holds if hold.kind not in holds),
        *(f"the flag “{FLAG_LABELS[flag.kind]}”" for flag in gone.flags if flag.kind not in flags),
        *(
            f"the circumstance “{CIRCUMSTANCES[key].label}”"
            for key in gone.circumstances
            if key not in stays.circumstances
        ),
    ]
    found = []
    if lost:
        found.append(
            _loses(
                f"Only the record that is merged has {', '.join(lost)}.",
                "Record the same in the record that is kept.",
            )
        )
    weaker = [
        key
        for key, answer in gone.answers.items()
        if answer.level >= Level.WATCH and not _covers(key, stays.answers.get(key), answer)
    ]
    if weaker:
        found.append(
            _loses(
                f"The record that is merged has a higher level for: {_label(weaker)}.",
                "Record a screening of these questions in the record that is kept, and ask them with the client alone.",
            )
        )
    shorter = [
        key
        for key, raised in gone.raised.items()
        if key not in weaker and _lasts_less(stays.raised.get(key), raised)
    ]
    if shorter:
        found.append(
            _loses(
                f"In the record that is merged, this has lasted longer: {_label(shorter)}.",
                "Record a screening in the record that is kept, and enter the date from which it has lasted.",
            )
        )
    return found


def _loses(message: str, way_out: str) -> Reason:
    return Reason("merge_loses_safety", message, f"{way_out} {OR_MERGE_OTHER_WAY}")


def _label(keys: Iterable[str]) -> str:
    wanted = {*keys}
    return ", ".join(str(item.label) for key, item in ITEMS_BY_KEY.items() if key in wanted)


def _covers(key: str, answer: Answer | None, before: Answer) -> bool:
    """Tell whether an answer in the record that is kept is as high as the other one, or newer and asked properly."""
    if answer is None:
        return False
    is_newer = answer.session_at > before.session_at
    return answer.level >= before.level or (
        is_newer and (answer.asked_alone or key != FEAR_AT_HOME)
    )


def _lasts_less(other: Raised | None, raised: Raised) -> bool:
    """Tell whether an item that is raised in both records began later in the one that is kept.

    Where it isn't raised there, a newer answer has ended it: `_covers` tells that.
    """
    return other is not None and _begin(other) > _begin(raised)


def _begin(raised: Raised) -> date:
    return min(filter(None, (raised.began_at.date(), raised.reported_since)))


def check_merge(merge: LockedMerge, facts: MergeFacts, *, despite_decision: bool) -> None:
    """Check that two records can be merged, as they were found after the locks of both.

    Raises RuleBroken.
    """
    assert facts.stays.client == merge.stays.record  # noqa: S101 - the caller has read what it has locked
    refuse_for(list_merge_blockers(facts, despite_decision=despite_decision))
