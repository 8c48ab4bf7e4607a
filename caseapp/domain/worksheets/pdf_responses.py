"""Read answers from a filled-in PDF and convert them to the web form's shape.

The PDF holds one handout or a packet, whose field names contain the handout's position on the client's list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from caseapp.core.pdf_forms import read_form_fields
from caseapp.domain.handouts.fields import Text, Ticks
from caseapp.domain.handouts.packets import split_field_name
from caseapp.domain.handouts.rendering import name_pdf_field, plain_text
from caseapp.domain.worksheets.schemas import (
    FIELD_PREFIX,
    has_parts,
    normalize_line,
    normalize_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.handouts.fields import Answer, Field
    from caseapp.domain.handouts.library import Handout

# Field values of a PDF by the position of each handout in it.
PdfFields: TypeAlias = dict[int, dict[str, str]]
SINGLE_HANDOUT = 0
"""The position used for a PDF of a single handout. It matches any position that has that handout."""


class WrongHandout(Exception):
    """The file does not have the fields of this handout in this version."""


def read_pdf_fields(data: bytes) -> PdfFields:
    """Read the fields of a PDF by the position of their handout.

    Raises UnreadableForm.
    """
    parts: PdfFields = {}
    for name, value in read_form_fields(data).items():
        position, field_name = split_field_name(name)
        parts.setdefault(position, {})[field_name] = value
    return parts


def list_filled_positions(parts: PdfFields) -> set[int]:
    """Return the positions of the handouts in a packet that have any answer."""
    return {
        position
        for position, found in parts.items()
        if position and any(map(str.strip, found.values()))
    }


def pdf_field_names(handout: Handout) -> frozenset[str]:
    """Return the names of a handout's PDF fields; each item to tick has its own."""
    return frozenset(name for field in handout.fields for name in _names(handout, field).values())


def _names(handout: Handout, field: Field) -> dict[str, str]:
    """Name a field's PDF fields by the keys of their inputs; not every input is in the PDF."""
    return {
        one.key: name_pdf_field(handout, field, one)
        for one in field.inputs
        if one.pdf_key is not None
    }


def contains_handout(parts: PdfFields, handout: Handout, position: int) -> bool:
    """Return whether a PDF contains the handout at this position of the client's list."""
    return _find_part(parts, handout, position) is not None


def _find_part(parts: PdfFields, handout: Handout, position: int) -> Mapping[str, str] | None:
    found: Mapping[str, str] | None = parts.get(position) or parts.get(SINGLE_HANDOUT)
    if found and handout.is_first_edition:
        found = _rename_earlier(found, handout)
    return found if found and found.keys() == pdf_field_names(handout) else None


def _rename_earlier(found: Mapping[str, str], handout: Handout) -> Mapping[str, str]:
    """Name the fields of a file that was saved before blocks existed as they are named now.

    Its fields bore the name of the answer alone; items to tick had a number, and of a choice it gave the words.
    """
    renamed: dict[str, str] = {}
    for field in handout.fields:
        names = _names(handout, field)
        if not isinstance(field, Ticks):
            renamed |= {name: found[field.id] for name in names.values() if field.id in found}
        elif field.id in found:
            chosen = found[field.id]
            words = {str(n): plain_text(item.words) for n, item in enumerate(field.items, start=1)}
            renamed |= {
                name: "on" if chosen and words[key] == chosen else "" for key, name in names.items()
            }
        else:
            renamed |= {
                name: found[f"{field.id}_{key}"]
                for key, name in names.items()
                if f"{field.id}_{key}" in found
            }
    return renamed or found


def read_answers(parts: PdfFields, handout: Handout, position: int) -> dict[str, Any]:
    """Return the answers to the handout at this position as its web form would send them, not yet validated.

    Raises WrongHandout.
    """
    found = _find_part(parts, handout, position)
    if found is None:
        raise WrongHandout
    raw: dict[str, Any] = {}
    for field in handout.fields:
        if answer := _answer(field, _names(handout, field), found):
            raw[f"{FIELD_PREFIX}{field.id}"] = answer
    return raw


def _answer(field: Field, names: Mapping[str, str], found: Mapping[str, str]) -> Answer:
    if isinstance(field, Ticks):
        return [int(key) for key, name in names.items() if found[name]]
    if has_parts(field):
        texts = {key: normalize_line(found[name]) for key, name in names.items()}
        return {key: text for key, text in texts.items() if text}
    text = normalize_text(found[names[""]])
    return normalize_line(text) if isinstance(field, Text) and field.lines == 1 else text


def merge_answers(
    before: Mapping[str, Answer], read: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Answer]]:
    """Merge the answers of a PDF over the saved ones; return the result and the saved answers that would change."""
    merged: dict[str, Any] = {f"{FIELD_PREFIX}{name}": answer for name, answer in before.items()}
    for name, answer in read.items():
        known = merged.get(name)
        adds = isinstance(known, dict) and isinstance(answer, dict)
        merged[name] = known | answer if adds else answer
    lost = {
        name: _find_lost(answer, merged[f"{FIELD_PREFIX}{name}"]) for name, answer in before.items()
    }
    return merged, {name: answer for name, answer in lost.items() if answer}


def _find_lost(before: Answer, after: object) -> Answer:
    """Return what of a saved answer another one replaces; parts that are only added replace nothing."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {key: text for key, text in before.items() if after[key] != text}
    return before if before != after else ""
