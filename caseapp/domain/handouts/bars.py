"""The bars of a handout: the holds, channels and conditions that keep it from a client.

A version has at least the bars of the library handout that it is or is based on, as the library says today, and those
that follow from what it involves and from its stage. They are worked out at each use and never stored, so that a
correction in the library counts at once for everything that is published. Sources: content map, sections (d), (e) and
(f), and the panel's findings HA-1 and SAF-7; awaiting clinical sign-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from caseapp.domain.handouts.library import (
    ANY_STAGE,
    CHANNELS,
    CONTACT_STAGES,
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
    "safety_screen_unknown": "A safety question was not asked, or fear at home not asked alone",
    "safety_screen_older_than_14_days": "Screening older than 14 days",
    "recent_affair": "An affair was disclosed",
    "court_order": "A court order",
    "fear_unknown": "Fear at home was not asked about alone",
    "fear_watch": "Fear at home at watch or higher",
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
    "violence_flag": "The client is or was harmed, or is afraid.",
    "client_harm_flag": "The client has harmed, threatened or followed someone; refer to a specialist service.",
    "safety_screen_unknown": "A safety question wasn't answered in the last screening, or fear at home wasn't asked "
    "about alone.",
    "safety_screen_older_than_14_days": "The last screening is more than 14 days old.",
    "fear_unknown": "Fear at home wasn't asked about when the client was alone.",
    "fear_watch": "There is tension or fear at home, so nothing is done as a couple for now.",
    "joint_consent": "The parts for two need a free yes from both partners.",
}
GENERAL_USE_INSTEAD = {"violence_flag": "a-private-check"}
# Content map, section (d), "NOT here" of the first three stages: no contact script, romance or couple exercises.
FOR_LATER = frozenset({"contact", "two_people"})
EARLY_STAGES = frozenset({"steady", "understand", "rebuild", ANY_STAGE})
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


@cache
def get_bars(handout: Handout) -> Bars:
    """Work out all bars of a handout, its own and inherited ones."""
    original = find_original(handout)
    versions = (handout, original) if original else (handout,)
    involves = _find_contents(handout, original)
    marks = {one.hold_ok for one in versions} | ({"none"} if involves else set())
    return Bars(
        hold_ok=min(marks, key=_MARKS.index),
        channels=tuple(c for c in CHANNELS if all(c in one.channels for one in versions)),
        involves=involves,
        conditions=_keep_strongest(
            [*(bar for one in versions for bar in _own_bars(one)), *_bars_of_content(involves)]
        ),
    )


def find_original(handout: Handout) -> Handout | None:
    """Return the library handout that a version is or is based on, as it is today; None if it is that or has none.

    A text without a counterpart in its language follows the English one.
    """
    slug = handout.based_on or handout.id
    found = library().get((slug, handout.language)) or library().get((slug, "en"))
    return None if found == handout else found


def _find_contents(handout: Handout, original: Handout | None) -> frozenset[str]:
    found = handout.involves or frozenset()
    if original:
        found |= original.involves or frozenset()
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


def list_laxer_statements(handout: Handout) -> list[tuple[str, str]]:
    """List where a handout's own front matter is laxer than its bars, each with the front matter's key."""
    return [*_laxer_statements(handout, get_bars(handout))]


def _laxer_statements(handout: Handout, bars: Bars) -> Iterator[tuple[str, str]]:
    if handout.hold_ok != bars.hold_ok:
        mark, allowed = (HOLD_MARK_LABELS[one].lower() for one in (handout.hold_ok, bars.hold_ok))
        yield "hold_ok", f"it is marked “{mark}”, but the rule is “{allowed}”"
    for channel in handout.channels:
        if channel not in bars.channels:
            yield "delivery", f"{channel} is not a way in which clients may receive it"
    if handout.involves is not None:
        for content in sorted(bars.involves - handout.involves):
            yield "involves", f"it involves {CONTENT_LABELS[content].lower()}"
    effects = {bar.tag: bar.effect for bar in bars.conditions}
    for one in handout.contraindications:
        if one.effect != effects[one.tag]:
            weak, strong = (EFFECT_LABELS[name].lower() for name in (one.effect, effects[one.tag]))
            yield "contraindications", f"{TAG_LABELS[one.tag]}: “{weak}” must be “{strong}”"


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
        if other is None or blocked or other.id in {handout.id, handout.based_on}:
            found.append(
                (
                    "contraindications",
                    f"{TAG_LABELS[one.tag]}: {one.use_instead} can’t take its place",
                )
            )
    return found
