"""The handout library on disk. All files are read and checked when the app starts; a broken file stops the start."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

import frontmatter
import yaml
from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.core.settings import ROOT
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.blocks import (
    convert_earlier,
    has_help_block,
    list_block_problems,
    list_fields,
    split_blocks,
)
from caseapp.domain.handouts.variants import (
    AMERICAN,
    WRITTEN_IN,
    Pair,
    find_unused_pairs,
    make_variant,
)

if TYPE_CHECKING:
    from pathlib import Path

    from caseapp.domain.handouts.fields import Field

FOLDER = ROOT / "handouts"
ANY_STAGE = "any"
SAFETY_HANDOUT = "safety-sheet"
KINDS = ("guide", "worksheet", "checklist", "journal", "conversation-practice", SAFETY_HANDOUT)
TAGS = (
    "contact_block",
    "violence_flag",
    "client_harm_flag",
    "self_harm_flag",
    "eating_disorder_flag",
    "withdrawal_risk",
    "unsafe_delivery",
    "joint_consent",
    "distance_only",
    "safety_screen_unknown",
    "safety_screen_older_than_14_days",
    "recent_affair",
    "court_order",
    "fear_unknown",
    "fear_watch",
)
CONTENTS = ("contact", "two_people", "limits", "own_part")
"""What a handout may involve, each a question that its front matter answers; `bars` says what follows from a yes."""
CONTACT_STAGES = frozenset({"contact", "reconnect", "repair"})
"""The stages whose handouts all involve contact; content map, section (f), "Global rule"."""
LANGUAGES = {"en": "English", "es": "Español"}
CHANNELS = ("in_person", "print", "portal")
EFFECTS = ("block", "warn", "in_session")
HELP_BLOCKS = ("crisis_block", "dv_block", "substance_block", "ed_block", "child_block")
STEPS, MAX_STEP = 3, 240
"""How many steps the two-minute card has, and characters of each; the library's syntax note."""
MAX_PHRASE, MAX_PAIRS = 120, 20
REVIEWED = "reviewed"
"""The status of a text that a licensed clinician has reviewed for everybody; a practice records its own reviews."""
STOP_BOX = {"en": "Stop and get help", "es": "Para y pide ayuda"}
PRACTICE_PREFIX = "own-"
"""Prefix of the ids of practice handouts; no library file may use it."""
# The lookbehind avoids quadratic time on long runs of blanks.
CLAIMS_MARKER = re.compile(r"(?<![ \t])[ \t]*\{\{claims:([^}]*)\}\}")
LINE_MARKER = re.compile(r"^\{\{(\w+)\}\}$", re.MULTILINE)
ANY_MARKER = re.compile(r"\{\{[^}]*\}\}")


class InvalidHandoutFile(Exception):
    """A handout source that is broken, with what is wrong with it."""

    def __init__(self, message: str, problems: dict[str, Any] | None = None) -> None:
        """Take a one-line message and the schema's messages by field, if there are any."""
        super().__init__(message)
        self.problems = problems or {}


@dataclass(frozen=True)
class Contraindication:
    """A condition under which a handout is blocked or needs caution."""

    tag: str
    effect: str
    because: str
    use_instead: str | None


@dataclass(frozen=True)
class ClinicianDecision:
    """The decision of a licensed clinician that a practice handout may be laxer than what it inherits, and in what."""

    name: str
    reviewed_on: date
    accepted: tuple[str, ...]


