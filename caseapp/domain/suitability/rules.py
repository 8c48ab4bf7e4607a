"""Rules for whether a handout may reach a client now; worked out at each use and never stored.

The outcome is eligible, caution or blocked, with every reason. What can keep a handout from a client are its bars
(`handouts.bars`); here they meet the client's situation. Content map, sections (d) to (f); awaiting clinical sign-off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.rules import (
    CONSENT_WITHDRAWN,
    CONTACT_FROZEN,
    describe_unsafe_channel,
    list_channel_blockers,
)
from caseapp.domain.handouts.bars import get_bars
from caseapp.domain.handouts.library import ANY_STAGE, library
from caseapp.domain.handouts.rendering import describe_empty_block, find_empty_blocks
from caseapp.domain.handouts.rules import list_version_blockers
from caseapp.domain.screening.protocol import Level
from caseapp.domain.screening.rules import derive_flags
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION, ELIGIBLE, Situation, Suitability

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseContext, LockedCase
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.handouts.bars import Bar, Bars
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.handouts.queries import LibraryItem
    from caseapp.domain.practice.queries import HelpLines
    from caseapp.domain.screening.current import SafetyState

IN_PERSON_ONLY = "in_person"
"""The safe channel of a client who must not be sent anything."""
IN_PERSON = (IN_PERSON_ONLY,)
BY_HAND = ("in_person", "print")
ALLOWED_IN_HOLD = {"safety": {"safety"}, "care": {"safety", "care"}}
ALLOWED_IN_HOLD_BY_NAME = Reason(
    "allowed_in_hold",
    "A care hold is open, and a supervisor has allowed this handout.",
    "Go through it together, and notice how the client reacts.",
)
NOT_BARRED = Reason(
    "not_barred",
    "The hold doesn’t block this handout, so it doesn’t need to be allowed.",
    "Assign it under Handouts.",
)
NO_CARE_HOLD = Reason(
    "safety_hold_open",
    "A supervisor can’t allow a handout while a safety hold is open.",
    "Choose a handout that is allowed during a safety hold.",
)
CASE_CLOSED = Reason("case_closed", "This case is closed.", "Reopen it first.")
WILLING = frozenset({"several", "agreed"})
AFFAIR = frozenset({"spouse", "client", "both"})
SCREEN_AGAIN = "Ask the safety questions in private and record the screening."
ASK_ALONE = "Ask about fear at home when the client is alone, and record the answer as asked alone."
SCREEN_TAGS = frozenset(
    {"safety_screen_unknown", "safety_screen_older_than_14_days", "fear_unknown"}
)
PORTAL_NOT_SAFE = describe_unsafe_channel("portal")
WAYS_OUT = {
    "hold_open": "The hold page shows how to release it.",
    "contact_block": "A supervisor can clear the flag when its reason no longer applies.",
    "safety_screen_unknown": SCREEN_AGAIN,
    "safety_screen_older_than_14_days": SCREEN_AGAIN,
    "joint_consent": "Under Details, record that the spouse is open to contact and has either shown several signs of "
    "willingness or agreed to work on it.",
    "fear_unknown": ASK_ALONE,
    "fear_watch": ASK_ALONE,
    "court_order": "Once the order has ended, record that under Details.",
    CONTACT_FROZEN.code: CONTACT_FROZEN.way_out,
    PORTAL_NOT_SAFE.code: PORTAL_NOT_SAFE.way_out,
}


def derive_situation(
    client: ClientRecord,
    safety: SafetyState,
    facts: Mapping[str, Any],
    case_id: UUID | None = None,
) -> Situation:
    """Derive what suitability depends on from a client, their safety state and a case with its presenting facts.

    A flag counts as set as long as the newest answer has the level that sets it, also after it was cleared.
    """
    levels = safety.levels
    flags = safety.flags | derive_flags(levels)
    return Situation(
        hold=safety.hold,
        allowed=safety.list_allowed(case_id),
        flags=flags,
        screened=bool(safety.answers),
        safety_known=safety.safety_known,
        fear_known=safety.fear_known,
        fear_level=levels.get("fear_at_home"),
        recent=safety.safety_recent,
        facts=facts,
        in_person_only=IN_PERSON_ONLY in client.safe.channels,
        contact_confirmed_at=client.contact_confirmed_at,
        portal_blockers=tuple(list_channel_blockers(client, flags, "portal")),
        consent_withdrawn=client.consent_withdrawn_on is not None,
    )


def situation_in_case(context: CaseContext) -> Situation:
    """Derive the situation of a case's client."""
    return derive_situation(context.client, context.safety, context.facts, context.case.id)


def _lacks_joint_consent(situation: Situation) -> bool:
    facts = situation.facts
    return not (
        facts.get("spouse_willingness") in WILLING and facts.get("spouse_contact_wish") == "open"
    )


