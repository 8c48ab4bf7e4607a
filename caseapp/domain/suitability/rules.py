"""Rules for whether a handout may reach a client now; worked out at each use and never stored.

The outcome is eligible, caution or blocked, with every reason. A handout's `hold_ok` alone decides what a hold allows;
all other conditions are its contraindications. Content map, sections (d) and (f); awaiting clinical sign-off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.core.errors import Reason
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.library import ANY_STAGE, CHANNELS, library
from caseapp.domain.handouts.rendering import describe_empty_block, find_empty_blocks
from caseapp.domain.handouts.rules import list_version_blockers
from caseapp.domain.screening.protocol import Level
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION, ELIGIBLE, Situation, Suitability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.handouts.library import Contraindication, Handout
    from caseapp.domain.handouts.queries import LibraryItem
    from caseapp.domain.practice.queries import HelpLines
    from caseapp.domain.screening.queries import SafetyState

IN_PERSON_ONLY = "in_person"
"""The safe channel of a client who must not be sent anything."""
IN_PERSON = (IN_PERSON_ONLY,)
BY_HAND = ("in_person", "print")
# No handout of these stages may be used while contact is blocked, a hold is open or safety is unknown.
CONTACT_STAGES = frozenset({"contact", "reconnect", "repair"})
ALLOWED_IN_HOLD = {"safety": {"safety"}, "care": {"safety", "care"}}
WILLING = frozenset({"several", "agreed"})
AFFAIR = frozenset({"spouse", "client", "both"})
SCREEN_AGAIN = "Record a full screening and ask the three safety questions in private."
SCREEN_TAGS = frozenset({"safety_screen_unknown", "safety_screen_older_than_14_days"})
WAYS_OUT = {
    "hold_open": "The Hold page shows how to release it.",
    "contact_block": "A supervisor can clear the flag when its reason no longer applies.",
    "safety_screen_unknown": SCREEN_AGAIN,
    "safety_screen_older_than_14_days": SCREEN_AGAIN,
    "joint_consent": "Under Details, record that the spouse is open to contact and has either shown several signs of "
    "willingness or agreed to work on it.",
    "court_order": "Once the order has ended, record that under Details.",
}


def derive_situation(
    safety: SafetyState, facts: Mapping[str, Any], *, in_person_only: bool = False
) -> Situation:
    """Derive what suitability depends on from a client's safety state and a case's presenting facts.

    Urgent substance use means signs of withdrawal, so it counts as a withdrawal risk even if the flag is not set.
    """
    flags = safety.flags
    if safety.last_screening and safety.last_screening.levels.get("substances") == Level.URGENT:
        flags |= {"withdrawal_risk"}
    return Situation(
        hold=safety.hold,
        flags=flags,
        screened=safety.last_screening is not None,
        safety_items_asked=safety.safety_items_asked,
        recent=safety.is_recent,
        facts=facts,
        in_person_only=in_person_only,
    )


def situation_in_case(context: CaseContext) -> Situation:
    """Derive the situation of a case's client."""
    only = IN_PERSON_ONLY in context.client.safe.channels
    return derive_situation(context.safety, context.facts, in_person_only=only)


def condition_applies(tag: str, situation: Situation) -> bool:
    """Tell whether the condition that a contraindication names is met."""
    facts = situation.facts
    if tag == "contact_block":
        return situation.contact_blocked
    if tag == "court_order":
        return situation.has_order
    if tag == "safety_screen_unknown":
        return not situation.safety_items_asked
    if tag == "safety_screen_older_than_14_days":
        return not situation.recent
    if tag == "joint_consent":
        return not (
            facts.get("spouse_willingness") in WILLING
            and facts.get("spouse_contact_wish") == "open"
        )
    if tag == "distance_only":
        return facts.get("living_arrangement") != "long_distance"
    if tag == "recent_affair":
        return facts.get("affair_disclosed") in AFFAIR
    if tag == "unsafe_delivery":
        return situation.in_person_only or tag in situation.flags
    return tag in situation.flags


