"""The practice's own texts: what the editor holds, written as a source like the library's and read back from one.

A draft is kept as a source too, so that history, comparison, preview and publication all speak of one thing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import frontmatter
import yaml

from caseapp.domain.handouts.library import (
    CLAIMS_MARKER,
    OWN,
    Contraindication,
    Field,
    Handout,
    claims,
    sources,
)
from caseapp.domain.handouts.rendering import CLINICAL

if TYPE_CHECKING:
    from datetime import date

FIRST_CHANGE = {"en": "First edition.", "es": "Primera edición."}
STARTER_BODY = {
    "en": """Say in two or three sentences whom this sheet is for and what it can do.

## A first heading

Write here.

## Stop and get help now if

- you think of dying, or of killing or harming yourself or someone else
- you are frightened of someone, or of what you might do.

{{crisis_block}}

*One honest closing line.*""",
    "es": """Di en dos o tres frases para quién es esta hoja y qué puede hacer.

## Un primer título

Escribe aquí.

## Para y pide ayuda ahora si

- piensas en morir, o en matar o hacer daño a alguien o a ti
- tienes miedo de alguien, o de lo que podrías hacer.

{{crisis_block}}

*Una última línea sincera.*""",
}


@dataclass(frozen=True)
class HandoutKey:
    """Say which handout a text is of: the name in addresses, the language, and what it was copied from."""

    slug: str
    language: str
    based_on: str | None

    @property
    def code(self) -> str:
        """Give the code on staff's pages: own-07 is P07."""
        return f"P{self.slug.removeprefix(OWN)}"


@dataclass(frozen=True)
class DraftContent:
    """Hold everything that the editor's form holds; any of it may still be missing or wrong."""

    title: str = ""
    alias: str | None = None
    stage: str = ""
    also_fits: tuple[str, ...] = ()
    kind: str = ""
    summary: str = ""
    minutes: int | None = None
    hold_ok: str = "none"
    channels: tuple[str, ...] = ("in_person", "print", "portal")
    warnings: tuple[Contraindication, ...] = ()
    places: tuple[Field, ...] = ()
    faith_insert: str | None = None
    review_date: date | None = None
    change: str = ""
    body: str = ""


def build_source(text: DraftContent, name: HandoutKey, day: date, before: Handout | None) -> str:
    """Write a text as a source: the edition after `before`, dated on a day; claims and sources follow from the body."""
    number = before.version + 1 if before else 1
    named = {c for marker in CLAIMS_MARKER.findall(text.body) for c in marker.split()} - {CLINICAL}
    prefixes = {source.prefix: source.id for source in sources().values()}
    behind = {prefixes.get(claim.partition("-")[0]) for claim in named & claims().keys()}
    past = before.history if before else ()
    matter = {
        "id": name.slug,
        "code": name.code,
        "based_on": name.based_on,
        "title": text.title,
        "alias": text.alias,
        "stage": text.stage,
        "also_fits": [*text.also_fits],
        "kind": text.kind,
        "version": number,
        "status": "awaiting-clinical-review",
        "language": name.language,
        "summary": text.summary,
        "minutes": text.minutes,
        "sources": [source for source in sources() if source in behind],
        "claims": sorted(named),
        "hold_ok": text.hold_ok,
        "contraindications": [asdict(found) for found in text.warnings],
        "delivery": {"channels": [*text.channels], "unsafe_delivery": "in_person_only"},
        "fields": [asdict(found) | {"options": [*found.options]} for found in text.places],
        "faith_insert": text.faith_insert,
        "review_date": text.review_date,
        "history": [
            *({"version": n, "date": on, "change": change} for n, on, change in past),
            {"version": number, "date": day, "change": text.change},
        ],
    }
    head = yaml.safe_dump(matter, allow_unicode=True, sort_keys=False, width=10**6)
    return f"---\n{head}---\n{text.body}\n"


def read_content(source: str) -> DraftContent:
    """Read a source back into what the editor holds, finished or not; also one of the library's."""
    parsed: tuple[dict[str, Any], str] = frontmatter.parse(source)
    matter, body = parsed
    return DraftContent(
        title=matter["title"],
        alias=matter["alias"],
        stage=matter["stage"],
        also_fits=tuple(matter["also_fits"]),
        kind=matter["kind"],
        summary=matter["summary"],
        minutes=matter["minutes"],
        hold_ok=matter["hold_ok"],
        channels=tuple(matter["delivery"]["channels"]),
        warnings=tuple(
            Contraindication(**({"use_instead": None} | found))
            for found in matter["contraindications"]
        ),
        places=tuple(_place(found) for found in matter["fields"]),
        faith_insert=matter["faith_insert"],
        review_date=matter["review_date"],
        change=matter["history"][-1]["change"],
        body=body,
    )


def _place(found: dict[str, Any]) -> Field:
    usual = {"max_length": 300, "lines": 3, "required": False, "sensitive": False}
    return Field(**(usual | found | {"options": tuple(found.get("options", ()))}))


def copy_content(handout: Handout, change: str) -> DraftContent:
    """Give an edition's text for going on from it; what changed is still to be said."""
    return replace(read_content(handout.source), change=change)