CONDITIONS: dict[str, Callable[[Situation], bool]] = {
    "contact_block": lambda situation: situation.contact_blocked,
    "court_order": lambda situation: situation.has_order,
    "safety_screen_unknown": lambda situation: not situation.safety_known,
    "safety_screen_older_than_14_days": lambda situation: not situation.recent,
    "fear_unknown": lambda situation: not situation.fear_known,
    "fear_watch": lambda situation: (situation.fear_level or 0) >= Level.WATCH,
    "joint_consent": _lacks_joint_consent,
    "distance_only": lambda situation: situation.facts.get("living_arrangement") != "long_distance",
    "recent_affair": lambda situation: situation.facts.get("affair_disclosed") in AFFAIR,
    # Content map, section (f): only in person or by a channel that is confirmed as safe.
    "unsafe_delivery": lambda situation: (
        situation.in_person_only
        or ("unsafe_delivery" in situation.flags and situation.by_hand_only)
    ),
}
"""When the condition of a bar is met; every other tag is a flag."""


def condition_applies(tag: str, situation: Situation) -> bool:
    """Tell whether the condition that a bar names is met."""
    applies = CONDITIONS.get(tag)
    return applies(situation) if applies else tag in situation.flags


def assess_for_situation(
    handout: Handout, situation: Situation, *, stage: str | None = None
) -> Suitability:
    """Assess a handout for a situation.

    `stage` is the case's stage: a handout of a later stage needs caution. A block always outweighs a caution.
    """
    bars = get_bars(handout)
    met = [bar for bar in bars.conditions if condition_applies(bar.tag, situation)]
    blocking = [bar for bar in met if bar.effect == "block"]
    is_allowed = situation.hold == "care" and handout.id in situation.allowed
    if blockers := _blockers(bars, situation, blocking, is_allowed=is_allowed):
        return Suitability(BLOCKED, blockers, ())
    cautions = [ALLOWED_IN_HOLD_BY_NAME] if is_allowed else []
    cautions += [_reason(bar, situation) for bar in met if bar.effect != "block"]
    channels = bars.channels
    if any(bar.effect == "in_session" for bar in met):
        channels = IN_PERSON
        cautions.append(
            Reason(
                "in_session_only",
                "Use it only in a session, together with the client.",
                "Choose “In person”.",
            )
        )
    elif situation.by_hand_only:
        channels = tuple(channel for channel in channels if channel in BY_HAND)
        cautions.append(
            Reason(
                "by_hand_only",
                "There is no confirmed safe way to send anything to this client, so use it only in a session.",
                "Read it together, or print it and hand it over if the client can keep it safely.",
            )
        )
    elif situation.portal_blockers:
        channels = tuple(channel for channel in channels if channel != "portal")
    cautions += _stage_cautions(handout, stage)
    return Suitability(CAUTION if cautions else ELIGIBLE, tuple(cautions), channels)


def assess_suitability(
    handout: Handout, situation: Situation, help_lines: HelpLines, stage: str | None = None
) -> Suitability:
    """Assess a handout, and block it also when the practice lists no help lines for one of its blocks."""
    suitability = assess_for_situation(handout, situation, stage=stage)
    if empty := find_empty_blocks(handout, help_lines):
        before = suitability.reasons if suitability.outcome == BLOCKED else ()
        return Suitability(BLOCKED, (*before, *map(describe_empty_block, empty)), ())
    return suitability


def delivery_blockers(
    handout: Handout, channel: str, situation: Situation, help_lines: HelpLines
) -> tuple[Reason, ...]:
    """List why an assigned handout must not reach the client through a channel now; empty when it may."""
    suitability = assess_suitability(handout, situation, help_lines)
    if suitability.outcome == BLOCKED:
        return suitability.reasons
    if channel not in suitability.channels:
        return tuple(_channel_blockers(suitability, channel, situation))
    return ()


def list_allowing_blockers(case: CaseContext, suitabilities: Sequence[Suitability]) -> list[Reason]:
    """List why a handout, assessed in each of its languages, can't be allowed in a case during its care hold.

    Nothing is allowed during a safety hold, nor what anything but the care hold bars. Findings about safety, "what a
    clinician would want next", 12; awaiting clinical sign-off.
    """
    if case.case.status != "open":
        return [CASE_CLOSED]
    if case.safety.hold == "safety":
        return [NO_CARE_HOLD]
    others = {
        reason.code: reason
        for one in suitabilities
        if one.outcome == BLOCKED
        for reason in one.reasons
        if reason.code != "hold_open"
    }
    if others:
        return [*others.values()]
    return [] if all(one.outcome == BLOCKED for one in suitabilities) else [NOT_BARRED]


def check_allowing(case: LockedCase, suitabilities: Sequence[Suitability]) -> None:
    """Check that a handout can be allowed in a case.

    Raises RuleBroken.
    """
    refuse_for(list_allowing_blockers(case, suitabilities))


