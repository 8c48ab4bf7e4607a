"""Data about consent, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.i18n import LANGUAGES, lazy_gettext
from caseapp.core.schemas import RequiredText, WrittenReason
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.consent.codes import KIND_LABELS, MAX_TEXT, MAX_WORDS

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID


LEAST_REASON = 5
CHOOSE_METHOD = "Choose how consent was given."
CHOOSE_HOW = "Choose how the client told us."


@dataclass(frozen=True)
class ConsentTextRecord:
    """A published text with the name of who published it."""

    id: UUID
    version: int
    language: str
    words: str
    published_at: datetime
    published_by: UUID
    published_by_name: str

    @property
    def label(self) -> str:
        """Name the text by its version and language."""
        return f"Version {self.version}, {LANGUAGES[self.language]}"


@dataclass(frozen=True)
class ConsentRecord:
    """An entry about a client's consent, opened."""

    id: UUID
    client_id: UUID
    kind: str
    text_id: UUID | None
    version: int | None
    language: str | None
    happened_on: date
    method: str
    words: str = field(repr=False)
    recorded_at: datetime
    recorded_by: UUID
    recorded_by_name: str
    in_error_at: datetime | None = None
    in_error_by_name: str = ""
    error_reason: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        """Say what the entry is."""
        return KIND_LABELS[self.kind]

    @property
    def method_label(self) -> str:
        """Say how the client told it."""
        return CONSENT_METHODS[self.method]


@dataclass(frozen=True)
class NewConsentText:
    """A text to publish: as a new version, or as a translation of the newest one."""

    language: str
    words: str
    is_translation: bool = False


class NewConsentTextSchema(Schema):
    """Input of a text to publish."""

    language = fields.String(required=True, validate=validate.OneOf(LANGUAGES))
    words = RequiredText(lazy_gettext("Write the text"), MAX_TEXT, least=20)
    is_translation = fields.Boolean(
        load_default=False,
        metadata={"description": "Whether this is a translation of the newest version."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewConsentText:
        """Build the dataclass."""
        return NewConsentText(**data)


@dataclass(frozen=True)
class NewConsent:
    """That a client gave consent on a day, and to which text; None where the practice has published none."""

    given_on: date
    method: str
    text_id: UUID | None = None


class NewConsentSchema(Schema):
    """Input of a consent that a client gave."""

    text_id = fields.UUID(load_default=None, allow_none=True)
    given_on = fields.Date(required=True)
    method = fields.String(
        required=True,
        validate=validate.OneOf(CONSENT_METHODS, error=CHOOSE_METHOD),
        error_messages={"required": CHOOSE_METHOD},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewConsent:
        """Build the dataclass."""
        return NewConsent(**data)


@dataclass(frozen=True)
class ConsentWithdrawal:
    """That a client withdrew consent on a day: how, and who told whom."""

    withdrawn_on: date
    method: str
    told: str = field(repr=False)


class ConsentWithdrawalSchema(Schema):
    """Input of a withdrawal."""

    withdrawn_on = fields.Date(required=True)
    withdrawn_method = fields.String(
        required=True,
        validate=validate.OneOf(CONSENT_METHODS, error=CHOOSE_HOW),
        error_messages={"required": CHOOSE_HOW},
    )
    told = RequiredText(lazy_gettext("Write who the client told"), MAX_WORDS, least=3)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ConsentWithdrawal:
        """Build the dataclass."""
        return ConsentWithdrawal(data["withdrawn_on"], data["withdrawn_method"], data["told"])


class ConsentErrorSchema(Schema):
    """Input of why an entry was recorded in error."""

    reason = WrittenReason(lazy_gettext("Write the reason"), LEAST_REASON, MAX_WORDS)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the reason."""
        return str(data["reason"]).replace("\r\n", "\n")


class ConsentTextResponseSchema(Schema):
    """A published text."""

    id = fields.UUID(required=True)
    version = fields.Integer(required=True)
    language = fields.String(required=True)
    words = fields.String(required=True)
    published_at = fields.AwareDateTime(required=True)
    published_by = fields.UUID(required=True)


class ConsentResponseSchema(Schema):
    """An entry about a client's consent. `words` are about a withdrawal: who told whom."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    kind = fields.String(required=True)
    text_id = fields.UUID(required=True, allow_none=True)
    version = fields.Integer(required=True, allow_none=True)
    language = fields.String(required=True, allow_none=True)
    happened_on = fields.Date(required=True)
    method = fields.String(required=True)
    words = fields.String(required=True)
    recorded_at = fields.AwareDateTime(required=True)
    recorded_by = fields.UUID(required=True)
    in_error_at = fields.AwareDateTime(required=True, allow_none=True)
    error_reason = fields.String(required=True)
