"""Rules that a draft has to meet before it can be published; problems are listed by field of the editor's form."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from caseapp.core.errors import Invalid
from caseapp.core.fonts import name_missing_glyphs
from caseapp.core.text import count_written
from caseapp.domain.handouts.bars import (
    CONTENT_LABELS,
    LaxerStatement,
    as_if_accepted,
    list_points_to_accept,
)
from caseapp.domain.handouts.checks import list_handout_problems
from caseapp.domain.handouts.library import (
    Handout,
    InvalidHandoutFile,
    find_mismatches,
    parse_draft,
)
from caseapp.domain.handouts.rendering import parse_document, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

# Key in the front matter to field of the form, where they differ.
FORM_FIELDS = {
    "contraindications": "warnings",
    "delivery": "channels",
    "history": "change",
}
EDITABLE = frozenset(
    {
        "title", "alias", "stage", "also_fits", "kind", "summary", "minutes", "hold_ok", "channels",
        "warnings", "faith_insert", "review_date", "change", "body", "involves", "two_minutes", "us",
    }
)  # fmt: skip
FIELD_LABELS = {
    "alias": "Neutral title",
    "review_date": "Review due",
    "change": "What’s new",
    "tag": "When",
    "effect": "Then",
    "faith_insert": "Faith text",
    "two_minutes": "Two-minute card",
    "us": "American wording",
    "en": "In the text",
} | CONTENT_LABELS
# No-harm promises do not prevent suicide and don't replace a safety plan (evidence reviews); SAFE-08 forbids them.
_PROMISE = (
    r"\b(promise|agree|swear|vow|pledge|contract|my word|prometo|juro|me comprometo|mi palabra)\b"
)
_SELF_HARM = (
    r"\b((kill|harm|hurt|injure|cut) (my|your|one)self|(end|take) (my|your|one.s)( own)? life|attempt suicide"
    r"|matar(me|te)|hacer(me|te) daño|quitar(me|te) la vida|suicidar(me|te)|voy a matar)"
)
NO_HARM_CONTRACT = re.compile(
    r"\bno[- ]suicid|\bsafety contract\b|\bcontract for (my )?safety\b|\bcontrato de (vida|seguridad)\b"
    rf"|{_PROMISE}[^.!?]{{0,60}}\bnot?\b[^.!?]{{0,30}}{_SELF_HARM}|\bI (will|shall) not\b[^.!?]{{0,20}}{_SELF_HARM}"
    rf"|{_PROMISE}[^.!?]{{0,40}}\b(stay alive|seguir (con vida|viv[oa]))",
    re.IGNORECASE,
)


NOTHING_VISIBLE = "write at least one letter or digit that would be visible in the handout"


def find_problems(source: str, day: date) -> dict[str, list[str]]:
    """List everything that prevents a source from being published on a day, by form field; empty if nothing does.

    Applies the schema and the checks of the library, and checks for what people may type that no library file contains.
    """
    try:
        handout = parse_draft(source)
    except InvalidHandoutFile as error:
        return dict(_schema_problems(error.problems)) or {"body": [str(error)]}
    found: dict[str, list[str]] = defaultdict(list)
    for key, text in (
        *find_mismatches(handout),
        # What only a clinician can accept is asked for when the draft is published.
        *list_handout_problems(as_if_accepted(handout), day),
        *_content_problems(handout),
    ):
        name = FORM_FIELDS.get(key, key)
        field = name if name in EDITABLE else "body"
        sentence = f"{text[0].upper()}{text[1:]}."
        if sentence not in found[field]:
            found[field].append(sentence)
    return dict(found)


def list_source_points(source: str) -> list[LaxerStatement]:
    """List in what a source is laxer than what it inherits; empty while it can't be parsed."""
    try:
        return list_points_to_accept(parse_draft(source))
    except InvalidHandoutFile:
        return []


def require_clinician(handout: Handout, clinician: str | None) -> None:
    """Check that a clinician is named for a handout that is laxer than what it inherits.

    Content map, sections (d) and (f): holds and conditions are clinical decisions. Raises Invalid with each point.
    """
    points = list_points_to_accept(handout)
    if points and clinician is None:
        named = "; ".join(point.text for point in points)
        message = f"This handout is less strict than the rules it inherits. Only a clinician can accept this: {named}."
        raise Invalid({"clinician": [message]}, "A clinician has to accept this.")


def _schema_problems(
    messages: Any,  # noqa: ANN401 - marshmallow's nesting
    path: str = "",
) -> Iterator[tuple[str, list[str]]]:
    """Yield the schema's messages by the field names of the editor's form, such as `warnings.0.because`."""
    found: dict[str, list[str]] = defaultdict(list)
    for key, inner in messages.items():
        name = key if path else FORM_FIELDS.get(key, key)
        here = f"{path}.{name}".strip(".")
        if isinstance(inner, dict):
            for field, texts in _schema_problems(inner, here):
                found[field] += texts
        else:
            found[here] += [_labelled(text, key, path) for text in inner]
    for field, texts in found.items():
        top = field.partition(".")[0]
        in_row = top in {"warnings", "us"} and field.count(".") > 1
        yield (field if in_row or top == "involves" else top), texts


def _labelled(text: str, key: str | int, path: str) -> str:
    """Put the field's label before a schema's message; an item of a list is named by the list and its number."""
    name, number = (path, f" {key + 1}") if isinstance(key, int) else (key, "")
    label = FIELD_LABELS.get(name, name.replace("_", " ").capitalize()) + number
    return f"{label}: {text[0].lower()}{text[1:]}"


def _content_problems(handout: Handout) -> Iterator[tuple[str, str]]:
    if not handout.channels:
        yield "channels", "choose at least one way to hand it out"
    document = parse_document(handout)
    sections = document.sections
    stop_blocks = [block for section in sections if section.stop for block in section.blocks]
    if not any(block.name == "crisis_block" for block in (*stop_blocks, *document.help)):
        yield "body", "put {{crisis_block}}, the help lines, in the section that says when to stop"
    if not (document.help or sections[0].blocks):
        yield "body", "add an introduction before the first heading"
    for field, text in _written_texts(handout):
        if missing := name_missing_glyphs(text):
            yield field, f"remove characters that our fonts can’t print: {missing}"
        if NO_HARM_CONTRACT.search(text):
            yield field, "remove the promise not to harm oneself: a handout can’t ask for one"
        if field != "body" and not count_written(plain_text(text)):
            yield field, NOTHING_VISIBLE
    asked = [
        text
        for field in handout.fields
        for text in (field.label, *(one.label for one in field.inputs))
    ]
    if not all(count_written(plain_text(text)) for text in asked):
        yield "body", f"what a field asks: {NOTHING_VISIBLE}"


def _written_texts(handout: Handout) -> Iterator[tuple[str, str]]:
    """Yield every text that a person wrote, with its field in the editor's form."""
    yield "title", handout.title
    yield "summary", handout.summary
    yield "body", handout.body
    yield "change", handout.history[-1][2]
    for step in handout.two_minutes:
        yield "two_minutes", step
    for _, instead in handout.us:
        yield "us", instead
    if handout.alias is not None:
        yield "alias", handout.alias
    if handout.faith_insert is not None:
        yield "faith_insert", handout.faith_insert
    for warning in handout.contraindications:
        yield "warnings", warning.because
