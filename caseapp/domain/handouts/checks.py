"""Checks of the library's provenance for `caseapp handouts check`, which prints one problem a line.

Problems of a single file (a field placed twice, a section without claims) already stop the library from loading. These
checks find what shows only across files, over time, or compared with what the practice has published.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa
from markupsafe import Markup

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.fonts import name_missing_glyphs
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.bars import list_contradictions, list_laxer_statements
from caseapp.domain.handouts.blocks import HELP
from caseapp.domain.handouts.library import (
    SAFETY_HANDOUT,
    Handout,
    InvalidHandoutFile,
    library,
)
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.provenance import claims, sources
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.handouts.rendering import (
    BLOCK_NAMES,
    CLINICAL,
    find_empty_blocks,
    find_lost_parts,
    parse_document,
    plain_text,
)
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.protocol.file import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date

    from caseapp.domain.handouts.rendering import Section

MIN_PER_STAGE = 3
# Handouts about fear, self-harm or drink: nobody but the client may see their title.
SENSITIVE = frozenset({"H01", "H02", "H03", "H06"})
LEFT_OUT = "X"
MAX_ALIKE, FIRST_WORDS = 3, 2
"""How many handouts of a language may open, or close, with the same words; HA-3, one mould for all."""


def list_problems(on: date | None = None) -> list[str]:
    """List every problem of the library on a day, today by default; needs an app context and a database."""
    try:
        handouts = [*library().values()]
    except InvalidHandoutFile as error:
        return [str(error)]
    day = on or now().date()
    return [
        *(problem for handout in handouts for problem in check_handout(handout, day)),
        *check_library(handouts),
        *check_protocol(),
        *check_help_lines(handouts),
        *check_versions(handouts),
        *check_practice_handouts(day),
    ]


def _name(handout: Handout) -> str:
    return f"{handout.stage}/{handout.id} ({handout.language})"


def check_handout(handout: Handout, day: date) -> list[str]:
    """List the problems of one handout's provenance, each with the handout's name."""
    name = _name(handout)
    return [f"{name}: {text}" for _, text in list_handout_problems(handout, day)]


def list_handout_problems(handout: Handout, day: date) -> list[tuple[str, str]]:
    """List the problems of one handout, each with the field it concerns."""
    found = [("body", text) for text in _list_claim_problems(handout)]
    if not handout.is_practice_handout:
        # The library must give claims for every section; the practice may rely on its own judgement.
        found += [
            ("body", f"“{section.heading or 'the opening'}” cites no claim")
            for section in parse_document(handout).sections
            if not section.claims and not _has_only_help_lines(section)
        ]
    found += list_contradictions(handout)
    found += [(one.key, one.text) for one in list_laxer_statements(handout)]
    if handout.involves is None:
        found.append(("involves", "it doesn’t say what it involves"))
    if _is_sensitive(handout) and not handout.alias:
        found.append(("alias", "a sensitive handout needs a neutral title"))
    labels = [plain_text(field.label).casefold() for field in handout.fields]
    found += [
        ("body", f"the label “{label}” is used twice")
        for label in sorted({label for label in labels if labels.count(label) > 1})
    ]
    found += [
        ("body", f"a tick leads to part {part}, which isn’t there")
        for part in find_lost_parts(handout)
    ]
    if missing := name_missing_glyphs(handout.source):
        found.append(("body", f"our fonts cannot print {missing}"))
    if handout.review_date < day:
        found.append(("review_date", f"its review was due on {handout.review_date}"))
    return found


def _has_only_help_lines(section: Section) -> bool:
    """Return whether a section has no words of its own, as an opening before which the help lines stand."""
    return not section.heading and all(block.kind == HELP for block in section.blocks)


def _list_claim_problems(handout: Handout) -> list[str]:
    known = claims()
    prefixes = {source.prefix: source.id for source in sources().values()}
    cited = {prefixes.get(claim.partition("-")[0], claim) for claim in handout.claims}
    return [
        *(f"there is no claim {claim}" for claim in handout.claims if claim not in known),
        *(
            f"claim {claim} was left out on purpose"
            for claim in handout.claims
            if claim in known and known[claim].use == LEFT_OUT
        ),
        *(f"there is no source {source}" for source in handout.sources if source not in sources()),
        *(
            f"its sources don’t match its claims: {source}"
            for source in sorted(cited ^ set(handout.sources))
        ),
        *(
            f"“{section.heading}” cites {claim}, which is not a claim"
            for section in parse_document(handout).sections
            for claim in section.claims
            if claim != CLINICAL and claim not in known
        ),
    ]


def _is_sensitive(handout: Handout) -> bool:
    """Return whether only the client may see the title; a copy is as sensitive as its original."""
    if not handout.is_practice_handout:
        return handout.code in SENSITIVE
    origin = library().get((handout.based_on or "", handout.language))
    return origin.alias is not None if origin else handout.kind == SAFETY_HANDOUT


def check_library(handouts: Collection[Handout]) -> list[str]:
    """List what is missing or differs across the library: articles, handouts of a stage, translations."""
    english = [handout for handout in handouts if handout.language == "en"]
    used = {source for handout in english for source in handout.sources}
    found = [f"the article {source} is not used" for source in sources() if source not in used]
    for stage in stages():
        count = sum(handout.stage == stage.id for handout in english)
        if count < MIN_PER_STAGE:
            found.append(f"the stage {stage.id} has {count} handouts")
    originals = {handout.id: handout for handout in english}
    found += [
        f"{_name(handout)}: there is no English version to compare it with"
        for handout in handouts
        if handout.id not in originals
    ]
    found += [
        f"{_name(handout)}: when it is blocked or needs caution differs from the English version"
        for handout in handouts
        if handout.id in originals and _own_bars(handout) != _own_bars(originals[handout.id])
    ]
    return [*found, *_list_unused_claims(english), *_list_alike(handouts)]


def _list_unused_claims(english: Collection[Handout]) -> list[str]:
    """List the claims that no handout cites without a reason, and reasons that no longer hold."""
    carried = {claim for handout in english for claim in handout.claims}
    return [
        *(
            f"no handout cites the claim {claim.id}, and claims.yaml gives no reason for that under “elsewhere”"
            for claim in claims().values()
            if claim.use != LEFT_OUT and claim.id not in carried and not claim.elsewhere
        ),
        *(
            f"claims.yaml gives a reason why no handout cites the claim {claim.id}, but one does"
            for claim in claims().values()
            if claim.elsewhere and claim.id in carried
        ),
    ]


def _list_alike(handouts: Iterable[Handout]) -> list[str]:
    """List the first words with which too many handouts of a language open or close."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for handout in handouts:
        document = parse_document(handout)
        opening = next((b.prose for b in document.sections[0].blocks if b.prose), "")
        for place, text in (("open", opening), ("close", document.closing)):
            words = re.findall(r"[\w’]+", Markup(text).striptags().casefold())[:FIRST_WORDS]  # noqa: S704 - for tags only
            found.setdefault((handout.language, place, " ".join(words)), []).append(handout.id)
    return [
        f"more than {MAX_ALIKE} handouts ({language}) {place} with “{words}”: {', '.join(sorted(slugs))}"
        for (language, place, words), slugs in found.items()
        if len(slugs) > MAX_ALIKE and words
    ]


