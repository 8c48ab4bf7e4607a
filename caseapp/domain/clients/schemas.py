"""Schemas and records of clients, and of their sign-in to the portal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import (
    Schema,
    ValidationError,
    fields,
    post_load,
    validate,
    validates,
    validates_schema,
)

from caseapp.core.database import max_length
from caseapp.core.email_addresses import normalize_email
from caseapp.core.fonts import name_missing_glyphs
from caseapp.core.i18n import LANGUAGES, gettext, lazy_gettext
from caseapp.core.schemas import PrintedString, RequiredText, WholeNumber
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.clients.models import Client

if TYPE_CHECKING:
    from datetime import date

CHANNELS = {
    "call": "Phone call",
    "voicemail": "Voicemail",
    "text": "Text message",
    "email": "Email",
    "post": "Letter by post",
    "portal": "Portal",
    "in_person": "In person only",
}
ASK_IN_PERSON = "Ask the client in person, with nobody else present, then confirm it here."
OLDEST_BIRTH_YEAR = 1900


def _load_email(value: str) -> str:
    """Return an address in the form that is stored and compared.

    Raises ValidationError unless mail can be sent to it.
    """
    try:
        return normalize_email(value)
    except ValueError:
        raise ValidationError(
            gettext("Enter a full email address, such as name@example.org.")
        ) from None


@dataclass(frozen=True)
class SafeContact:
    """How a client can safely be contacted; a channel that is not listed is not allowed."""

    channels: tuple[str, ...]
    times: str = ""
    code_word: str = ""
    warning: str = ""

    def allows(self, channel: str) -> bool:
        """Tell whether a channel is safe."""
        return channel in self.channels and "in_person" not in self.channels


@dataclass(frozen=True)
class ClientDetails:
    """The details of a client that a coach enters at intake."""

    name: str
    preferred_name: str
    pronouns: str
    email: str | None
    phone: str | None
    partner_name: str | None
    birth_year: int | None
    safe: SafeContact
    consent_on: date | None
    consent_method: str
    language: str | None = None


class ClientSchema(Schema):
    """Input for a client's details, from the form and the API."""

    name = RequiredText(lazy_gettext("Enter the client’s name"), max_length(Client.name))
    preferred_name = PrintedString(
        load_default="", validate=validate.Length(max=max_length(Client.preferred_name))
    )
    pronouns = fields.String(
        load_default="", validate=validate.Length(max=max_length(Client.pronouns))
    )
    email = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=254))
    phone = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=30))
    partner_name = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(max=120)
    )
    birth_year = WholeNumber(
        load_default=None, allow_none=True, validate=validate.Range(OLDEST_BIRTH_YEAR, 2100)
    )
    language = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(LANGUAGES),
        metadata={
            "description": "The language of the portal, emails and PDFs; null for the practice’s."
        },
    )
    safe_channels = fields.List(
        fields.String(validate=validate.OneOf(CHANNELS)),
        required=True,
        validate=validate.Length(
            min=1,
            error="Ask which ways are safe and choose at least one. You can choose “In person only”.",
        ),
    )
    safe_times = fields.String(load_default="", validate=validate.Length(max=120))
    code_word = fields.String(load_default="", validate=validate.Length(max=40))
    safe_warning = fields.String(load_default="", validate=validate.Length(max=300))
    consent_on = fields.Date(load_default=None, allow_none=True)
    consent_method = fields.String(
        load_default="",
        validate=validate.OneOf(["", *CONSENT_METHODS], error="Choose how consent was given."),
    )

    @validates("name")
    def _has_letters(self, value: str, **_: object) -> None:
        if not any(character.isalpha() for character in value):
            raise ValidationError(gettext("Enter the client’s name, with at least one letter."))

    @validates_schema
    def _has_usable_name(self, data: dict[str, Any], **_: object) -> None:
        """Ask for the preferred name when the first word of the name, which stands in for it, does not fit."""
        longest = max_length(Client.preferred_name)
        first_word = next(iter(data.get("name", "").split()), "")
        if data.get("preferred_name", "").strip():
            return
        if len(first_word) > longest:
            raise ValidationError(
                f"Enter the name that the client uses, in at most {longest} characters.",
                "preferred_name",
            )
        if missing := name_missing_glyphs(first_word):
            raise ValidationError(
                f"We cannot print these characters: {missing}. "
                "Enter the client’s preferred name in characters that handouts can show.",
                "preferred_name",
            )

    @validates("email")
    def _check_email_address(self, value: str | None, **_: object) -> None:
        if value and value.strip():
            _load_email(value)

    @validates("phone")
    def _check_phone_number(self, value: str | None, **_: object) -> None:
        if value and len(re.sub(r"\D", "", value)) < 5:  # noqa: PLR2004
            raise ValidationError("Enter the full phone number.")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ClientDetails:
        """Build the value, with white space and case normalised."""
        name = " ".join(data["name"].split())
        return ClientDetails(
            name=name,
            preferred_name=" ".join(data["preferred_name"].split()) or name.split()[0],
            pronouns=data["pronouns"].strip(),
            email=_load_email(data["email"]) if (data["email"] or "").strip() else None,
            phone=(data["phone"] or "").strip() or None,
            partner_name=" ".join((data["partner_name"] or "").split()) or None,
            birth_year=data["birth_year"],
            safe=SafeContact(
                tuple(channel for channel in CHANNELS if channel in data["safe_channels"]),
                data["safe_times"].strip(),
                data["code_word"].strip(),
                data["safe_warning"].strip(),
            ),
            consent_on=data["consent_on"],
            consent_method=data["consent_method"],
            language=data["language"],
        )


