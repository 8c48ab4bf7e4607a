"""What keeps a text of our own from being published, each fault named at its place in the editor."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from caseapp.core.fonts import find_missing_glyphs
from caseapp.domain.handouts.checks import faults_of
from caseapp.domain.handouts.library import BrokenHandout, Handout, faults_between, read
from caseapp.domain.handouts.rendering import plain, sheet_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

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
_GIVEN = (
    r"\b(promise|agree|swear|vow|pledge|contract|my word|prometo|juro|me comprometo|mi palabra)\b"
)
_DEATH = (
    r"\b((kill|harm|hurt|injure|cut) (my|your|one)self|(end|take) (my|your|one.s)( own)? life|attempt suicide"
    r"|matar(me|te)|hacer(me|te) daño|quitar(me|te) la vida|suicidar(me|te)|voy a matar)"
)
NO_HARM_CONTRACT = re.compile(
    r"\bno[- ]suicid|\bsafety contract\b|\bcontract for (my )?safety\b|\bcontrato de (vida|seguridad)\b"
    rf"|{_GIVEN}[^.!?]{{0,60}}\bnot?\b[^.!?]{{0,30}}{_DEATH}|\bI (will|shall) not\b[^.!?]{{0,20}}{_DEATH}"
    rf"|{_GIVEN}[^.!?]{{0,40}}\b(stay alive|seguir (con vida|viv[oa]))",
    re.IGNORECASE,
)


def find_problems(source: str, day: date) -> dict[str, list[str]]:
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
        if strange := find_missing_glyphs(text):
            named = ", ".join(
                f"{sign} (U+{ord(sign):04X})" if sign.isprintable() else f"U+{ord(sign):04X}"
                for sign in strange[:20]
            )
            yield place, f"our fonts cannot print {named}; write it without"
        if NO_HARM_CONTRACT.search(text):
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
