"""The bars of a handout: the holds, channels and conditions that keep it from a client.

A version has at least the bars of the library handout that it is or is based on, as the library says today, and those
that follow from what it involves and from its stage. Only a licensed clinician can accept less, by name, and never less
than what it involves demands. Bars are worked out at each use and never stored, so that a
correction in the library counts at once for everything that is published. Sources: content map, sections (d), (e) and
(f), and the panel's findings HA-1 and SAF-7; awaiting clinical sign-off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from caseapp.domain.handouts.library import (
    ANY_MARKER,
    ANY_STAGE,
    CHANNELS,
    CONTACT_STAGES,
    CONTENTS,
    TAGS,
    ClinicianDecision,
    Contraindication,
    library,
)
from caseapp.domain.screening.protocol import FLAG_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caseapp.domain.handouts.library import Handout

HOLD_MARK_LABELS = {
    "none": "Not while a hold is open",
    "care": "Even during a care hold",
    "safety": "Even during a safety hold",
}
"""During which holds a handout may be used, the strictest first."""
EFFECT_LABELS = {
    "warn": "Caution",
    "in_session": "Only in a session with the client",
    "block": "Blocked",
}
"""What a condition does when it is met, the weakest first."""
TAG_LABELS = FLAG_LABELS | {
    "joint_consent": "Without consent from both partners",
    "distance_only": "Not living far apart",
    "safety_screen_unknown": "A safety question was not asked, or fear at home was not asked about alone",
    "safety_screen_older_than_14_days": "A safety question was last asked more than 14 days ago",
    "recent_affair": "An affair was disclosed",
    "court_order": "A court order",
    "fear_unknown": "Fear at home was not asked about alone",
    "fear_watch": "Fear at home at Watch or above",
}
CONTENT_LABELS = {
    "contact": "Contact with the partner, time together or living together again",
    "two_people": "Something that both partners do together",
    "limits": "Setting limits",
    "own_part": "The client’s own part in what happened",
}
BARS_OF_CONTENT = {
    # Section (f), "Global rule", and "Do not give when" of every handout of the stages contact, reconnect and repair.
    "contact": (
        ("contact_block", "block"),
        ("violence_flag", "block"),
        ("client_harm_flag", "block"),
        ("safety_screen_unknown", "block"),
        ("safety_screen_older_than_14_days", "block"),
    ),
    # Section (e), 4c: no couple work at concern, "no joint handouts meanwhile" at watch or if not asked alone. Every
    # handout for two names consent: a block, or a caution where only a part of it needs both.
    "two_people": (
        ("violence_flag", "block"),
        ("client_harm_flag", "block"),
        ("fear_unknown", "block"),
        ("fear_watch", "block"),
        ("joint_consent", "warn"),
    ),
    # Section (e), 4c: "no limit-setting scripts"; section (f), H14.
    "limits": (
        ("violence_flag", "block"),
        ("client_harm_flag", "block"),
        ("fear_unknown", "block"),
    ),
    # Section (d), 2: none where there is abuse; section (f), H11; HA-1, 2 for a client who harms.
    "own_part": (
        ("violence_flag", "block"),
        ("client_harm_flag", "block"),
        ("fear_unknown", "block"),
    ),
}
"""The conditions that follow from each of CONTENTS, with their effect. None of these handouts is used during a hold."""
GENERAL_WORDING = {
    "contact_block": "Contact is blocked at present.",
    "violence_flag": "The client is being harmed, has been harmed or is afraid.",
    "client_harm_flag": "The client has harmed, threatened or followed someone; refer to a specialist service.",
    "safety_screen_unknown": "A safety question hasn’t been asked, or fear at home wasn’t asked about alone.",
    "safety_screen_older_than_14_days": "A safety question was last asked more than 14 days ago.",
    "fear_unknown": "Fear at home wasn’t asked about when the client was alone.",
    "fear_watch": "There is tension or fear at home, so anything for couples has to wait.",
    "joint_consent": "The parts for couples need both partners’ freely given consent.",
}
GENERAL_USE_INSTEAD = {"violence_flag": "a-private-check"}
# Content map, section (d), "NOT here" of the first three stages: no contact script, romance or couple exercises.
FOR_LATER = frozenset({"contact", "two_people"})
EARLY_STAGES = frozenset({"steady", "understand", "rebuild", ANY_STAGE})
# A text that repeats three sentences of eight words or more is taken from a library handout; no two of those share one.
REPEATED_SENTENCES, LONG_SENTENCE = 3, 8
ACCEPTABLE = ("hold_ok", *CHANNELS, *CONTENTS, *TAGS)
"""What a clinician can accept: another hold mark, a channel, that it doesn't involve something, a weaker condition."""
_MARKS, _EFFECTS = [*HOLD_MARK_LABELS], [*EFFECT_LABELS]


