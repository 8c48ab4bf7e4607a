"""Schemas of requests about drafts, with the rows of the editor's form, and the form's values for a draft."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.core.database import max_length
from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import (
    PrintedString,
    RequiredPrintedText,
    WrittenReason,
    explain_too_short,
    require_printable,
)
from caseapp.core.text import count_written
from caseapp.domain.authoring.models import HandoutDraft, HandoutDraftRevision
from caseapp.domain.authoring.source import DraftContent
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.library import (
    ANY_STAGE,
    CHANNELS,
    CONTENTS,
    EFFECTS,
    KINDS,
    LANGUAGES,
    MAX_PAIRS,
    STEPS,
    TAGS,
    Contraindication,
    library,
)
from caseapp.domain.handouts.models import HandoutVersionReview
from caseapp.domain.handouts.schemas import ASK_CLINICIAN, LEAST_CLINICIAN, NewReview

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caseapp.domain.handouts.variants import Pair

HOLD_MARKS = ("none", "care", "safety")
BLANK_ROWS = 3
MAX_BODY_LENGTH = 20_000
MAX_VALUE_LENGTH = 4000
MAX_WARNINGS = 20
WARNING_PARTS = ("tag", "effect", "because", "use_instead")
PAIR_PARTS = ("en", "us")
ROW = re.compile(r"(\d{1,2})\.(\w+)", re.ASCII)


@dataclass(frozen=True)
class NewDraft:
    """The title and language of a new practice handout."""

    title: str
    language: str


class NewDraftSchema(Schema):
    """A request for a new practice handout."""

    title = RequiredPrintedText(lazy_gettext("Enter a title"), 120, least=3)
    language = fields.String(load_default="en", validate=validate.OneOf([*LANGUAGES]))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewDraft:
        """Return the plain value."""
        return NewDraft(" ".join(data["title"].split()), data["language"])


class ReturnDraftSchema(Schema):
    """The reason for returning a draft to its authors."""

    reason = WrittenReason(
        lazy_gettext("Tell the authors what should change"),
        5,
        max_length(HandoutDraftRevision.reason),
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the plain value."""
        return " ".join(data["reason"].split())


@dataclass(frozen=True)
class Approval:
    """The approval of a draft: whether to hide the original, and the clinician who has reviewed it, if any."""

    hide_original: bool = False
    review: NewReview | None = None


NO_CLINICIAN = Approval()


