"""Schemas and records of session notes, and the sections of each format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import RequiredText, WrittenReason
from caseapp.domain.followups.schemas import PLAUSIBLE_TIME
from caseapp.domain.notes.codes import (
    CHOSEN_KINDS,
    LATE_ENTRY_AFTER,
    MAX_SESSION_MINUTES,
    MODALITIES,
)
from caseapp.domain.screening.protocol import ACTIONS_TAKEN, CIRCUMSTANCES, ITEMS, Level
from caseapp.domain.screening.rules import highest_level, list_stated
from caseapp.domain.screening.schemas import (
    LevelField,
    NewScreening,
    ScreeningBase,
    keep_days,
)

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from caseapp.domain.screening.records import Answer

MAX_NOTE_LENGTH = 100_000
NO_EARLIER: Mapping[str, Answer] = {}


@dataclass(frozen=True)
class Section:
    """A section of a note; `{name}` in the hint stands for the client's preferred name."""

    label: str
    hint: str


_ASSESSMENT = Section("Assessment", "How you make sense of it. What has changed since last time.")
_PLAN = Section("Plan", "What each of you will do before the next session.")
FORMATS = {
    "dap": {
        "data": Section("Data", "What {name} said and what you noticed."),
        "assessment": _ASSESSMENT,
        "plan": _PLAN,
    },
    "soap": {
        "subjective": Section("Subjective", "What {name} said, in their own words."),
        "objective": Section("Objective", "What you saw and heard, without interpreting it."),
        "assessment": _ASSESSMENT,
        "plan": _PLAN,
    },
    "free": {"text": Section("Note", "What was said, what you noticed, what comes next.")},
}
SECTIONS = {key: section for sections in FORMATS.values() for key, section in sections.items()}


@dataclass(frozen=True)
class DraftScreening:
    """The screening answers in a draft; a question missing from `answers` was left blank.

    *Not asked* (None) is an answer, a blank is not.
    """

    answers: dict[str, int | None]
    asked_alone: bool = False
    actions_taken: tuple[str, ...] = ()
    comment: str = field(default="", repr=False)
    circumstances: tuple[str, ...] = ()
    below_reason: str = field(default="", repr=False)
    recorded: RecordedAnswers | None = None
    lasting_since: dict[str, date] = field(default_factory=dict)

    @property
    def touched(self) -> bool:
        """Tell whether anything was entered."""
        return self._about != NO_ANSWERS or bool(self.answers)

    @property
    def unanswered(self) -> list[str]:
        """List the keys of the questions without an answer."""
        return [item.key for item in ITEMS if item.key not in self.answers]

    @property
    def highest_level(self) -> int | None:
        """Return the highest level chosen, if any."""
        return highest_level(self.answers)

    @property
    def unrecorded(self) -> dict[str, int]:
        """Return the levels that are chosen and not recorded, by item."""
        known = self.recorded.draft.answers if self.recorded else {}
        return {
            key: level
            for key, level in self.answers.items()
            if level is not None and known.get(key) != level
        }

    @property
    def has_unrecorded(self) -> bool:
        """Tell whether there is something to record: levels, or more about those that are recorded."""
        if self.highest_level is None and not self.circumstances:
            return False
        return self.recorded is None or bool(
            self.unrecorded or replace(self.recorded.draft, answers={}) != self._about
        )

    @property
    def _about(self) -> DraftScreening:
        """Return what was entered about the answers, without them."""
        return replace(self, answers={}, recorded=None)

    @property
    def repeats(self) -> dict[str, UUID]:
        """Return, by key, the screenings that have recorded the levels and circumstances that are still chosen."""
        if self.recorded is None:
            return {}
        levels = [
            key
            for key, level in self.answers.items()
            if level is not None and key not in self.unrecorded
        ]
        ticked = {*self.circumstances} & {*self.recorded.draft.circumstances}
        return {key: self.recorded.origins[key] for key in (*levels, *sorted(ticked))}

    def list_stated(
        self, answers: Mapping[str, Answer] = NO_EARLIER, known: Container[str] = ()
    ) -> dict[str, int]:
        """List the levels, by item, that require something once they are recorded.

        `answers` are those that count for the client now, which circumstances can raise too, and `known` the
        circumstances that were ticked before; without them, the levels are listed as far as the draft tells.
        """
        before = {item: answer.level for item, answer in answers.items()}
        return list_stated(self.screening, before=before, known=known, repeats=self.repeats)[1]

    @property
    def restated(self) -> dict[str, int]:
        """Return the levels, by item, of the answers and circumstances that are recorded and still chosen."""
        repeats = self.repeats
        return list_stated(
            replace(
                self.screening,
                levels={key: level for key, level in self.answers.items() if key in repeats},
                circumstances=tuple(key for key in self.circumstances if key in repeats),
            )
        )[1]

    @property
    def screening(self) -> NewScreening:
        """Return these answers as a screening; blank ones count as not asked."""
        return NewScreening(
            levels={item.key: self.answers.get(item.key) for item in ITEMS},
            asked_alone=self.asked_alone,
            actions_taken=self.actions_taken,
            comment=self.comment,
            lasting_since=self.lasting_since,
            circumstances=self.circumstances,
            below_reason=self.below_reason,
        )