@dataclass(frozen=True)
class Bar:
    """A condition and its effect on a handout, worded in `language`."""

    tag: str
    effect: str
    because: str
    use_instead: str | None
    language: str


@dataclass(frozen=True)
class Bars:
    """Everything that keeps a handout from a client; of each condition only the strongest effect."""

    hold_ok: str
    channels: tuple[str, ...]
    involves: frozenset[str]
    conditions: tuple[Bar, ...]


@lru_cache(maxsize=512)
def get_bars(handout: Handout) -> Bars:
    """Work out all bars of a handout: its own and those that it inherits, but for what a clinician has accepted."""
    originals, accepted = find_originals(handout), _list_accepted(handout)
    involves = _find_contents(handout, originals, accepted)
    marks = {handout.hold_ok} | ({"none"} if involves else set())
    if "hold_ok" not in accepted:
        marks |= _inherited_marks(handout, originals)
    inherited = [bar for one in originals for bar in _own_bars(one) if bar.tag not in accepted]
    return Bars(
        hold_ok=min(marks, key=_MARKS.index),
        channels=tuple(
            channel
            for channel in CHANNELS
            if channel in handout.channels
            and (channel in accepted or all(channel in one.channels for one in originals))
        ),
        involves=involves,
        conditions=_keep_strongest([*_own_bars(handout), *inherited, *_bars_of_content(involves)]),
    )


def find_originals(handout: Handout) -> tuple[Handout, ...]:
    """Return the library handouts whose bars a version inherits, as they are today.

    For an older version of the library that is the current one; for a practice handout the one that it is based on, and
    those from which it repeats several sentences. A text without a counterpart in its language follows the English one.
    """
    slug = handout.based_on or handout.id
    found = library().get((slug, handout.language)) or library().get((slug, "en"))
    named = [found] if found and found != handout else []
    return (*named, *(one for one in _find_repeated(handout) if one not in named))


def _find_repeated(handout: Handout) -> list[Handout]:
    if not handout.is_practice_handout:
        return []
    sentences = _split_sentences(handout.body)
    return [
        one
        for one in library().values()
        if one.language == handout.language
        and len(sentences & _split_sentences(one.body)) >= REPEATED_SENTENCES
    ]


@lru_cache(maxsize=512)
def _split_sentences(body: str) -> frozenset[str]:
    """Return the sentences of a text that are long enough to be recognised, without markers and punctuation."""
    text = ANY_MARKER.sub("", body).casefold()
    words = (re.findall(r"\w+", sentence) for sentence in re.split(r"[.?!\n]", text))
    return frozenset(" ".join(found) for found in words if len(found) >= LONG_SENTENCE)


def _list_accepted(handout: Handout) -> frozenset[str]:
    return frozenset(handout.clinician.accepted if handout.clinician else ())


def _inherited_marks(handout: Handout, originals: tuple[Handout, ...]) -> set[str]:
    """Return the hold marks that a version inherits; a practice's text from nothing may be used in no hold."""
    marks = {one.hold_ok for one in originals}
    if handout.is_practice_handout:
        of_stage = [one.hold_ok for one in library().values() if one.stage == handout.stage]
        marks |= {max(of_stage, key=_MARKS.index)} | (set() if originals else {"none"})
    return marks


def _find_contents(
    handout: Handout, originals: tuple[Handout, ...], accepted: frozenset[str]
) -> frozenset[str]:
    """Return what a version involves; a practice's text from nothing that doesn't answer may involve everything."""
    found = handout.involves or frozenset()
    if handout.is_practice_handout and handout.involves is None and not originals:
        found = frozenset(CONTENTS)
    for one in originals:
        found |= (one.involves or frozenset()) - accepted
    return found | {"contact"} if handout.stage in CONTACT_STAGES else found