def choose_channel(situation: Situation) -> str:
    """Return the channel that a form proposes for a client: the portal only where it is safe.

    Content map, section (e), "What the app must enforce", number 8: the default is reading together where nothing may
    be sent.
    """
    if situation.by_hand_only:
        return IN_PERSON_ONLY
    return "print" if situation.portal_blockers else "portal"


def list_suitability_blockers(
    item: LibraryItem,
    suitability: Suitability,
    channel: str,
    situation: Situation,
    *,
    already_assigned: bool,
    confirmed: bool,
) -> list[Reason]:
    """List why an assessed handout can't be assigned through a channel now; empty when it can.

    `confirmation_required` comes first when only a confirmation of the cautions is missing.
    """
    if found := list_version_blockers(item):
        return found
    if suitability.outcome == BLOCKED:
        return [*suitability.reasons]
    if channel not in suitability.channels:
        return _channel_blockers(suitability, channel, situation)
    if already_assigned:
        return [
            Reason(
                "already_assigned",
                "The client already has this handout through this channel.",
                "You can print it again under Handouts.",
            )
        ]
    if suitability.outcome == CAUTION and not confirmed:
        return [
            Reason(
                "confirmation_required",
                "Use this handout with caution.",
                "Read the reasons and confirm that you want to assign it.",
            ),
            *suitability.reasons,
        ]
    return []


def _channel_blockers(suitability: Suitability, channel: str, situation: Situation) -> list[Reason]:
    """List why a channel isn't one of those by which an assessed handout may reach the client."""
    reasons = {reason.code: reason for reason in suitability.reasons}
    if "in_session_only" in reasons:
        return [reasons["in_session_only"]]
    if channel == "portal" and situation.portal_blockers and not situation.in_person_only:
        return [*situation.portal_blockers]
    if "by_hand_only" in reasons:
        return [reasons["by_hand_only"]]
    return [
        Reason(
            "channel_not_available",
            "This handout isn’t available through this channel.",
            "Choose another channel.",
        )
    ]


def _blockers(
    bars: Bars, situation: Situation, met: list[Bar], *, is_allowed: bool
) -> tuple[Reason, ...]:
    """List what blocks a handout: withdrawn consent, an open hold and the blocking conditions that are met.

    With `is_allowed` a supervisor has allowed it during the care hold; every other condition stands. Withdrawn consent
    blocks every handout, also one that is meant for use during a hold. Awaiting sign-off.
    """
    found: dict[str, Reason] = {}
    if situation.consent_withdrawn:
        found[CONSENT_WITHDRAWN.code] = CONSENT_WITHDRAWN
    if _is_held(bars, situation) and not is_allowed:
        found["hold_open"] = Reason(
            "hold_open",
            f"A {situation.hold} hold is open, and this handout isn’t meant for use during a hold.",
            "Choose a handout that is allowed during this hold. The hold page shows how to release the hold.",
        )
    found |= {bar.tag: _reason(bar, situation) for bar in met}
    if not situation.screened and found.keys() & SCREEN_TAGS:
        # Without any screening, reasons about its age and answers would only confuse.
        found = {code: reason for code, reason in found.items() if code not in SCREEN_TAGS}
        found["never_screened"] = Reason(
            "never_screened", "There is no screening yet.", SCREEN_AGAIN
        )
    return tuple(found.values())


def _stage_cautions(handout: Handout, stage: str | None) -> list[Reason]:
    if stage is None or handout.stage == ANY_STAGE or handout.fits(stage):
        return []
    by_id = stage_by_id()
    first = min((by_id[fit] for fit in (handout.stage, *handout.also_fits)), key=lambda s: s.number)
    if first.number <= by_id[stage].number:
        return []
    return [
        Reason(
            "later_stage",
            f"It belongs to {first.title}, and the case is in {by_id[stage].title}.",
            "Assign it only if you have a reason to use a handout from a later stage.",
        )
    ]


def _is_held(bars: Bars, situation: Situation) -> bool:
    """Tell whether an open hold keeps a handout with these bars from the client."""
    return situation.hold is not None and bars.hold_ok not in ALLOWED_IN_HOLD[situation.hold]


def _may_replace(other: Handout, situation: Situation) -> bool:
    """Tell whether nothing blocks a handout that is named in place of another."""
    bars = get_bars(other)
    return not (
        situation.consent_withdrawn
        or _is_held(bars, situation)
        or any(
            bar.effect == "block" and condition_applies(bar.tag, situation)
            for bar in bars.conditions
        )
    )


def _reason(bar: Bar, situation: Situation) -> Reason:
    way_out = WAYS_OUT.get(bar.tag, "Choose another handout.")
    other = library().get((bar.use_instead or "", "en"))
    if other and _may_replace(other, situation):
        way_out = f"Use “{other.title}” instead."
    return Reason(bar.tag, bar.because, way_out)
