"""The editor's form: rows that may be blank, lines and lists as a browser sends them, turned into a text and back."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.core.text import fold
from caseapp.domain.authoring.source import DraftContent
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.library import (
    ANY_STAGE,
    EFFECTS,
    KINDS,
    TAGS,
    Contraindication,
    Field,
    library,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHANNELS = ("in_person", "print", "portal")
HOLD_MARKS = ("none", "care", "safety")
FIELD_TYPES = {
    "text": "One line",
    "textarea": "Several lines",
    "checkboxes": "Tick boxes",
    "choice": "Choose one",
    "date": "A date",
}
BLANK_ROWS = 3
MAX_BODY_LENGTH = 20_000
MAX_VALUE_LENGTH = 4000
MAX_ANSWER_FIELDS = 30
MAX_WARNINGS = 20
WARNING_PARTS = ("tag", "effect", "because", "use_instead")
FIELD_PARTS = ("id", "label", "type", "options", "lines", "max_length", "sensitive")
ROW = re.compile(r"(\d{1,2})\.(\w+)", re.ASCII)
WHOLE = re.compile(r"\d{1,4}", re.ASCII)
LINES, MAX_LENGTH = 3, 300


def _rows() -> fields.Dict:
    return fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=validate.Length(max=MAX_VALUE_LENGTH)),
        load_default=dict,
    )


class DraftContentSchema(Schema):
    """Check the shape of what the editor sends; whether it is ready to be published is asked apart."""

    do = fields.String(load_default="save", validate=validate.OneOf(["save", "preview", "send"]))
    title = fields.String(load_default="", validate=validate.Length(max=200))
    alias = fields.String(load_default="", validate=validate.Length(max=200))
    stage = fields.String(load_default="", validate=validate.OneOf([*stage_by_id(), ANY_STAGE]))
    also_fits = fields.List(
        fields.String(validate=validate.OneOf([*stage_by_id()])), load_default=list
    )
    kind = fields.String(load_default="", validate=validate.OneOf(KINDS))
    summary = fields.String(load_default="", validate=validate.Length(max=600))
    minutes = fields.Integer(load_default=None, validate=validate.Range(1, 60))
    hold_ok = fields.String(load_default="none", validate=validate.OneOf(HOLD_MARKS))
    channels = fields.List(fields.String(validate=validate.OneOf(CHANNELS)), load_default=list)
    warnings = _rows()
    places = _rows()
    faith_insert = fields.String(load_default="", validate=validate.Length(max=600))
    review_date = fields.Date(load_default=None)
    change = fields.String(load_default="", validate=validate.Length(max=400))
    body = fields.String(
        load_default="",
        validate=validate.Length(
            max=MAX_BODY_LENGTH, error=f"The text holds at most {MAX_BODY_LENGTH:,} characters."
        ),
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> DraftContent:
        """Give the plain value; blank rows fall away."""
        return DraftContent(
            title=_line(data["title"]),
            alias=_line(data["alias"]) or None,
            stage=data["stage"],
            also_fits=tuple(data["also_fits"]),
            kind=data["kind"],
            summary=_line(data["summary"]),
            minutes=data["minutes"],
            hold_ok=data["hold_ok"],
            channels=tuple(way for way in CHANNELS if way in data["channels"]),
            warnings=tuple(_warnings(data["warnings"])),
            places=tuple(_places(data["places"])),
            faith_insert=_line(data["faith_insert"]) or None,
            review_date=data["review_date"],
            change=_line(data["change"]),
            body=_body(data["body"]),
        )


def _line(text: str) -> str:
    return " ".join(text.split())


def _body(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _by_row(sent: Mapping[str, str], parts: Iterable[str], name: str) -> list[tuple[int, Any]]:
    """Gather what was sent as `0.label`, `0.type` by its row.

    Raises ValidationError for a part that there is not.
    """
    known, rows = set(parts), defaultdict[int, dict[str, str]](dict)
    for key, text in sent.items():
        found = ROW.fullmatch(key)
        if found is None or found[2] not in known:
            raise ValidationError({f"{name}.{key}": ["Unknown field."]})
        rows[int(found[1])][found[2]] = text
    return sorted(rows.items())


def _warnings(sent: Mapping[str, str]) -> list[Contraindication]:
    kept = []
    for row, parts in _by_row(sent, WARNING_PARTS, "warnings"):
        given = {part: _line(parts.get(part, "")) for part in WARNING_PARTS}
        for part, known in (("tag", TAGS), ("effect", EFFECTS), ("use_instead", _slugs())):
            if given[part] and given[part] not in known:
                raise ValidationError({f"warnings.{row}.{part}": ["Choose one of the list."]})
        if given["tag"] or given["because"]:
            tag, effect, because, instead = (given[part] for part in WARNING_PARTS)
            kept.append(Contraindication(tag, effect, because, instead or None))
    if len(kept) > MAX_WARNINGS:
        raise ValidationError({"warnings": [f"A sheet holds at most {MAX_WARNINGS} of these."]})
    return kept


def _slugs() -> set[str]:
    return {slug for slug, _ in library()}


def _places(sent: Mapping[str, str]) -> list[Field]:
    kept: list[Field] = []
    for row, parts in _by_row(sent, FIELD_PARTS, "places"):
        given = {part: _line(parts.get(part, "")) for part in FIELD_PARTS}
        options = tuple(
            filter(None, (_line(option) for option in parts.get("options", "").splitlines()))
        )
        if not (given["label"] or given["id"] or options):
            continue
        if given["type"] not in {"", *FIELD_TYPES}:
            raise ValidationError({f"places.{row}.type": ["Choose one of the list."]})
        kept.append(
            Field(
                id=given["id"] or _id_for(given["label"], {field.id for field in kept}),
                label=given["label"],
                type=given["type"] or "text",
                options=options,
                max_length=_whole(given["max_length"], MAX_LENGTH, f"places.{row}.max_length"),
                lines=_whole(given["lines"], LINES, f"places.{row}.lines"),
                required=False,
                sensitive=given["sensitive"] == "yes",
            )
        )
    if len(kept) > MAX_ANSWER_FIELDS:
        raise ValidationError({"places": [f"A sheet holds at most {MAX_ANSWER_FIELDS} of these."]})
    return kept


def _whole(text: str, usual: int, name: str) -> int:
    if not text:
        return usual
    if not WHOLE.fullmatch(text):
        raise ValidationError({name: ["Write a whole number."]})
    return int(text)


def _id_for(label: str, taken: set[str]) -> str:
    """Make the name for the marker out of a label: “My next step” becomes `my_next_step`."""
    plain = fold(label).encode("ascii", "ignore").decode()
    word = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:30] or "place"
    word = word if word[0].isalpha() else f"place_{word}"
    names = (word if n == 1 else f"{word}_{n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken and len(name) > 1)


def get_form_values(text: DraftContent) -> dict[str, Any]:
    """Write a text as the editor's form would send it, with blank rows to fill."""
    values: dict[str, Any] = {
        "title": text.title,
        "alias": text.alias or "",
        "stage": text.stage,
        "also_fits": [*text.also_fits],
        "kind": text.kind,
        "summary": text.summary,
        "minutes": text.minutes or "",
        "hold_ok": text.hold_ok,
        "channels": [*text.channels],
        "faith_insert": text.faith_insert or "",
        "review_date": text.review_date.isoformat() if text.review_date else "",
        "change": text.change,
        "body": text.body,
    }
    for row, warning in enumerate(text.warnings):
        values |= {f"warnings.{row}.{part}": getattr(warning, part) or "" for part in WARNING_PARTS}
    for row, place in enumerate(text.places):
        values |= {f"places.{row}.{part}": getattr(place, part) for part in FIELD_PARTS}
        values[f"places.{row}.options"] = "\n".join(place.options)
        values[f"places.{row}.sensitive"] = "yes" if place.sensitive else ""
    return values


def list_visible_rows(values: Mapping[str, Any], name: str) -> list[int]:
    """Give the numbers of the rows that hold something, and of three blank ones after them."""
    used = [
        int(found[1])
        for key, value in values.items()
        if value
        and key.startswith(f"{name}.")
        and (found := ROW.fullmatch(key.removeprefix(f"{name}.")))
    ]
    most = MAX_ANSWER_FIELDS if name == "places" else MAX_WARNINGS
    return [*range(min(max(used, default=-1) + 1 + BLANK_ROWS, most))]