@dataclass(frozen=True)
class RecordedAnswers:
    """What was last recorded from a draft that is still being written: its answers as they were then.

    `origins` are, by key, the screenings that recorded the levels and circumstances first. `session_at` is the time of
    the session that was recorded with them.
    """

    draft: DraftScreening
    origins: dict[str, UUID]
    session_at: datetime


NO_ANSWERS = DraftScreening({})


def draft_to_json(draft: DraftScreening) -> dict[str, Any]:
    """Return the answers in a draft as plain data."""
    data: dict[str, Any] = {
        "answers": draft.answers,
        "asked_alone": draft.asked_alone,
        "actions_taken": list(draft.actions_taken),
        "comment": draft.comment,
        "lasting_since": {item: day.isoformat() for item, day in draft.lasting_since.items()},
        "circumstances": list(draft.circumstances),
        "below_reason": draft.below_reason,
    }
    if recorded := draft.recorded:
        data["recorded"] = {
            "draft": draft_to_json(recorded.draft),
            "origins": {key: found.hex for key, found in recorded.origins.items()},
            "session_at": recorded.session_at.isoformat(),
        }
    return data


def draft_from_json(data: dict[str, Any]) -> DraftScreening:
    """Build the answers in a draft from plain data."""
    found, recorded = data.pop("recorded", None), None
    if found is not None:
        recorded = RecordedAnswers(
            draft_from_json(found["draft"]),
            {key: UUID(origin) for key, origin in found["origins"].items()},
            datetime.fromisoformat(found["session_at"]),
        )
    days = data.pop("lasting_since", {})
    lists = {name: tuple(data.get(name, ())) for name in ("actions_taken", "circumstances")}
    return DraftScreening(
        **{**data, **lists},
        recorded=recorded,
        lasting_since={item: date.fromisoformat(day) for item, day in days.items()},
    )


@dataclass(frozen=True)
class NewNote:
    """A note to be started."""

    format: str
    session_at: datetime
    minutes: int | None
    modality: str
    sections: dict[str, str] = field(repr=False, default_factory=dict)


@dataclass(frozen=True)
class DraftChange:
    """A change of a draft; None leaves a part unchanged, and zero minutes mean unknown.

    `sections` replaces the sections it names. A new `format` keeps all text.
    """

    format: str | None = None
    session_at: datetime | None = None
    minutes: int | None = None
    modality: str | None = None
    sections: dict[str, str] = field(repr=False, default_factory=dict)
    screening: DraftScreening | None = None


def _format_field(*, required: bool = False) -> fields.String:
    extra: dict[str, Any] = {"required": True} if required else {"load_default": None}
    return fields.String(validate=validate.OneOf(list(FORMATS)), **extra)


def _sections_field() -> fields.Dict:
    return fields.Dict(
        keys=fields.String(validate=validate.OneOf(list(SECTIONS))),
        values=fields.String(),
        load_default=dict,
    )