def _own_bars(handout: Handout) -> Iterator[Bar]:
    for found in handout.contraindications:
        yield _bar(found, handout.language)


def _bar(found: Contraindication, language: str) -> Bar:
    return Bar(found.tag, found.effect, found.because, found.use_instead, language)


def _bars_of_content(involves: Iterable[str]) -> Iterator[Bar]:
    for content in sorted(involves):
        for tag, effect in BARS_OF_CONTENT[content]:
            yield Bar(tag, effect, GENERAL_WORDING[tag], GENERAL_USE_INSTEAD.get(tag), "en")


def _keep_strongest(bars: Iterable[Bar]) -> tuple[Bar, ...]:
    """Keep one bar for each tag, the strongest; of equally strong ones the first."""
    found: dict[str, Bar] = {}
    for bar in bars:
        before = found.get(bar.tag)
        if before is None or _EFFECTS.index(bar.effect) > _EFFECTS.index(before.effect):
            found[bar.tag] = bar
    return tuple(found.values())


@dataclass(frozen=True)
class LaxerStatement:
    """A point in which a handout's own front matter is laxer than its bars: its code, the key, and a text."""

    code: str
    key: str
    text: str


def list_laxer_statements(handout: Handout) -> list[LaxerStatement]:
    """List in what a handout's own front matter is laxer than its bars."""
    return [LaxerStatement(*found) for found in _laxer_statements(handout, get_bars(handout))]


def list_points_to_accept(handout: Handout) -> list[LaxerStatement]:
    """List in what a practice handout is laxer than what it inherits, so that only a clinician can accept it."""
    never = list_laxer_statements(as_if_accepted(handout))
    found = list_laxer_statements(replace(handout, clinician=None))
    return [one for one in found if one.code not in {other.code for other in never}]


def as_if_accepted(handout: Handout) -> Handout:
    """Return a handout with everything accepted that a clinician can accept."""
    return replace(handout, clinician=ClinicianDecision("", date.min, ACCEPTABLE))


def _laxer_statements(handout: Handout, bars: Bars) -> Iterator[tuple[str, str, str]]:
    if handout.hold_ok != bars.hold_ok:
        mark, allowed = (HOLD_MARK_LABELS[one].lower() for one in (handout.hold_ok, bars.hold_ok))
        yield "hold_ok", "hold_ok", f"it is marked “{mark}”, but the rule is “{allowed}”"
    for channel in handout.channels:
        if channel not in bars.channels:
            yield channel, "delivery", f"{channel} is not a way in which clients may receive it"
    if handout.involves is not None:
        for content in sorted(bars.involves - handout.involves):
            yield content, "involves", f"it involves this: {CONTENT_LABELS[content].lower()}"
    effects = {bar.tag: bar.effect for bar in bars.conditions}
    for one in handout.contraindications:
        if one.effect != effects[one.tag]:
            weak, strong = (EFFECT_LABELS[name].lower() for name in (one.effect, effects[one.tag]))
            text = f"{TAG_LABELS[one.tag]}: “{weak}” must be “{strong}”"
            yield one.tag, "contraindications", text


def list_contradictions(handout: Handout) -> list[tuple[str, str]]:
    """List where a handout's bars contradict each other or its stage, each with the front matter's key."""
    bars = get_bars(handout)
    found = []
    if bars.involves & FOR_LATER and handout.stage in EARLY_STAGES:
        found.append(
            (
                "stage",
                f"it involves contact or both partners, which the stage {handout.stage} rules out",
            )
        )
    tags = [one.tag for one in handout.contraindications]
    found += [
        ("contraindications", f"{TAG_LABELS[tag]} is stated twice")
        for tag in sorted({tag for tag in tags if tags.count(tag) > 1})
    ]
    if "joint_consent" in tags and "two_people" not in bars.involves:
        found.append(("involves", "it needs consent from both partners, so it involves both"))
    for one in handout.contraindications:
        if one.use_instead is None:
            continue
        other = library().get((one.use_instead, "en"))
        blocked = other and any(
            bar.tag == one.tag and bar.effect == "block" for bar in get_bars(other).conditions
        )
        if other is None or blocked or other.id == handout.id:
            found.append(
                (
                    "contraindications",
                    f"{TAG_LABELS[one.tag]}: {one.use_instead} can’t take its place",
                )
            )
    return found