@dataclass(frozen=True)
class EnteredClient:
    """The details of a client as they were entered, and whether a possible conflict was decided on."""

    details: ClientDetails
    agreed: bool


class EnteredClientSchema(ClientSchema):
    """Input for a new client or new details of one, with a decision about records that they fit."""

    agreed = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Whether somebody has looked at the records that match these details and decided that "
            "they may be saved. Coaches decide this only for the same or a similar name among their own clients."
        },
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> EnteredClient:
        """Build the value."""
        return EnteredClient(super().make(data), data["agreed"])


class ContactConfirmationSchema(Schema):
    """Input for confirming that the recorded ways of contact are safe; only asking in person counts."""

    in_person = fields.Boolean(
        required=True,
        validate=validate.OneOf([True], error=ASK_IN_PERSON),
        error_messages={"required": ASK_IN_PERSON},
    )


class ClientResponseSchema(Schema):
    """A client in API responses."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    preferred_name = fields.String(required=True)
    pronouns = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    phone = fields.String(required=True, allow_none=True)
    partner_name = fields.String(required=True, allow_none=True)
    birth_year = fields.Integer(required=True, allow_none=True)
    language = fields.String(required=True, allow_none=True)
    safe_channels = fields.List(fields.String(), required=True)
    usable_channels = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The safe channels through which the client may be contacted now."
        },
    )
    safe_times = fields.String(required=True)
    code_word = fields.String(required=True)
    safe_warning = fields.String(required=True)
    consent_on = fields.Date(required=True, allow_none=True)
    consent_method = fields.String(required=True)
    consent_version = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "The newest version of the practice’s text that the client agreed to; 0 where the practice "
            "had none, null if consent was recorded only at intake, or not at all."
        },
    )
    consent_withdrawn_on = fields.Date(
        required=True,
        allow_none=True,
        metadata={"description": "When the client withdrew consent, until they give it again."},
    )
    contact_confirmed_at = fields.AwareDateTime(
        required=True,
        allow_none=True,
        metadata={
            "description": "When the safe ways of contact were last confirmed in person; null until then, and "
            "again once something unsafe is recorded."
        },
    )
    contact_confirmed_by = fields.UUID(required=True, allow_none=True)
    version = fields.Integer(required=True)


class ClientListItemResponseSchema(Schema):
    """A client in a list in API responses."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    preferred_name = fields.String(required=True)
    pronouns = fields.String(required=True)
    consent_withdrawn_on = fields.Date(required=True, allow_none=True)


class SignInLinkSchema(Schema):
    """Input for requesting a sign-in link."""

    email = fields.String(required=True, validate=validate.Length(max=254))

    @validates("email")
    def _check_email_address(self, value: str, **_: object) -> None:
        _load_email(value)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the email address."""
        return _load_email(data["email"])


class CardCodeSchema(Schema):
    """Input for the code on a printed card."""

    code = fields.String(
        required=True,
        validate=validate.Length(4, 60, error=lazy_gettext("Enter the whole code from the card.")),
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code as entered."""
        return str(data["code"])


class PinSchema(Schema):
    """Input for a PIN; its length is limited before it is hashed."""

    pin = fields.String(required=True, validate=validate.Length(max=40))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the PIN."""
        return str(data["pin"]).strip()


@dataclass(frozen=True)
class PinChange:
    """The PIN that a client has, and the one that is to replace it."""

    pin: str = field(repr=False)
    new_pin: str = field(repr=False)


class PinChangeSchema(Schema):
    """Input for another PIN."""

    pin = fields.String(required=True, validate=validate.Length(max=40))
    new_pin = fields.String(required=True, validate=validate.Length(max=40))
    again = fields.String(required=True, validate=validate.Length(max=40))

    @validates_schema
    def _pins_match(self, data: dict[str, Any], **_: object) -> None:
        require_same_pin(data["new_pin"], data["again"])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> PinChange:
        """Build the value."""
        return PinChange(data["pin"].strip(), data["new_pin"].strip())


def require_same_pin(pin: str, again: str) -> None:
    """Require that a new PIN was entered twice alike, or raise ValidationError."""
    if pin.strip() != again.strip():
        raise ValidationError(
            gettext("The two PINs don’t match. Enter the same six digits again."), "again"
        )


@dataclass(frozen=True)
class PinSetup:
    """The start code and the PIN that a client chooses at their first visit."""

    start_code: str
    pin: str


class PinSetupSchema(Schema):
    """Input for the first visit."""

    start_code = fields.String(required=True, validate=validate.Length(max=40))
    pin = fields.String(required=True, validate=validate.Length(max=40))
    again = fields.String(required=True, validate=validate.Length(max=40))

    @validates_schema
    def _pins_match(self, data: dict[str, Any], **_: object) -> None:
        require_same_pin(data["pin"], data["again"])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> PinSetup:
        """Build the value."""
        return PinSetup(data["start_code"].strip(), data["pin"].strip())