def _minutes_field() -> fields.Integer:
    return fields.Integer(
        load_default=None, allow_none=True, validate=validate.Range(0, MAX_SESSION_MINUTES)
    )


def _level_fields() -> dict[str, fields.Field[Any]]:
    return {item.key: LevelField(allow_none=True) for item in ITEMS}


def _normalize(sections: dict[str, str]) -> dict[str, str]:
    return {key: text.replace("\r\n", "\n").strip() for key, text in sections.items()}


def _require_length(sections: dict[str, str]) -> None:
    """Require a total length of at most MAX_NOTE_LENGTH characters; the error is reported at the longest section."""
    length = sum(map(len, sections.values()))
    if length > MAX_NOTE_LENGTH:
        raise ValidationError(
            f"A note can have up to {MAX_NOTE_LENGTH:,} characters in total; this one has {length:,}. "
            "Shorten it and save again. Nothing was saved.",
            max(sections, key=lambda key: len(sections[key])),
        )


class NewNoteSchema(Schema):
    """Input for starting a note."""

    format = _format_field(required=True)
    session_at = fields.AwareDateTime(required=True, validate=PLAUSIBLE_TIME)
    minutes = _minutes_field()
    modality = fields.String(load_default="video", validate=validate.OneOf(list(MODALITIES)))
    sections = _sections_field()

    @validates_schema
    def _check_sections(self, data: dict[str, Any], **_: object) -> None:
        sections = data.get("sections") or {}
        _require_length(sections)
        unknown = sections.keys() - FORMATS.get(data.get("format", ""), {}).keys()
        if unknown and data.get("format"):
            raise ValidationError(
                f"This format has no section named {', '.join(sorted(unknown))}.", "sections"
            )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewNote:
        """Build the value."""
        return NewNote(**{**data, "sections": _normalize(data["sections"])})


class _DraftAnswersBase(ScreeningBase):
    @post_load
    def make(self, data: dict[str, Any], **_: object) -> DraftScreening:
        """Build the value."""
        return _draft_screening(data)


def _draft_screening(data: dict[str, Any]) -> DraftScreening:
    return DraftScreening(
        answers={item.key: data[item.key] for item in ITEMS if item.key in data},
        asked_alone=data["asked_alone"],
        actions_taken=tuple(kind for kind in ACTIONS_TAKEN if kind in data["actions_taken"]),
        comment=data["comment"].replace("\r\n", "\n").strip(),
        lasting_since=keep_days(data["lasting_since"]),
        circumstances=tuple(key for key in CIRCUMSTANCES if key in data["circumstances"]),
        below_reason=data["below_reason"].replace("\r\n", "\n").strip(),
    )


DraftAnswersSchema = _DraftAnswersBase.from_dict(_level_fields(), name="DraftAnswersSchema")


class DraftSchema(Schema):
    """Input for changing a draft; fields that are not sent stay unchanged."""

    format = _format_field()
    session_at = fields.AwareDateTime(load_default=None, validate=PLAUSIBLE_TIME)
    minutes = _minutes_field()
    modality = fields.String(load_default=None, validate=validate.OneOf(list(MODALITIES)))
    sections = _sections_field()
    screening = fields.Nested(DraftAnswersSchema, load_default=None)

    @validates_schema
    def _check_sections(self, data: dict[str, Any], **_: object) -> None:
        _require_length(data.get("sections") or {})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> DraftChange:
        """Build the value."""
        return DraftChange(**{**data, "sections": _normalize(data["sections"])})


class _DraftFormBase(_DraftAnswersBase):
    """Input from the editor's form, which always sends the whole draft."""

    format = _format_field(required=True)
    to_format = _format_field()
    session_at = fields.AwareDateTime(required=True, validate=PLAUSIBLE_TIME)
    minutes = _minutes_field()
    modality = fields.String(required=True, validate=validate.OneOf(list(MODALITIES)))
    do = fields.String(load_default="save", validate=validate.OneOf(["save", "sign"]))

    @validates_schema
    def _check_length(self, data: dict[str, Any], **_: object) -> None:
        _require_length({key: data.get(key, "") for key in SECTIONS})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> DraftChange:
        """Build the value."""
        return DraftChange(
            format=data["to_format"] or data["format"],
            session_at=data["session_at"],
            minutes=data["minutes"] or 0,
            modality=data["modality"],
            sections=_normalize({key: data[key] for key in FORMATS[data["format"]]}),
            screening=_draft_screening(data),
        )


