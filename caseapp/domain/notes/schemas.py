"""What forms and the API say about session notes: drafts, addenda, and answers with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import RequiredText, WholeNumber, WrittenReason
from caseapp.domain.followups.schemas import PLAUSIBLE_TIME
from caseapp.domain.notes.amendment_schemas import AmendmentResponseSchema
from caseapp.domain.notes.codes import (
    CHOSEN_KINDS,
    MAX_SESSION_MINUTES,
    MODALITIES,
)
from caseapp.domain.notes.formats import FORMATS, SECTIONS
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.screening.protocol import ACTIONS_TAKEN, CIRCUMSTANCES, ITEMS
from caseapp.domain.screening.schemas import (
    LevelField,
    ScreeningBase,
    keep_days,
)

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

MAX_NOTE_LENGTH = 100_000


@dataclass(frozen=True)
class NewNote:
    """A note to be started; `another` says that there may be another draft for the same case."""

    format: str
    session_at: datetime
    minutes: int | None
    modality: str
    sections: dict[str, str] = field(repr=False, default_factory=dict)
    another: bool = False


@dataclass(frozen=True)
class DraftChange:
    """A change of a draft; None leaves a part unchanged, and zero minutes mean unknown.

    `sections` replaces the sections it names, and `copied` the answers that are copied from last time. A new `format`
    keeps the texts of all sections; `gather` puts those that the format doesn't have at the top of its first one.
    """

    format: str | None = None
    session_at: datetime | None = None
    minutes: int | None = None
    modality: str | None = None
    sections: dict[str, str] = field(repr=False, default_factory=dict)
    screening: DraftScreening | None = None
    gather: bool = False
    copied: dict[str, int] | None = None


def _format_field(*, required: bool = False) -> fields.String:
    extra: dict[str, Any] = {"required": True} if required else {"load_default": None}
    return fields.String(validate=validate.OneOf(list(FORMATS)), **extra)


def _sections_field() -> fields.Dict:
    return fields.Dict(
        keys=fields.String(validate=validate.OneOf(list(SECTIONS))),
        values=fields.String(),
        load_default=dict,
    )


def _minutes_field() -> WholeNumber:
    return WholeNumber(
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
    another = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Whether to start another draft even though you already have one for the same case."
        },
    )

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
    gather = fields.Boolean(load_default=False)

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
    do = fields.String(load_default="save", validate=validate.OneOf(["save", "sign", "gather"]))
    snippet_id = fields.UUID(load_default=None)
    plan_of = fields.UUID(load_default=None)

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
            gather=data["do"] == "gather",
        )


DraftFormSchema = _DraftFormBase.from_dict(
    {**_level_fields(), **{key: fields.String(load_default="") for key in SECTIONS}},
    name="DraftFormSchema",
)


KIND_REQUIRED = (
    "Choose whether this corrects the note, adds to it, or marks it as entered in error."
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

    kind = fields.String(
        required=True,
        validate=validate.OneOf(list(CHOSEN_KINDS), error=KIND_REQUIRED),
        error_messages={"required": KIND_REQUIRED, "null": KIND_REQUIRED},
    )
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
    minutes = WholeNumber(
        load_default=None, allow_none=True, validate=validate.Range(1, MAX_SESSION_MINUTES)
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewAddendum:
        """Build the value."""
        texts = {name: data[name].replace("\r\n", "\n") for name in ("text", "reason")}
        return NewAddendum(**{**data, **texts})


class AddendumFormSchema(AddendumSchema):
    """Input of the form of an addendum, whose first button, which Enter in a field presses, signs nothing."""

    check = fields.String(
        validate=validate.OneOf(
            [""], error="Nothing is signed yet. To sign, choose “Sign the addendum”."
        )
    )


LEAST_MOVE_REASON, MAX_MOVE_REASON = 10, 2000


@dataclass(frozen=True)
class NewNoteMove:
    """Why a note is moved into another client's record."""

    reason: str = field(repr=False)


class NoteMoveSchema(Schema):
    """Input of the form that moves a note."""

    reason = WrittenReason(lazy_gettext("Write the reason"), LEAST_MOVE_REASON, MAX_MOVE_REASON)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewNoteMove:
        """Build the value."""
        return NewNoteMove(data["reason"].replace("\r\n", "\n"))


