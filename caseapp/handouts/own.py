"""The practice's own texts: what its editor holds, written as a source like the library's, and judged by its rules.

A draft is kept as a source too, so that history, comparison, preview and publication all speak of one thing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import frontmatter
import yaml

from caseapp.core.fonts import missing_signs
from caseapp.handouts.checks import faults_of
from caseapp.handouts.library import (
    CLAIMS_MARKER,
    OWN,
    BrokenHandout,
    Contraindication,
    Field,
    Handout,
    claims,
    faults_between,
    read,
    sources,
)
from caseapp.handouts.sheets import CLINICAL, plain, sheet_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

LONGEST_BODY = 20_000
MOST_PLACES = 30
MOST_WARNINGS = 20
FIRST = {"en": "First edition.", "es": "Primera edición."}
BEGINNING = {
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
# Where the editor shows what the schema or a check says about a part of the front matter.
SHOWN_AT = {
    "fields": "places",
    "contraindications": "warnings",
    "delivery": "channels",
    "history": "change",
}
EDITED = frozenset(
    {
        "title", "alias", "stage", "also_fits", "kind", "summary", "minutes", "hold_ok", "channels",
        "warnings", "places", "faith_insert", "review_date", "change", "body",
    }
)  # fmt: skip
CALLED = {
    "alias": "Outside title",
    "review_date": "Review due",
    "change": "What is new",
    "id": "Name for the marker",
    "tag": "When",
    "effect": "Then",
    "max_length": "Most characters",
    "faith_insert": "Faith lines",
}
FRIENDLY = {
    "Must be one of": "choose one.",
    "Field may not be null": "fill this in.",
    "Missing data": "fill this in.",
    "Not a valid": "fill this in.",
    "String does not match": "use small letters, digits and _, beginning with a letter.",
}
# A promise not to die helps nobody and is no plan; the evidence reviews say so, and SAFE-08 forbids it.
CONTRACT = re.compile(
    r"\bno[- ]suicide\b|\b(promise|agree|swear)\b[^.\n]{0,40}\bnot\b[^.\n]{0,20}\b(kill|harm|hurt|end)\b"
    r"|\bprometo\b[^.\n]{0,40}\bno\b[^.\n]{0,20}\b(matar|hacerme|quitarme|suicid)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Name:
    """Say which handout a text is of: the name in addresses, the language, and what it was copied from."""

    slug: str
    language: str
    based_on: str | None

    @property
    def code(self) -> str:
        """Give the code on staff's pages: own-07 is P07."""
        return f"P{self.slug.removeprefix(OWN)}"


@dataclass(frozen=True)
class OwnText:
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


def source_of(text: OwnText, name: Name, day: date, before: Handout | None) -> str:
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


def text_in(source: str) -> OwnText:
    """Read a source back into what the editor holds, finished or not; also one of the library's."""
    parsed: tuple[dict[str, Any], str] = frontmatter.parse(source)
    matter, body = parsed
    return OwnText(
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


def copied(handout: Handout, change: str) -> OwnText:
    """Give an edition's text for going on from it; what changed is still to be said."""
    return replace(text_in(handout.source), change=change)


def faults_in(source: str, day: date) -> dict[str, list[str]]:
    """List everything that keeps a text from being published, by the place in the editor; empty when nothing does.

    The same schema and the same checks that judge the library, and what only a person's typing can bring along.
    """
    try:
        handout = read(source)
    except BrokenHandout as error:
        return dict(_of_schema(error.faults)) or {"body": [str(error)]}
    found: dict[str, list[str]] = defaultdict(list)
    for place, text in (*faults_between(handout), *faults_of(handout, day), *_of_own(handout)):
        shown = SHOWN_AT.get(place, place)
        where = shown if shown in EDITED else "body"
        sentence = f"{text[0].upper()}{text[1:]}."
        if sentence not in found[where]:
            found[where].append(sentence)
    return dict(found)


def _of_schema(messages: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:  # noqa: ANN401 - marshmallow's nesting
    """Name the schema's messages as the editor's form names its fields: `places.0.label`."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, inner in messages.items():
        shown = SHOWN_AT.get(name, name) if not path else name
        here = f"{path}.{shown}".strip(".")
        if isinstance(inner, dict):
            for where, texts in _of_schema(inner, here):
                found[where] += texts
        else:
            found[here] += [_friendly(text, name) for text in inner]
    for where, texts in found.items():
        top = where.partition(".")[0]
        yield (where if top in {"places", "warnings"} and where.count(".") > 1 else top), texts


def _friendly(text: str, name: str | int) -> str:
    """Say what the schema says in the words of the form, with the name of the place."""
    where = CALLED.get(str(name), str(name).replace("_", " ").capitalize())
    for begin, words in FRIENDLY.items():
        if text.startswith(begin):
            return f"{where}: {words}"
    return f"{where}: {text[0].lower()}{text[1:]}"


def _of_own(handout: Handout) -> Iterator[tuple[str, str]]:
    if not handout.channels:
        yield "channels", "choose at least one way"
    stops = [part for part in sheet_of(handout).parts if part.stop]
    if not any(block.name == "crisis_block" for part in stops for block in part.blocks):
        yield "body", "the numbers, {{crisis_block}}, belong in the section that says when to stop"
    if not sheet_of(handout).parts[0].blocks:
        yield "body", "begin with a few words before the first heading"
    for place, text in _written(handout):
        if strange := missing_signs(text):
            named = ", ".join(
                f"{sign} (U+{ord(sign):04X})" if sign.isprintable() else f"U+{ord(sign):04X}"
                for sign in strange[:20]
            )
            yield place, f"our fonts cannot print {named}; write it without"
        if CONTRACT.search(text):
            yield place, "a promise not to harm oneself is no plan and may not stand in a sheet"
        if place != "body" and not plain(text).strip():
            yield place, "nothing of this would show on the sheet"


def _written(handout: Handout) -> Iterator[tuple[str, str]]:
    """Walk over every word that a person wrote, with its place in the editor."""
    yield "title", handout.title
    yield "summary", handout.summary
    yield "body", handout.body
    yield "change", handout.history[-1][2]
    if handout.alias is not None:
        yield "alias", handout.alias
    if handout.faith_insert is not None:
        yield "faith_insert", handout.faith_insert
    for found in handout.contraindications:
        yield "warnings", found.because
    for field in handout.fields:
        yield "places", field.label
        for option in field.options:
            yield "places", option