DraftFormSchema = _DraftFormBase.from_dict(
    {**_level_fields(), **{key: fields.String(load_default="") for key in SECTIONS}},
    name="DraftFormSchema",
)


MAX_ADDENDUM_LENGTH = 20_000
LEAST_ADDENDUM_REASON, MAX_ADDENDUM_REASON = 10, 2000


@dataclass(frozen=True)
class NewAddendum:
    """An addendum to be signed. A correction may say when the session was and its minutes; None leaves them."""

    kind: str
    text: str = field(default="", repr=False)
    reason: str = field(default="", repr=False)
    session_at: datetime | None = None
    minutes: int | None = None


class AddendumSchema(Schema):
    """Input of an addendum to a signed note."""

    kind = fields.String(required=True, validate=validate.OneOf(list(CHOSEN_KINDS)))
    text = RequiredText(
        lazy_gettext("Write what is right, or what is missing"),
        MAX_ADDENDUM_LENGTH,
        load_default="",
    )
    reason = WrittenReason(
        lazy_gettext("Write the reason"),
        LEAST_ADDENDUM_REASON,
        MAX_ADDENDUM_REASON,
        load_default="",
    )
    session_at = fields.AwareDateTime(load_default=None, allow_none=True, validate=PLAUSIBLE_TIME)
    minutes = fields.Integer(
        load_default=None, allow_none=True, validate=validate.Range(1, MAX_SESSION_MINUTES)
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewAddendum:
        """Build the value."""
        texts = {name: data[name].replace("\r\n", "\n") for name in ("text", "reason")}
        return NewAddendum(**{**data, **texts})


class AddendumResponseSchema(Schema):
    """An addendum of a signed note in API responses."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)
    created_by = fields.UUID(required=True)
    role = fields.String(required=True)
    zone = fields.String(required=True)
    text = fields.String(required=True)
    reason = fields.String(required=True)
    session_at = fields.AwareDateTime(required=True, allow_none=True)
    minutes = fields.Integer(required=True, allow_none=True)


class SignatureResponseSchema(Schema):
    """A signature of a note in API responses; without a role it is that of an earlier release, recorded later."""

    meaning = fields.String(required=True)
    signed_by = fields.UUID(required=True)
    role = fields.String(required=True, allow_none=True)
    signed_at = fields.AwareDateTime(required=True)
    zone = fields.String(required=True)
    recorded_at = fields.AwareDateTime(required=True)


class NoteResponseSchema(Schema):
    """A note in API responses; `is_as_signed` is false for a signed note that was changed in the database.

    `session_at` and `minutes` are as they were signed; the actual ones and `in_error` are what the newest addenda say.
    """

    id = fields.UUID(required=True)
    case_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    author_id = fields.UUID(required=True)
    format = fields.String(required=True)
    session_at = fields.AwareDateTime(required=True)
    minutes = fields.Integer(required=True, allow_none=True)
    modality = fields.String(required=True)
    status = fields.String(required=True)
    sections = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    screening_id = fields.UUID(required=True, allow_none=True)
    unrecorded_level = fields.Integer(required=True, allow_none=True)
    updated_at = fields.AwareDateTime(required=True)
    signed_at = fields.AwareDateTime(required=True, allow_none=True)
    sha256 = fields.String(required=True, allow_none=True)
    signature = fields.Nested(SignatureResponseSchema, required=True, allow_none=True)
    is_as_signed = fields.Boolean(required=True)
    is_late_entry = fields.Boolean(required=True)
    actual_session_at = fields.AwareDateTime(required=True)
    actual_minutes = fields.Integer(required=True, allow_none=True)
    in_error = fields.Boolean(required=True)
    addenda = fields.List(fields.Nested(AddendumResponseSchema), required=True)
    version = fields.Integer(required=True)


@dataclass(frozen=True)
class Signature:
    """Who signed a note, in which role and as what, when and in which time zone, and what the note was then.

    `client_id` and `case_id` are those that the note had then. A signature that was recorded later than it was signed
    is that of an earlier release, which left no role.
    """

    note_id: UUID
    meaning: str
    client_id: UUID
    case_id: UUID
    signed_by: UUID
    role: str | None
    signed_at: datetime
    zone: str
    recorded_at: datetime
    digest: str

    @property
    def is_recorded_later(self) -> bool:
        """Tell whether the note was signed before signatures were recorded."""
        return self.recorded_at > self.signed_at


@dataclass(frozen=True)
class Addendum:
    """A signed addendum of a note, unsealed; `seq` is its number in the note.

    A correction may say when the session was and how long it took. Of one that was changed in the database the texts
    may be missing.
    """

    id: UUID
    note_id: UUID
    client_id: UUID
    seq: int
    kind: str
    created_at: datetime
    created_by: UUID
    role: str
    zone: str
    text: str = field(repr=False)
    reason: str = field(repr=False)
    session_at: datetime | None
    minutes: int | None
    author: str = ""


def addendum_to_json(addendum: Addendum) -> dict[str, Any]:
    """Return what an addendum says as plain data."""
    return {
        "text": addendum.text,
        "reason": addendum.reason,
        "session_at": addendum.session_at.isoformat() if addendum.session_at else None,
        "minutes": addendum.minutes,
    }


@dataclass(frozen=True)
class NoteRecord:
    """A session note in draft or signed, unsealed.

    A signed note that isn't `is_as_signed` was changed in the database: what it says can't be relied on. `session_at`
    and `minutes` are as they were signed; the actual ones and `in_error` are what the newest addenda say.
    """

    id: UUID
    case_id: UUID
    client_id: UUID
    author_id: UUID
    format: str
    session_at: datetime
    minutes: int | None
    modality: str
    status: str
    sections: dict[str, str] = field(repr=False)
    screening_id: UUID | None
    updated_at: datetime
    signed_at: datetime | None
    sha256: str | None
    actual_session_at: datetime
    actual_minutes: int | None
    in_error: bool
    version: int
    author: str = ""
    client: str = field(default="", repr=False)
    number: str = ""
    draft: DraftScreening = NO_ANSWERS
    signature: Signature | None = None
    is_as_signed: bool = True
    addenda: tuple[Addendum, ...] = ()

    @property
    def is_late_entry(self) -> bool:
        """Tell whether the note was signed late after the session, as far as it said itself when that was."""
        return self.signed_at is not None and self.signed_at - self.session_at > LATE_ENTRY_AFTER

    @property
    def unrecorded_level(self) -> int | None:
        """Return the highest level in a draft that is not recorded yet."""
        return highest_level(self.draft.unrecorded) if self.draft.answers else None

    @property
    def ordered_sections(self) -> list[tuple[str, Section, str]]:
        """List key, section and text in the order of the format."""
        return [
            (key, section, self.sections.get(key, ""))
            for key, section in FORMATS[self.format].items()
        ]


@dataclass(frozen=True)
class DraftListItem:
    """A draft in its author's lists, without its content."""

    id: UUID
    case_id: UUID
    client_id: UUID
    number: str
    client: str = field(repr=False)
    session_at: datetime
    created_at: datetime
    updated_at: datetime
    unrecorded_level: int | None

    @property
    def urgency(self) -> int:
        """Return the unrecorded level of a draft that can't wait, else 0."""
        level = self.unrecorded_level or 0
        return level if level >= Level.CONCERN else 0


@dataclass(frozen=True)
class CoachDraft:
    """A coach's unsigned note as their supervisor sees it: its age and no content."""

    author: str
    id: UUID
    client_id: UUID
    number: str
    client: str = field(repr=False)
    created_at: datetime
