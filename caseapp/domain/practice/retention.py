"""For how long records are kept: periods by profile of a jurisdiction, as data with its sources.

Every figure awaits sign-off by a lawyer of the practice's jurisdiction. Whoever changes one raises VERSION. A clock
from a client's death is left out, since the program doesn't record a death: a record is kept as if the client lived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid
from caseapp.core.schemas import explain_too_short
from caseapp.core.text import count_written

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "2026-11-30"
"""The version of PROFILES. None is signed off."""
LAST_SERVICE, MAJORITY, LAST_DISCLOSURE = "last_service", "majority", "last_disclosure"
AGE_OF_MAJORITY = 18
"""Years, in every profile."""
LONGEST = 100
"""Years that a practice may choose at most."""
ASK_WHY, LEAST_REASON = "Write why some periods are shorter than the profile’s or than before", 10
"""How a reason for a shorter period is asked for, and the characters that it has at least."""
SAME_REASON = (
    "This is the reason of an earlier change. Write why records are kept for less time from now on."
)


@dataclass(frozen=True)
class Period:
    """What a period is for, and the clock that it runs from."""

    label: str
    clock: str


PERIODS = {
    "client": Period("A client’s record, after the last service", LAST_SERVICE),
    "minor": Period("The record of a client who was under age, after they come of age", MAJORITY),
    "children": Period(
        "A record that says that a child may be at risk, after the last service", LAST_SERVICE
    ),
    "enquiry": Period(
        "A record without a session or a screening, after the last contact", LAST_SERVICE
    ),
    "disclosures": Period("The disclosure log, after the last disclosure", LAST_DISCLOSURE),
}
"""By code. A record is kept until the last of the periods that apply to it is over."""


@dataclass(frozen=True)
class Figure:
    """Years, and where they come from."""

    years: int
    source: str


@dataclass(frozen=True)
class Profile:
    """The periods of a jurisdiction by their codes."""

    label: str
    figures: Mapping[str, Figure]


_APA = "APA Record Keeping Guidelines (2007), guideline 7; state law takes precedence"
_HIPAA = "45 CFR 164.528 and 164.316(b)(2): six years"
_NHS = "NHS Records Management Code of Practice, retention schedule"
_BORN_LAST = "Product proposal: as for a client who was born on the day of the last service"
_ENQUIRY = "Product proposal: nobody was coached, and nothing was recorded about safety"
_LONGEST = (
    "Product proposal: the longest of the other profiles, until a lawyer has said which counts"
)
PROFILES = {
    "us": Profile(
        "United States",
        {
            "client": Figure(7, _APA),
            "minor": Figure(3, _APA),
            "children": Figure(21, _BORN_LAST),
            "enquiry": Figure(1, _ENQUIRY),
            "disclosures": Figure(6, _HIPAA),
        },
    ),
    "uk": Profile(
        "United Kingdom",
        {
            "client": Figure(20, f"{_NHS}: adult mental health"),
            "minor": Figure(7, f"{_NHS}: children, until the 25th birthday"),
            "children": Figure(25, _BORN_LAST),
            "enquiry": Figure(1, _ENQUIRY),
            "disclosures": Figure(6, "Limitation Act 1980, section 5: six years"),
        },
    ),
    "other": Profile(
        "Another country",
        {
            "client": Figure(20, _LONGEST),
            "minor": Figure(7, _LONGEST),
            "children": Figure(25, _LONGEST),
            "enquiry": Figure(1, _ENQUIRY),
            "disclosures": Figure(6, _LONGEST),
        },
    ),
}
"""By code."""


@dataclass(frozen=True)
class RetentionChange:
    """The profile that a practice chooses, the years that it chooses otherwise, and why some of them are fewer."""

    profile: str | None
    years: Mapping[str, int]
    reason: str


def find_years(profile: str, chosen: Mapping[str, int]) -> dict[str, int]:
    """Return the years of each period: those that the practice chose, otherwise those of the profile."""
    figures = PROFILES[profile].figures
    return {code: chosen.get(code, figure.years) for code, figure in figures.items()}


def list_shortened(before: RetentionChange, change: RetentionChange) -> list[str]:
    """List the periods that a change makes shorter than they are now.

    Without a profile no record is due: choosing the first one shortens nothing that was promised.
    """
    if before.profile is None or change.profile is None:
        return []
    now = find_years(before.profile, before.years)
    then = find_years(change.profile, change.years)
    return [code for code in PERIODS if then[code] < now[code]]


def check_retention(change: RetentionChange, before: RetentionChange) -> None:
    """Check that a practice may keep records for these periods: it may lengthen them, and shorten them with a reason.

    A period is shorter than the profile's, or than it is now, as when another profile is chosen; then it takes a reason
    of its own. Raises Invalid.
    """
    if change.profile is None:
        if change.years:
            raise Invalid({"profile": ["Choose the profile that these years differ from."]})
        return
    figures = PROFILES[change.profile].figures
    shorter = [code for code, years in change.years.items() if years < figures[code].years]
    shortened = list_shortened(before, change)
    if (shorter or shortened) and count_written(change.reason) < LEAST_REASON:
        raise Invalid({"reason": [explain_too_short(change.reason, ASK_WHY, LEAST_REASON)]})
    if shortened and change.reason == before.reason:
        raise Invalid({"reason": [SAME_REASON]})
