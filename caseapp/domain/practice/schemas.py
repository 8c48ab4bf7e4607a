"""Request schemas for the practice's settings, logo and help lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

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
from caseapp.core.i18n import LANGUAGES, SOURCE_LANGUAGE, lazy_gettext
from caseapp.core.permissions import STAFF_ROLES
from caseapp.core.schemas import PrintedString, RequiredPrintedText, WholeNumber, WrittenReason
from caseapp.domain.practice.help_lines import KINDS, countries
from caseapp.domain.practice.models import (
    PAPER_SIZES,
    Practice,
    PracticeHelpLine,
    PracticeLogo,
)
from caseapp.domain.practice.retention import (
    ASK_WHY,
    LEAST_REASON,
    LONGEST,
    PERIODS,
    PROFILES,
    RetentionChange,
)


@dataclass(frozen=True)
class PracticeChange:
    """All settings of the practice."""

    name: str
    tagline: str
    contact: str
    country: str
    region: str | None
    zone: str
    paper: str
    paper_code: bool
    exit_url: str
    language: str = SOURCE_LANGUAGE
    second_factor_roles: list[str] = field(default_factory=list)
    requires_single_sign_on: bool = False
    signs_out_at_provider: bool = False
    tells_new_coach: bool = False


def as_change(practice: Practice) -> PracticeChange:
    """Return the settings as they are, to change some of them."""
    return PracticeChange(
        **{one.name: getattr(practice, one.name) for one in dataclass_fields(PracticeChange)}
    )


class ForProgramsSchema(Schema):
    """The settings of the practice that a program may change.

    The others decide who gets in, which help lines show and where Leave now leads: no token changes these.
    """

    name = RequiredPrintedText(lazy_gettext("Enter the practice’s name"), max_length(Practice.name))
    tagline = PrintedString(
        load_default="", validate=validate.Length(max=max_length(Practice.tagline))
    )
    contact = PrintedString(
        load_default="", validate=validate.Length(max=max_length(Practice.contact))
    )
    language = fields.String(load_default=SOURCE_LANGUAGE, validate=validate.OneOf(LANGUAGES))
    paper = fields.String(load_default="A4", validate=validate.OneOf(PAPER_SIZES))
    paper_code = fields.Boolean(load_default=False)
    tells_new_coach = fields.Boolean(load_default=False)


class PracticeSchema(ForProgramsSchema):
    """The settings of the practice."""

    country = fields.String(required=True)
    region = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=max_length(Practice.region)),
    )
    zone = fields.String(required=True)
    exit_url = fields.String(
        required=True, validate=validate.Length(1, max_length(Practice.exit_url))
    )
    second_factor_roles = fields.List(
        fields.String(validate=validate.OneOf(sorted(STAFF_ROLES))), load_default=list
    )
    requires_single_sign_on = fields.Boolean(load_default=False)
    signs_out_at_provider = fields.Boolean(load_default=False)

    @validates("country")
    def _known_country(self, value: str, **_: object) -> None:
        if value not in countries():
            raise ValidationError("Choose a country from the list.")

    @validates("zone")
    def _known_zone(self, value: str, **_: object) -> None:
        if value not in available_timezones():
            raise ValidationError("Choose a time zone such as Europe/London.")

    @validates("exit_url")
    def _plain_site(self, value: str, **_: object) -> None:
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.username:
            raise ValidationError(
                "Enter an address that begins with https:// and has no question mark in it. "
                "Choose a site that says nothing about coaching."
            )

    @validates_schema
    def _region_of_country(self, data: dict[str, Any], **_: object) -> None:
        if data.get("region") and data["region"] not in countries()[data["country"]].regions:
            raise ValidationError("Choose a region of the country, or none.", "region")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> PracticeChange:
        """Build the value."""
        return PracticeChange(**data)


class PracticeResponseSchema(Schema):
    """The settings of the practice."""

    name = fields.String(required=True)
    tagline = fields.String(required=True)
    contact = fields.String(required=True)
    country = fields.String(required=True)
    region = fields.String(required=True, allow_none=True)
    zone = fields.String(required=True)
    language = fields.String(required=True)
    paper = fields.String(required=True)
    paper_code = fields.Boolean(required=True)
    exit_url = fields.String(required=True)
    second_factor_roles = fields.List(fields.String(), required=True)
    requires_single_sign_on = fields.Boolean(required=True)
    signs_out_at_provider = fields.Boolean(required=True)
    tells_new_coach = fields.Boolean(required=True)
    version = fields.Integer(required=True)


class LogoSchema(Schema):
    """The text alternative of a logo; the image is read from the uploaded file."""

    alternative = RequiredPrintedText(
        lazy_gettext("Describe what the logo shows"),
        max_length(PracticeLogo.alternative),
        least=2,
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the text alternative."""
        return " ".join(data["alternative"].split())


@dataclass(frozen=True)
class NewHelpLine:
    """A local help line to add."""

    kind: str
    name: str
    phone: str
    hours: str


class HelpLineSchema(Schema):
    """A local help line to add."""

    kind = fields.String(required=True, validate=validate.OneOf(KINDS[1:]))
    name = RequiredPrintedText(
        lazy_gettext("Enter the help line’s name"), max_length(PracticeHelpLine.name)
    )
    phone = PrintedString(
        required=True,
        validate=validate.Regexp(
            rf"^[0-9+() #*-]{{3,{max_length(PracticeHelpLine.phone)}}}$",
            error="Enter the number as it is dialled: digits, spaces and +.",
        ),
    )
    hours = PrintedString(
        load_default="", validate=validate.Length(max=max_length(PracticeHelpLine.hours))
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewHelpLine:
        """Build the value."""
        return NewHelpLine(**data)


def _years() -> fields.Integer:
    return WholeNumber(
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, LONGEST, error=f"Enter a number of years from 1 to {LONGEST}."),
    )


class RetentionSchema(Schema):
    """For how long the practice keeps records; a period that is left empty is that of the profile."""

    profile = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(PROFILES, error="Choose a profile from the list."),
    )
    client = _years()
    minor = _years()
    children = _years()
    enquiry = _years()
    disclosures = _years()
    reason = WrittenReason(
        ASK_WHY, LEAST_REASON, max_length(Practice.retention_reason), load_default=""
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> RetentionChange:
        """Build the value."""
        chosen = {code: data[code] for code in PERIODS if data[code] is not None}
        return RetentionChange(data["profile"], chosen, data["reason"])