class PublishSchema(Schema):
    """An approval, perhaps with the request to hide the original, and with a clinician's name and date."""

    hide_original = fields.Boolean(load_default=False)
    clinician = PrintedString(
        load_default="", validate=validate.Length(max=max_length(HandoutVersionReview.clinician))
    )
    reviewed_on = fields.Date(load_default=None)

    @validates_schema
    def require_both(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a name without a date or a date without a name."""
        name, reviewed_on = _line(data["clinician"]), data.get("reviewed_on")
        if name and reviewed_on is None:
            raise ValidationError("Choose the date of the review.", "reviewed_on")
        if (name or reviewed_on) and count_written(name) < LEAST_CLINICIAN:
            raise ValidationError(
                explain_too_short(name, ASK_CLINICIAN, LEAST_CLINICIAN), "clinician"
            )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Approval:
        """Build the value."""
        name = _line(data["clinician"])
        review = NewReview(name, data["reviewed_on"]) if name else None
        return Approval(bool(data["hide_original"]), review)


def _rows() -> fields.Dict:
    return fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=validate.Length(max=MAX_VALUE_LENGTH)),
        load_default=dict,
    )


class DraftContentSchema(Schema):
    """The content of a draft as the editor sends it: only its form is checked here, rules.py finds the problems."""

    do = fields.String(load_default="save", validate=validate.OneOf(["save", "preview", "submit"]))
    title = PrintedString(
        load_default="", validate=validate.Length(max=max_length(HandoutDraft.title))
    )
    alias = PrintedString(load_default="", validate=validate.Length(max=200))
    stage = fields.String(load_default="", validate=validate.OneOf([*stage_by_id(), ANY_STAGE]))
    also_fits = fields.List(
        fields.String(validate=validate.OneOf([*stage_by_id()])), load_default=list
    )
    kind = fields.String(load_default="", validate=validate.OneOf(KINDS))
    summary = PrintedString(load_default="", validate=validate.Length(max=600))
    minutes = fields.Integer(load_default=None, validate=validate.Range(1, 60))
    hold_ok = fields.String(load_default="none", validate=validate.OneOf(HOLD_MARKS))
    involves = fields.Dict(
        keys=fields.String(validate=validate.OneOf(CONTENTS)),
        values=fields.String(validate=validate.OneOf(["", "yes", "no"])),
        load_default=dict,
    )
    channels = fields.List(fields.String(validate=validate.OneOf(CHANNELS)), load_default=list)
    warnings = _rows()
    faith_insert = PrintedString(load_default="", validate=validate.Length(max=600))
    review_date = fields.Date(load_default=None)
    change = PrintedString(load_default="", validate=validate.Length(max=400))
    two_minutes = fields.Dict(
        keys=fields.String(validate=validate.OneOf([*map(str, range(STEPS))])),
        values=PrintedString(validate=validate.Length(max=600)),
        load_default=dict,
    )
    us = _rows()
    body = PrintedString(
        load_default="",
        validate=validate.Length(
            max=MAX_BODY_LENGTH, error=f"The text can have at most {MAX_BODY_LENGTH:,} characters."
        ),
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> DraftContent:
        """Return the content; blank rows are dropped."""
        return DraftContent(
            title=_line(data["title"]),
            alias=_line(data["alias"]) or None,
            stage=data["stage"],
            also_fits=tuple(data["also_fits"]),
            kind=data["kind"],
            summary=_line(data["summary"]),
            minutes=data["minutes"],
            hold_ok=data["hold_ok"],
            involves={name: answer == "yes" for name, answer in data["involves"].items() if answer},
            channels=tuple(channel for channel in CHANNELS if channel in data["channels"]),
            warnings=tuple(_read_warnings(data["warnings"])),
            faith_insert=_line(data["faith_insert"]) or None,
            review_date=data["review_date"],
            change=_line(data["change"]),
            body=_body(data["body"]),
            two_minutes=_read_steps(data["two_minutes"]),
            us=tuple(_read_pairs(data["us"])),
        )


def _line(text: str) -> str:
    return " ".join(text.split())


def _body(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _by_row(values: Mapping[str, str], sections: Iterable[str], name: str) -> list[tuple[int, Any]]:
    """Group values sent as `0.label`, `0.type` by row number.

    Raises ValidationError for an unknown name.
    """
    known, rows = set(sections), defaultdict[int, dict[str, str]](dict)
    for key, text in values.items():
        found = ROW.fullmatch(key)
        if found is None or found[2] not in known:
            raise ValidationError({f"{name}.{key}": ["Unknown field."]})
        rows[int(found[1])][found[2]] = text
    return sorted(rows.items())


def _read_warnings(values: Mapping[str, str]) -> list[Contraindication]:
    found = []
    for row, sections in _by_row(values, WARNING_PARTS, "warnings"):
        row_values = {part: _line(sections.get(part, "")) for part in WARNING_PARTS}
        _require_printable_rows("warnings", row, {"because": row_values["because"]})
        for part, known in (("tag", TAGS), ("effect", EFFECTS), ("use_instead", _library_slugs())):
            if row_values[part] and row_values[part] not in known:
                raise ValidationError({f"warnings.{row}.{part}": ["Choose from the list."]})
        if row_values["tag"] or row_values["because"]:
            tag, effect, because, instead = (row_values[part] for part in WARNING_PARTS)
            found.append(Contraindication(tag, effect, because, instead or None))
    if len(found) > MAX_WARNINGS:
        raise ValidationError(
            {"warnings": [f"A handout can have at most {MAX_WARNINGS} of these."]}
        )
    return found


def _read_steps(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(filter(None, (_line(values.get(str(n), "")) for n in range(STEPS))))


def _read_pairs(values: Mapping[str, str]) -> list[Pair]:
    found = []
    for row, sections in _by_row(values, PAIR_PARTS, "us"):
        phrase, other = (_line(sections.get(part, "")) for part in PAIR_PARTS)
        _require_printable_rows("us", row, {"en": phrase, "us": other})
        if phrase or other:
            found.append((phrase, other))
    if len(found) > MAX_PAIRS:
        raise ValidationError({"us": [f"A handout can have at most {MAX_PAIRS} of these."]})
    return found


def _require_printable_rows(name: str, row: int, texts: Mapping[str, str]) -> None:
    for part, text in texts.items():
        try:
            require_printable(text)
        except ValidationError as error:
            raise ValidationError({f"{name}.{row}.{part}": error.messages}) from error


def _library_slugs() -> set[str]:
    return {slug for slug, _ in library()}


def get_form_values(content: DraftContent) -> dict[str, Any]:
    """Return content as the values of the editor's form."""
    values: dict[str, Any] = {
        "title": content.title,
        "alias": content.alias or "",
        "stage": content.stage,
        "also_fits": [*content.also_fits],
        "kind": content.kind,
        "summary": content.summary,
        "minutes": content.minutes or "",
        "hold_ok": content.hold_ok,
        "channels": [*content.channels],
        "faith_insert": content.faith_insert or "",
        "review_date": content.review_date.isoformat() if content.review_date else "",
        "change": content.change,
        "body": content.body,
    }
    for n in range(STEPS):
        values[f"two_minutes.{n}"] = content.two_minutes[n] if n < len(content.two_minutes) else ""
    for row, pair in enumerate(content.us):
        values |= {f"us.{row}.{part}": text for part, text in zip(PAIR_PARTS, pair, strict=True)}
    for name in CONTENTS:
        answer = content.involves.get(name)
        values[f"involves.{name}"] = "" if answer is None else "yes" if answer else "no"
    for row, warning in enumerate(content.warnings):
        values |= {f"warnings.{row}.{part}": getattr(warning, part) or "" for part in WARNING_PARTS}
    return values


def list_visible_rows(values: Mapping[str, Any], name: str) -> list[int]:
    """Return the numbers of the rows to show: those up to the last used one, and three blank ones."""
    used = [
        int(found[1])
        for key, value in values.items()
        if value
        and key.startswith(f"{name}.")
        and (found := ROW.fullmatch(key.removeprefix(f"{name}.")))
    ]
    return [*range(min(max(used, default=-1) + 1 + BLANK_ROWS, MAX_WARNINGS))]
