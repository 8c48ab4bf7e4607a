"""Suitability: may this sheet be given to this client now? Worked out anew at each use, never stored.

The answer is give, careful or refuse, with every reason in words. Holds are spoken of by the sheet's `hold_ok` alone;
the other conditions are its contraindications. Content map, sections (d) and (f); awaiting clinical sign-off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caseapp.core.errors import Reason
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.library import ANY_STAGE, library
from caseapp.domain.screening.protocol import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.handouts.library import Contraindication, Handout
    from caseapp.domain.screening.queries import Safety

GIVE, CAREFUL, REFUSE = "give", "careful", "refuse"
CHANNELS = ("in_person", "print", "portal")
IN_PERSON = ("in_person",)
BY_HAND = ("in_person", "print")
# No sheet of these stages goes out while contact is barred, a hold is open or safety is unknown.
CONTACT_STAGES = frozenset({"contact", "reconnect", "repair"})
ALLOWED_IN_HOLD = {"safety": {"safety"}, "care": {"safety", "care"}}
WILLING = frozenset({"several", "agreed"})
AFFAIR = frozenset({"spouse", "client", "both"})
SCREEN_AGAIN = "Record a full screening with the three safety questions asked in private."
SCREEN_TAGS = frozenset({"safety_screen_unknown", "safety_screen_older_than_14_days"})
HOW = {
    "hold_open": "See under Hold how it ends.",
    "contact_block": "A supervisor can lift the block once its ground is gone.",
    "safety_screen_unknown": SCREEN_AGAIN,
    "safety_screen_older_than_14_days": SCREEN_AGAIN,
    "joint_consent": "Record the spouse's own yes under Details: open to contact, and several signs or agreed.",
    "court_order": "Record under Details when the order has ended.",
}


@dataclass(frozen=True)
class Situation:
    """Hold what is known of a client's safety and case at this moment, as plain values."""

    hold: str | None = None
    flags: frozenset[str] = frozenset()
    screened: bool = True
    safety_known: bool = True
    recent: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    in_person_only: bool = False

    @property
    def contact_barred(self) -> bool:
        """Tell whether contact is barred: by the flag, by any order, or by the spouse's clear wish."""
        asked = self.facts.get("spouse_contact_wish") == "asked_for_none"
        return "contact_block" in self.flags or self.order or asked

    @property
    def order(self) -> bool:
        """Tell whether a protective or no-contact order is on record."""
        return bool(self.facts.get("order", "none") != "none")

    @property
    def by_hand_only(self) -> bool:
        """Tell whether nothing may travel: it is read in the room or handed over there."""
        return self.in_person_only or bool(self.flags & {"unsafe_delivery", "violence_flag"})


@dataclass(frozen=True)
class Verdict:
    """Say whether a sheet may be given, by which channels, and why not or why with care."""

    outcome: str
    reasons: tuple[Reason, ...] = ()
    channels: tuple[str, ...] = CHANNELS


def situation_of(
    safety: Safety, facts: Mapping[str, Any], *, in_person_only: bool = False
) -> Situation:
    """Gather what the verdict needs from a client's safety and a case's presenting facts.

    Urgent drink or drugs means signs of withdrawal, so it counts as a withdrawal risk whether or not the flag is up.
    """
    flags = safety.flags
    if safety.last and safety.last.levels.get("substances") == Level.URGENT:
        flags |= {"withdrawal_risk"}
    return Situation(
        hold=safety.hold,
        flags=flags,
        screened=safety.last is not None,
        safety_known=safety.safety_known,
        recent=safety.recent,
        facts=facts,
        in_person_only=in_person_only,
    )


def applies(tag: str, situation: Situation) -> bool:
    """Tell whether the condition that a contraindication names is there."""
    facts = situation.facts
    if tag == "contact_block":
        return situation.contact_barred
    if tag == "court_order":
        return situation.order
    if tag == "safety_screen_unknown":
        return not situation.safety_known
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