@dataclass(frozen=True)
class NewNoteMoveTo:
    """The case to which a note is moved, and why."""

    case_id: UUID
    move: NewNoteMove


class NoteMoveToSchema(NoteMoveSchema):
    """Input for moving a note, which names the case."""

    case_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewNoteMoveTo:
        """Build the value."""
        reason = data["reason"].replace("\r\n", "\n")
        return NewNoteMoveTo(data["case_id"], NewNoteMove(reason))


class NoteMoveResponseSchema(Schema):
    """A move of a note from another client's record in API responses; the reason only where the note is now."""

    moved_at = fields.AwareDateTime(required=True)
    moved_by = fields.UUID(required=True)
    role = fields.String(required=True)
    zone = fields.String(required=True)
    reason = fields.String(required=True)


class MovedAwayResponseSchema(Schema):
    """That a note was moved from a case into another record, in API responses; the id is the move's.

    `requests` are what the client wanted corrected in it while it was here.
    """

    id = fields.UUID(required=True)
    moved_at = fields.AwareDateTime(required=True)
    mover = fields.String(required=True)
    requests = fields.List(fields.Nested(AmendmentResponseSchema), required=True)


class AddendumResponseSchema(Schema):
    """An addendum of a signed note in API responses.

    One that was `signed_elsewhere` was signed while the note was in another client's record.
    """

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
    signed_elsewhere = fields.Boolean(required=True)


class SignatureResponseSchema(Schema):
    """A signature of a note in API responses; without a role it is that of an earlier release, recorded later."""

    meaning = fields.String(required=True)
    signed_by = fields.UUID(required=True)
    role = fields.String(required=True, allow_none=True)
    signed_at = fields.AwareDateTime(required=True)
    zone = fields.String(required=True)
    recorded_at = fields.AwareDateTime(required=True)


class NoteFilingResponseSchema(Schema):
    """By whom, when and why the draft of somebody who had left was filed as a note, in API responses."""

    filed_at = fields.AwareDateTime(attribute="created_at", required=True)
    filed_by = fields.UUID(attribute="created_by", required=True)
    reason = fields.String(required=True)


class NoteResponseSchema(Schema):
    """A note in API responses; `is_as_signed` is false for a signed note that was changed in the database.

    The `sections` of a draft have the texts of other formats too, which are put together when it is signed.

    `session_at` and `minutes` are as they were signed; the actual ones and `in_error` are what the newest addenda say.
    `review` is `waiting` or `returned` while it needs a co-signature.

    A note with `filed_unsigned` was never signed by its author: a supervisor filed the draft of somebody who had left.
    Its status is `signed`, and its signature is the supervisor's, with the meaning `filed`.
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
    screening_id = fields.UUID(attribute="own_screening_id", required=True, allow_none=True)
    unrecorded_level = fields.Integer(required=True, allow_none=True)
    copied_answers = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        attribute="draft.copied",
        required=True,
        metadata={
            "description": "Levels of a draft that are copied from last time and not confirmed."
        },
    )
    updated_at = fields.AwareDateTime(required=True)
    signed_at = fields.AwareDateTime(required=True, allow_none=True)
    sha256 = fields.String(required=True, allow_none=True)
    signature = fields.Nested(SignatureResponseSchema, required=True, allow_none=True)
    filed_unsigned = fields.Nested(
        NoteFilingResponseSchema, attribute="filing", required=True, allow_none=True
    )
    cosignature = fields.Nested(SignatureResponseSchema, required=True, allow_none=True)
    review = fields.String(required=True, allow_none=True)
    is_as_signed = fields.Boolean(required=True)
    is_late_entry = fields.Boolean(required=True)
    actual_session_at = fields.AwareDateTime(required=True)
    actual_minutes = fields.Integer(required=True, allow_none=True)
    in_error = fields.Boolean(required=True)
    addenda = fields.List(fields.Nested(AddendumResponseSchema), required=True)
    moves = fields.List(fields.Nested(NoteMoveResponseSchema), required=True)
    version = fields.Integer(required=True)
