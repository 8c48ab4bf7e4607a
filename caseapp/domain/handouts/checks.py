"""Checks of the library's provenance for `caseapp handouts check`: one fault a line; none means fit to release.

What a single file can get wrong (a field placed twice, a bare section, a label that stands twice) stops the library's
loading already; here stands what only shows across files, over time, or against what this practice has published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.fonts import find_missing_glyphs
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import (
    SAFETY_SHEET,
    BrokenHandout,
    Handout,
    library,
)
from caseapp.domain.handouts.provenance import claims, sources
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.handouts.rendering import BLOCK_NAMES, CLINICAL, find_empty_blocks, plain_text, parse_document
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import get_practice_info

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

FEWEST_IN_A_STAGE = 3
# Sheets whose very subject is fear, self-harm or drink: their own title must not be seen outside the room.
SENSITIVE = frozenset({"H01", "H02", "H03", "H06"})
LEFT_OUT = "X"


def list_problems(on: date | None = None) -> list[str]:
    """List every fault of the library on a day; needs the app's context and the database that `caseapp init` made."""
    try:
        handouts = [*library().values()]
    except BrokenHandout as error:
        return [str(error)]
    day = on or now().date()
    return [
        *(problem for handout in handouts for problem in check_handout(handout, day)),
        *check_library(handouts),
        *check_help_lines(handouts),
        *check_versions(handouts),
        *check_practice_handouts(day),
    ]


def _name(handout: Handout) -> str:
    return f"{handout.stage}/{handout.id} ({handout.language})"


def check_handout(handout: Handout, day: date) -> list[str]:
    """List what is wrong with one handout's provenance."""
    name = _name(handout)
    return [f"{name}: {text}" for _, text in list_handout_problems(handout, day)]


def list_handout_problems(handout: Handout, day: date) -> list[tuple[str, str]]:
    """List what is wrong with one handout, each with the part of it that is concerned."""
    found = [("body", text) for text in _of_claims(handout)]
    if not handout.own:
        # A section of the practice's own rests on its own judgement unless it names a claim.
        found += [
            ("body", f"“{section.heading or 'the opening'}” names no claim")
            for section in parse_document(handout).sections
            if not section.claims
        ]
    if _sensitive(handout) and not handout.alias:
        found.append(("alias", "a sensitive sheet needs a neutral title"))
    labels = [plain_text(field.label).casefold() for field in handout.fields]
    found += [
        ("fields", f"the label “{label}” stands twice")
        for label in sorted({label for label in labels if labels.count(label) > 1})
    ]
    if strange := find_missing_glyphs(handout.source):
        found.append(("body", f"our fonts cannot print {' '.join(strange)}"))
    if handout.review_date < day:
        found.append(("review_date", f"its review was due on {handout.review_date}"))
    return found


def _of_claims(handout: Handout) -> list[str]:
    known = claims()
    prefixes = {source.prefix: source.id for source in sources().values()}
    behind = {prefixes.get(claim.partition("-")[0], claim) for claim in handout.claims}
    return [
        *(f"there is no claim {claim}" for claim in handout.claims if claim not in known),
        *(
            f"claim {claim} was left out on purpose"
            for claim in handout.claims
            if claim in known and known[claim].use == LEFT_OUT
        ),
        *(f"there is no source {source}" for source in handout.sources if source not in sources()),
        *(
            f"its sources are not those of its claims: {source}"
            for source in sorted(behind ^ set(handout.sources))
        ),
        *(
            f"“{section.heading}” names {claim}, which is no claim"
            for section in parse_document(handout).sections
            for claim in section.claims
            if claim != CLINICAL and claim not in known
        ),
    ]


def _sensitive(handout: Handout) -> bool:
    """Tell whether a sheet's own title must not be seen outside; a copy is as sensitive as its original."""
    if not handout.own:
        return handout.code in SENSITIVE
    origin = library().get((handout.based_on or "", handout.language))
    return origin.alias is not None if origin else handout.kind == SAFETY_SHEET


def check_library(handouts: Iterable[Handout]) -> list[str]:
    """List what is missing across the library: an article that feeds nothing, a stage with too little."""
    english = [handout for handout in handouts if handout.language == "en"]
    used = {source for handout in english for source in handout.sources}
    found = [f"the article {source} feeds nothing" for source in sources() if source not in used]
    for stage in stages():
        count = sum(handout.stage == stage.id for handout in english)
        if count < FEWEST_IN_A_STAGE:
            found.append(f"the stage {stage.id} has {count} handouts")
    originals = {handout.id for handout in english}
    found += [
        f"{_name(handout)}: there is no English edition to compare it with"
        for handout in handouts
        if handout.id not in originals
    ]
    return found


def check_help_lines(handouts: Iterable[Handout]) -> list[str]:
    """List blocks of help lines that would stand empty: a crisis line anywhere, every block in this practice."""
    found = [
        f"{country.name} has no crisis line"
        for country in countries().values()
        if not any(line.kind == "crisis" for line in country.lines)
    ]
    known = get_practice_info().help_lines
    found += [
        f"{_name(handout)}: names {BLOCK_NAMES[block]}, and the practice has none on its list"
        for handout in handouts
        for block in find_empty_blocks(handout, known)
    ]
    return found


def check_practice_handouts(day: date) -> list[str]:
    """List what is wrong with the newest editions of the practice's own handouts, such as a review that is due."""
    ours = [item.handout for item in list_newest_versions() if item.handout.own]
    return [problem for handout in ours for problem in check_handout(handout, day)]


def check_versions(handouts: Iterable[Handout]) -> list[str]:
    """List texts that changed since they were published although their version did not."""
    published = {
        (row.slug, row.language, row.number): row.sha256
        for row in db.session.execute(
            sa.select(HandoutVersion.slug, HandoutVersion.language, HandoutVersion.number, HandoutVersion.sha256)
        )
    }
    return [
        f"{_name(handout)}: the text changed, but version {handout.version} did not"
        for handout in handouts
        if published.get((handout.id, handout.language, handout.version), handout.sha256)
        != handout.sha256
    ]