def judge(handout: Handout, situation: Situation, *, stage: str | None = None) -> Verdict:
    """Judge a handout for a situation; a pure function.

    `stage` is the case's stage: a sheet of a later one asks for care. What refuses always outweighs what asks for care.
    """
    met = [found for found in handout.contraindications if applies(found.tag, situation)]
    refusals = _refusals(handout, situation, [found for found in met if found.effect == "block"])
    if refusals:
        return Verdict(REFUSE, refusals, ())
    cautions = [_reason(found) for found in met if found.effect != "block"]
    channels = tuple(channel for channel in CHANNELS if channel in handout.channels)
    if any(found.effect == "in_session" for found in met):
        channels = IN_PERSON
        cautions.append(
            Reason("in_session_only", "Only together, in the room.", "Choose “Read together”.")
        )
    elif situation.by_hand_only:
        channels = tuple(channel for channel in channels if channel in BY_HAND)
        cautions.append(
            Reason(
                "by_hand_only",
                "No safe way to send anything is confirmed, so it only changes hands in the room.",
                "Read it together, or print it and hand it over if the client can keep it safely.",
            )
        )
    cautions += _stage_caution(handout, stage)
    return Verdict(CAREFUL if cautions else GIVE, tuple(cautions), channels)


def _refusals(
    handout: Handout, situation: Situation, blocks: list[Contraindication]
) -> tuple[Reason, ...]:
    """Gather what refuses, each ground once: the sheet's own words before those of the global rule."""
    found: dict[str, Reason] = {}
    if situation.hold and handout.hold_ok not in ALLOWED_IN_HOLD[situation.hold]:
        found["hold_open"] = Reason(
            "hold_open",
            f"A {situation.hold} hold is open, and this sheet is not one for that time.",
            "Choose a sheet marked for a hold; see under Hold how it ends.",
        )
    for reason in (*map(_reason, blocks), *_contact_rule(handout, situation)):
        found.setdefault(reason.code, reason)
    if not situation.screened and found.keys() & SCREEN_TAGS:
        # Two reasons about a screening that never was would only confuse.
        found = {code: reason for code, reason in found.items() if code not in SCREEN_TAGS}
        found["never_screened"] = Reason(
            "never_screened", "There is no screening yet.", SCREEN_AGAIN
        )
    return tuple(found.values())


def _contact_rule(handout: Handout, situation: Situation) -> list[Reason]:
    """Apply the global rule to sheets of contact, reconnecting and repair; content map, section (f)."""
    if handout.stage not in CONTACT_STAGES:
        return []
    rules = (
        (situation.hold, "hold_open", f"A {situation.hold} hold is open."),
        (situation.contact_barred, "contact_block", "Contact is barred at present."),
        (
            not situation.safety_known,
            "safety_screen_unknown",
            "A safety question was left out the last time.",
        ),
        (
            not situation.recent,
            "safety_screen_older_than_14_days",
            "The last screening is more than 14 days old.",
        ),
    )
    return [Reason(code, message, HOW[code]) for met, code, message in rules if met]


def _stage_caution(handout: Handout, stage: str | None) -> list[Reason]:
    if stage is None or handout.stage == ANY_STAGE or handout.fits(stage):
        return []
    known = stage_by_id()
    first = min((known[fit] for fit in (handout.stage, *handout.also_fits)), key=lambda s: s.number)
    if first.number <= known[stage].number:
        return []
    return [
        Reason(
            "later_stage",
            f"It belongs to {first.title}, and the case is in {known[stage].title}.",
            "Give it only if you have a reason to go ahead of the stage.",
        )
    ]


def _reason(found: Contraindication) -> Reason:
    how = HOW.get(found.tag, "")
    other = library().get((found.use_instead or "", "en"))
    if other:
        how = f"Use “{other.title}” instead."
    return Reason(found.tag, found.because, how)