def check_protocol() -> list[str]:
    """List claims that a rule of the screening protocol cites, and that don't exist or were left out on purpose."""
    return [
        f"protocol.yaml, {rule.key}: there is no claim {claim} that may be used"
        for rule in PROTOCOL.rules
        for claim in rule.claims
        if claim not in claims() or claims()[claim].use == LEFT_OUT
    ]


def _own_bars(handout: Handout) -> tuple[object, ...]:
    """Return what a handout's front matter says about when it may be used, without wording."""
    conditions = [(one.tag, one.effect, one.use_instead) for one in handout.contraindications]
    return handout.hold_ok, handout.channels, handout.involves, sorted(conditions)


def check_help_lines(handouts: Iterable[Handout]) -> list[str]:
    """List countries without a crisis line and handouts with a help-line block that would be empty in this practice."""
    found = [
        f"{country.name} has no crisis line"
        for country in countries().values()
        if not any(line.kind == "crisis" for line in country.lines)
    ]
    help_lines = get_practice_info().help_lines
    found += [
        f"{_name(handout)}: needs {BLOCK_NAMES[block]}, but the practice hasn’t listed one"
        for handout in handouts
        for block in find_empty_blocks(handout, help_lines)
    ]
    return found


def check_practice_handouts(day: date) -> list[str]:
    """List the problems of the newest practice handouts, such as a review that is due."""
    handouts = [item.handout for item in list_newest_versions() if item.handout.is_practice_handout]
    return [problem for handout in handouts for problem in check_handout(handout, day)]


def check_versions(handouts: Iterable[Handout]) -> list[str]:
    """List handouts whose text changed after publication without a new version number."""
    published = {
        (row.slug, row.language, row.number): row.sha256
        for row in db.session.execute(
            sa.select(
                HandoutVersion.slug,
                HandoutVersion.language,
                HandoutVersion.number,
                HandoutVersion.sha256,
            )
        )
    }
    return [
        f"{_name(handout)}: the text changed, but version {handout.version} did not"
        for handout in handouts
        if published.get((handout.id, handout.language, handout.version), handout.sha256)
        != handout.sha256
    ]