@dataclass(frozen=True)
class Handout:
    """A version of a handout: its front matter and its text."""

    id: str
    code: str
    title: str
    alias: str | None
    stage: str
    also_fits: tuple[str, ...]
    kind: str
    version: int
    status: str
    language: str
    summary: str
    minutes: int
    sources: tuple[str, ...]
    claims: tuple[str, ...]
    hold_ok: str
    involves: frozenset[str] | None
    """What it involves, of CONTENTS; None in a version that was published before the questions were asked."""
    contraindications: tuple[Contraindication, ...]
    channels: tuple[str, ...]
    unsafe_delivery: str
    faith_insert: str | None
    review_date: date
    history: tuple[tuple[int, date, str], ...]
    based_on: str | None
    structure: str | None
    """Whose published structure it follows and which permission is open; for the staff's page only."""
    clinician: ClinicianDecision | None
    body: str
    source: str
    is_first_edition: bool = False
    """Whether its source lists its fields in the front matter; such a version was published before blocks existed."""
    two_minutes: tuple[str, ...] = ()
    """The steps of the card for somebody who has two minutes; none where there is no card."""
    us: tuple[Pair, ...] = ()
    """The words that the American variant says otherwise."""
    written: Handout | None = None
    """The text that this variant was made from; None for the written text itself."""

    @property
    def original(self) -> Handout:
        """Return the text as it was written, from which every variant is made."""
        return self.written or self

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return the fields to fill in, in the order of the text."""
        return list_fields(self.body)

    @property
    def is_practice_handout(self) -> bool:
        """Return whether the practice wrote it; otherwise it belongs to the library."""
        return self.id.startswith(PRACTICE_PREFIX)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the whole source."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def neutral_title(self) -> str:
        """Return the title that is safe to show to others: the neutral one where there is one."""
        return self.alias or self.title

    def fits(self, stage: str) -> bool:
        """Return whether the handout fits a stage, or every stage."""
        return self.stage in {stage, ANY_STAGE} or stage in self.also_fits


class _ContraindicationSchema(Schema):
    tag = fields.String(required=True, validate=validate.OneOf(TAGS))
    effect = fields.String(required=True, validate=validate.OneOf(EFFECTS))
    because = fields.String(required=True, validate=validate.Length(10, 300))
    use_instead = fields.String(load_default=None, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Contraindication:
        """Build the value."""
        return Contraindication(**data)


PHRASE = re.compile(rf"[^\s|{{}}]([^\n|{{}}]{{0,{MAX_PHRASE - 2}}}[^\s|{{}}])?\Z")
ABOUT_PHRASES = f"Write 1 to {MAX_PHRASE} characters without vertical bars or braces."
ABOUT_STEPS = f"Write exactly {STEPS} steps."
UNANSWERED: dict[str, Any] = {"required": "Answer yes or no.", "null": "Answer yes or no."}


class _InvolvesSchema(Schema):
    """Yes or no to each question about what a handout involves; none can be left out."""

    contact = fields.Boolean(required=True, error_messages=UNANSWERED)
    two_people = fields.Boolean(required=True, error_messages=UNANSWERED)
    limits = fields.Boolean(required=True, error_messages=UNANSWERED)
    own_part = fields.Boolean(required=True, error_messages=UNANSWERED)

    @post_load
    def make(self, data: dict[str, bool], **_: object) -> frozenset[str]:
        """Return what is answered with yes."""
        return frozenset(name for name, answer in data.items() if answer)


class _PairSchema(Schema):
    """A phrase of the text, and what the American variant says instead; neither may end a cell or a marker."""

    en = fields.String(required=True, validate=validate.Regexp(PHRASE, error=ABOUT_PHRASES))
    us = fields.String(required=True, validate=validate.Regexp(PHRASE, error=ABOUT_PHRASES))

    @post_load
    def make(self, data: dict[str, str], **_: object) -> Pair:
        """Build the value."""
        return data["en"], data["us"]


class _DeliverySchema(Schema):
    channels = fields.List(fields.String(validate=validate.OneOf(CHANNELS)), required=True)
    unsafe_delivery = fields.String(required=True, validate=validate.OneOf(["in_person_only"]))


class _HistorySchema(Schema):
    version = fields.Integer(required=True)
    date = fields.Date(required=True)
    change = fields.String(required=True, validate=validate.Length(3, 200))


class _ClinicianSchema(Schema):
    name = fields.String(required=True, validate=validate.Length(3, 120))
    reviewed_on = fields.Date(required=True)
    accepted = fields.List(fields.String(), required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ClinicianDecision:
        """Build the value."""
        return ClinicianDecision(**{**data, "accepted": tuple(data["accepted"])})


class HandoutSchema(Schema):
    """The front matter of a handout, of the library or of the practice.

    The keys are part of the hashed sources and must not be renamed.
    """

    id = fields.String(required=True, validate=validate.Regexp(r"^[a-z][a-z0-9-]{2,59}$"))
    code = fields.String(required=True, validate=validate.Regexp(r"^(H\d\d|P\d{2,3})$"))
    title = fields.String(required=True, validate=validate.Length(3, 120))
    alias = fields.String(required=True, allow_none=True)
    stage = fields.String(required=True, validate=validate.OneOf([*stage_by_id(), ANY_STAGE]))
    also_fits = fields.List(fields.String(validate=validate.OneOf([*stage_by_id()])), required=True)
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    version = fields.Integer(required=True, validate=validate.Range(1))
    status = fields.String(
        required=True, validate=validate.OneOf(["awaiting-clinical-review", REVIEWED])
    )
    language = fields.String(required=True, validate=validate.OneOf([*STOP_BOX]))
    summary = fields.String(required=True, validate=validate.Length(10, 300))
    minutes = fields.Integer(required=True, validate=validate.Range(1, 60))
    sources = fields.List(fields.String(), required=True)
    claims = fields.List(fields.String(), required=True)
    hold_ok = fields.String(required=True, validate=validate.OneOf(["safety", "care", "none"]))
    involves = fields.Nested(_InvolvesSchema, load_default=None)
    contraindications = fields.List(fields.Nested(_ContraindicationSchema), required=True)
    delivery = fields.Nested(_DeliverySchema, required=True)
    first_edition_fields = fields.List(fields.Dict(), load_default=None, data_key="fields")
    faith_insert = fields.String(required=True, allow_none=True)
    review_date = fields.Date(required=True)
    history = fields.List(fields.Nested(_HistorySchema), required=True, validate=validate.Length(1))
    based_on = fields.String(load_default=None, allow_none=True)
    structure = fields.String(load_default=None, allow_none=True, validate=validate.Length(10, 300))
    clinician = fields.Nested(_ClinicianSchema, load_default=None)
    two_minutes = fields.List(
        fields.String(validate=validate.Length(3, MAX_STEP)),
        load_default=(),
        validate=validate.Length(equal=STEPS, error=ABOUT_STEPS),
    )
    us = fields.List(
        fields.Nested(_PairSchema), load_default=(), validate=validate.Length(1, MAX_PAIRS)
    )


def _strings(value: Any) -> Any:  # noqa: ANN401 - YAML
    """Turn YAML's dates back into strings, since the schema reads strings."""
    if isinstance(value, dict):
        return {key: _strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strings(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def parse_handout(source: str) -> Handout:
    """Parse a handout's source.

    Raises InvalidHandoutFile with every problem of the front matter or the markers.
    """
    handout = parse_draft(source)
    if problems := find_mismatches(handout):
        raise InvalidHandoutFile("; ".join(text for _, text in problems))
    return handout


def parse_draft(source: str) -> Handout:
    """Parse a handout's source, whether or not its markers match its front matter.

    Raises InvalidHandoutFile with every problem of the front matter.
    """
    try:
        matter, body = frontmatter.parse(source)
        data = HandoutSchema().load(_strings(matter))
    except yaml.YAMLError as error:
        raise InvalidHandoutFile(str(error)) from error
    except ValidationError as error:
        raise InvalidHandoutFile(str(error), error.messages_dict) from error
    delivery, earlier = data.pop("delivery"), data.pop("first_edition_fields")
    return Handout(
        **{
            **data,
            "also_fits": tuple(data["also_fits"]),
            "sources": tuple(data["sources"]),
            "claims": tuple(data["claims"]),
            "two_minutes": tuple(data["two_minutes"]),
            "us": tuple(data["us"]),
            "contraindications": tuple(data["contraindications"]),
            "history": tuple((h["version"], h["date"], h["change"]) for h in data["history"]),
        },
        channels=tuple(delivery["channels"]),
        unsafe_delivery=delivery["unsafe_delivery"],
        body=(body if earlier is None else convert_earlier(earlier, body)).strip(),
        source=source,
        is_first_edition=earlier is not None,
    )


def find_mismatches(handout: Handout) -> list[tuple[str, str]]:
    """List where front matter and text don't match, each with the front matter's key that it concerns."""
    problems = [("body", text) for text in _body_problems(handout)]
    problems += [("us", text) for text in _list_pair_problems(handout)]
    denied = handout.involves is not None and "contact" not in handout.involves
    if denied and handout.stage in CONTACT_STAGES:
        problems.append(("involves", f"a handout of the stage {handout.stage} involves contact"))
    if handout.history[-1][0] != handout.version:
        problems.append(("history", "the history does not end with this version"))
    foreign = not handout.is_practice_handout and (handout.based_on or handout.clinician)
    if handout.is_practice_handout != handout.code.startswith("P") or foreign:
        problems.append(("id", "id, code and origin don’t match"))
    return problems


def _list_pair_problems(handout: Handout) -> list[str]:
    if handout.us and handout.language != WRITTEN_IN:
        return ["only an English text has an American variant"]
    phrases = [phrase for phrase, _ in handout.us]
    twice = sorted({phrase for phrase in phrases if phrases.count(phrase) > 1})
    return [
        *(f"“{phrase}” is listed twice" for phrase in twice),
        *(f"“{phrase}” is the same in both" for phrase, other in handout.us if phrase == other),
        *(f"“{phrase}” doesn’t stand in the text" for phrase in find_unused_pairs(handout)),
        *(
            f"in the American variant {text}"
            for text in list_block_problems(make_variant(handout, AMERICAN).body)
            if text not in list_block_problems(handout.body)
        ),
    ]


def _body_problems(handout: Handout) -> list[str]:
    # A version of the first edition was checked by the limits of its time and doesn't change.
    problems = [] if handout.is_first_edition else list_block_problems(handout.body)
    blocks = LINE_MARKER.findall(handout.body)
    allowed = {*HELP_BLOCKS, "faith_insert"}
    problems += [f"no block is named {name}" for name in blocks if name not in allowed]
    if "crisis_block" not in blocks:
        problems.append("there is no {{crisis_block}}")
    # Labels of the first edition stood in the front matter, where braces were text.
    parts = split_blocks(handout.body) if handout.is_first_edition else ()
    prose = "\n\n".join(part.text for part in parts if not part.field) or handout.body
    rest = CLAIMS_MARKER.sub("", LINE_MARKER.sub("", prose))
    problems += [f"unknown marker {found}" for found in ANY_MARKER.findall(rest)]
    boxes = handout.body.count(f"## {STOP_BOX[handout.language]}")
    if boxes > 1 or not (boxes or has_help_block(handout.body)):
        problems.append(f"there are {boxes} “Stop and get help” sections instead of one")
    named = {c for m in CLAIMS_MARKER.findall(handout.body) for c in m.split()} - {"clinical"}
    if named != set(handout.claims):
        problems.append(
            f"claims differ between text and front matter: {sorted(named ^ set(handout.claims))}"
        )
    without_claims = [
        line
        for line in handout.body.splitlines()
        if line.startswith("## ") and not CLAIMS_MARKER.search(line)
    ]
    if not handout.is_practice_handout:
        problems += [f"this section cites no claim: {line[3:]}" for line in without_claims]
    return problems


def handout_files() -> list[Path]:
    """List the library's text files in a fixed order."""
    return sorted(FOLDER.glob("*/*.md"))


@cache
def library() -> dict[tuple[str, str], Handout]:
    """Read the whole library, by (id, language).

    Raises InvalidHandoutFile that names the file.
    """
    found: dict[tuple[str, str], Handout] = {}
    for path in handout_files():
        try:
            handout = parse_handout(path.read_text(encoding="utf-8"))
            name = handout.id if handout.language == "en" else f"{handout.id}.{handout.language}"
        except InvalidHandoutFile as error:
            raise InvalidHandoutFile(f"{path.relative_to(FOLDER.parent)}: {error}") from error
        if handout.is_first_edition:
            place = path.relative_to(FOLDER.parent)
            raise InvalidHandoutFile(
                f"{place}: write its fields as blocks, not in the front matter"
            )
        if handout.involves is None:
            place = path.relative_to(FOLDER.parent)
            raise InvalidHandoutFile(f"{place}: involves: answer each question with true or false")
        if handout.is_practice_handout:
            place = path.relative_to(FOLDER.parent)
            raise InvalidHandoutFile(
                f"{place}: ids that begin with {PRACTICE_PREFIX} are reserved for practice handouts"
            )
        if path.stem != name or path.parent.name != handout.stage:
            place = path.relative_to(FOLDER.parent)
            raise InvalidHandoutFile(f"{place}: belongs at {handout.stage}/{name}.md")
        found[handout.id, handout.language] = handout
    return found