def assess_suitability(
    handout: Handout, situation: Situation, *, stage: str | None = None
) -> Suitability:
    """Assess a handout for a situation.

    `stage` is the case's stage: a handout of a later stage needs caution. A block always outweighs a caution.
    """
    met = [found for found in handout.contraindications if condition_applies(found.tag, situation)]
    blockers = _blockers(handout, situation, [found for found in met if found.effect == "block"])
    if blockers:
        return Suitability(BLOCKED, blockers, ())
    cautions = [_reason(found) for found in met if found.effect != "block"]
    channels = tuple(channel for channel in CHANNELS if channel in handout.channels)
    if any(found.effect == "in_session" for found in met):
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
    cautions += _stage_cautions(handout, stage)
    return Suitability(CAUTION if cautions else ELIGIBLE, tuple(cautions), channels)


def assess_for_practice(
    handout: Handout, situation: Situation, help_lines: HelpLines, stage: str | None = None
) -> Suitability:
    """Assess a handout, and block it also when the practice lists no help lines for one of its blocks."""
    suitability = assess_suitability(handout, situation, stage=stage)
    if empty := find_empty_blocks(handout, help_lines):
        before = suitability.reasons if suitability.outcome == BLOCKED else ()
        return Suitability(BLOCKED, (*before, *map(describe_empty_block, empty)), ())
    return suitability


def delivery_blockers(
    handout: Handout, channel: str, situation: Situation, help_lines: HelpLines
) -> tuple[Reason, ...]:
    """List why an assigned handout must not reach the client through a channel now; empty when it may."""
    suitability = assess_for_practice(handout, situation, help_lines)
    if suitability.outcome == BLOCKED or channel not in suitability.channels:
        return suitability.reasons
    return ()


def assignment_blockers(
    item: LibraryItem,
    suitability: Suitability,
    channel: str,
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
        return _channel_blockers(suitability)
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


def _channel_blockers(suitability: Suitability) -> list[Reason]:
    about = [r for r in suitability.reasons if r.code in {"in_session_only", "by_hand_only"}]
    return about or [
        Reason(
            "channel_not_available",
            "This handout isn't available through this channel.",
            "Choose another channel.",
        )
    ]


def _blockers(
    handout: Handout, situation: Situation, contraindications: list[Contraindication]
) -> tuple[Reason, ...]:
    """List what blocks a handout, each code once; the handout's own wording comes before the general one."""
    found: dict[str, Reason] = {}
    if situation.hold and handout.hold_ok not in ALLOWED_IN_HOLD[situation.hold]:
        found["hold_open"] = Reason(
            "hold_open",
            f"A {situation.hold} hold is open, and this handout isn't meant for use during a hold.",
            "Choose a handout that is allowed during this hold. The Hold page shows how to release the hold.",
        )
    for reason in (*map(_reason, contraindications), *_contact_blockers(handout, situation)):
        found.setdefault(reason.code, reason)
    if not situation.screened and found.keys() & SCREEN_TAGS:
        # Without any screening, two reasons about its age and answers would only confuse.
        found = {code: reason for code, reason in found.items() if code not in SCREEN_TAGS}
        found["never_screened"] = Reason(
            "never_screened", "There is no screening yet.", SCREEN_AGAIN
        )
    return tuple(found.values())


def _contact_blockers(handout: Handout, situation: Situation) -> list[Reason]:
    """Apply the general rule for the stages contact, reconnect and repair; content map, section (f)."""
    if handout.stage not in CONTACT_STAGES:
        return []
    conditions = (
        (situation.hold, "hold_open", f"A {situation.hold} hold is open."),
        (situation.contact_blocked, "contact_block", "Contact is blocked at present."),
        (
            not situation.safety_items_asked,
            "safety_screen_unknown",
            "A safety question wasn't answered in the last screening.",
        ),
        (
            not situation.recent,
            "safety_screen_older_than_14_days",
            "The last screening is more than 14 days old.",
        ),
    )
    return [Reason(code, message, WAYS_OUT[code]) for met, code, message in conditions if met]


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


def _reason(found: Contraindication) -> Reason:
    way_out = WAYS_OUT.get(found.tag, "Choose another handout.")
    other = library().get((found.use_instead or "", "en"))
    if other:
        way_out = f"Use “{other.title}” instead."
    return Reason(found.tag, found.because, way_out)
