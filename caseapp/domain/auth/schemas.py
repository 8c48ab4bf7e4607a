"""Schemas for signing in and for one's own account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.database import max_length
from caseapp.core.i18n import LANGUAGES, lazy_gettext
from caseapp.core.permissions import SCOPES
from caseapp.core.schemas import RequiredText
from caseapp.domain.auth.models import Passkey, Program, Token
from caseapp.domain.clients.codes import NEW_CODE_REASONS
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True)
class SignIn:
    """An email address and a password as they were submitted."""

    email: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class PasswordChange:
    """A current password and the one that is to replace it, as they were submitted."""

    password: str = field(repr=False)
    new_password: str = field(repr=False)


class SignInSchema(Schema):
    """The sign-in form; the length is capped here, before any hashing."""

    email = fields.String(required=True, validate=validate.Length(1, max_length(User.email)))
    password = fields.String(required=True, validate=validate.Length(1, 1000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> SignIn:
        """Build the dataclass."""
        return SignIn(data["email"].strip().lower(), data["password"])


class ForgottenPasswordSchema(Schema):
    """Input of the address for which a link is requested."""

    email = fields.String(
        required=True,
        validate=validate.Length(1, max_length(User.email)),
        error_messages={"required": lazy_gettext("Enter your email address.")},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the address."""
        return str(data["email"]).strip().lower()


@dataclass(frozen=True)
class ChosenPassword:
    """A password that was chosen, and the code; none where a link was followed."""

    code: str = field(repr=False)
    password: str = field(repr=False)


class ChosenPasswordSchema(Schema):
    """Input of a code and a new password; the length is capped here, before any hashing."""

    code = fields.String(load_default="", validate=validate.Length(max=60))
    new_password = fields.String(
        required=True,
        validate=validate.Length(1, 1000),
        error_messages={"required": lazy_gettext("Choose a password.")},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ChosenPassword:
        """Build the dataclass."""
        return ChosenPassword(data["code"], data["new_password"])


class PasswordChangeSchema(Schema):
    """The change of one's own password; the length is capped here, before any hashing."""

    password = fields.String(
        required=True,
        validate=validate.Length(1, 1000),
        metadata={"description": "The current password."},
    )
    new_password = fields.String(required=True, validate=validate.Length(1, 1000))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> PasswordChange:
        """Build the dataclass."""
        return PasswordChange(**data)


class MailLanguage(fields.String):
    """The language of the mail that a member of staff gets; null for the practice's."""

    def __init__(self) -> None:
        """Allow the languages of the interface."""
        super().__init__(load_default=None, allow_none=True, validate=validate.OneOf(LANGUAGES))


@dataclass(frozen=True)
class OwnLanguage:
    """The language of the mail that a member of staff gets; None for the practice's."""

    language: str | None


class OwnLanguageSchema(Schema):
    """Input of the language of one's own mail; null for the practice's."""

    language = MailLanguage()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> OwnLanguage:
        """Build the dataclass."""
        return OwnLanguage(**data)


class SessionChoiceSchema(Schema):
    """Input of which session is to end."""

    session_id = fields.UUID(required=True, error_messages={"required": "Choose a session."})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> UUID:
        """Return the id."""
        return data["session_id"]  # type: ignore[no-any-return]


TOKEN_LIFETIMES = (30, 90, 365)
"""How many days a token lasts that somebody makes for themselves."""


@dataclass(frozen=True)
class NewToken:
    """What a token is for, its scopes, and how many days it lasts."""

    name: str
    scopes: list[str]
    days: int


class NewTokenSchema(Schema):
    """Input of a token that somebody makes for themselves."""

    token_name = RequiredText("Enter what the token is for", max_length(Token.name))
    token_scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES, error="Choose what it may do.")),
        required=True,
        validate=validate.Length(1, error="Choose what it may do."),
        error_messages={"required": "Choose what it may do."},
    )
    token_days = fields.Integer(
        required=True,
        validate=validate.OneOf(TOKEN_LIFETIMES, error="Choose how long it lasts."),
        error_messages={"required": "Choose how long it lasts."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewToken:
        """Build the dataclass."""
        return NewToken(data["token_name"], data["token_scopes"], data["token_days"])


@dataclass(frozen=True)
class NewProgram:
    """What a program is called, and the scopes that its tokens have at most."""

    name: str
    scopes: list[str]


class NewProgramSchema(Schema):
    """Input of a program that is being made."""

    program_name = RequiredText("Enter a name for the program", max_length(Program.name))
    program_scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES, error="Choose what it may do.")),
        required=True,
        validate=validate.Length(1, error="Choose what it may do."),
        error_messages={"required": "Choose what it may do."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewProgram:
        """Build the dataclass."""
        return NewProgram(data["program_name"], data["program_scopes"])


class ProgramChoiceSchema(Schema):
    """Input of which program is to be ended."""

    program_id = fields.UUID(required=True, error_messages={"required": "Choose a program."})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> UUID:
        """Return the id."""
        return data["program_id"]  # type: ignore[no-any-return]


class TokenChoiceSchema(Schema):
    """Input of which token is to be revoked."""

    token_id = fields.UUID(required=True, error_messages={"required": "Choose a token."})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> UUID:
        """Return the id."""
        return data["token_id"]  # type: ignore[no-any-return]


class TokenResponseSchema(Schema):
    """One of one's own tokens, without its text."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    created_at = fields.AwareDateTime(required=True)
    expires_at = fields.AwareDateTime(required=True)
    used_at = fields.AwareDateTime(required=True, allow_none=True)
    revoked_at = fields.AwareDateTime(required=True, allow_none=True)


class SessionResponseSchema(Schema):
    """One of one's own sessions."""

    id = fields.UUID(required=True)
    created_at = fields.AwareDateTime(required=True)
    last_seen_at = fields.AwareDateTime(required=True)
    ended_at = fields.AwareDateTime(required=True, allow_none=True)
    assurance_level = fields.Integer(
        required=True,
        metadata={
            "description": "How you signed in: 1 with one factor, 2 with two, 0 while a code is still needed."
        },
    )


@dataclass(frozen=True)
class NewFactor:
    """A sealed secret of an app, as its page offered it, and a code of that app."""

    secret: str = field(repr=False)
    code: str = field(repr=False)


@dataclass(frozen=True)
class NewPasskey:
    """What somebody calls a passkey, and the answer of its device, as JSON."""

    name: str
    answer: str = field(repr=False)


class NewPasskeySchema(Schema):
    """Input of a passkey that is being added."""

    passkey_name = RequiredText("Enter a name for the passkey", max_length(Passkey.name))
    passkey_answer = fields.String(
        required=True,
        validate=validate.Length(1, 8000),
        error_messages={"required": "Your browser didn’t make a passkey."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewPasskey:
        """Build the dataclass."""
        return NewPasskey(data["passkey_name"], data["passkey_answer"])


class PasskeyChoiceSchema(Schema):
    """Input of which passkey is to be removed."""

    passkey_id = fields.UUID(required=True, error_messages={"required": "Choose a passkey."})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> UUID:
        """Return the id."""
        return data["passkey_id"]  # type: ignore[no-any-return]


REMOVAL_REASONS = {
    "lost": "They have lost the phone and the recovery codes",
    "refused": "Their codes are refused",
    "known": "Somebody else may know their codes",
}
"""Why an admin removes the second factor of somebody else."""


RESET_REASONS = {
    "forgotten": "They have forgotten their password",
    "known": "Somebody else may know their password",
}
"""Why an admin makes a code with which somebody else chooses a new password."""


class ResetReasonSchema(Schema):
    """Input of why a code for a new password is made."""

    reset_reason = fields.String(
        required=True,
        validate=validate.OneOf(RESET_REASONS, error="Choose a reason."),
        error_messages={"required": "Choose a reason."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code of the reason."""
        return data["reset_reason"]  # type: ignore[no-any-return]


INVITATION_WAYS = {"mail": "By email", "code": "As a code on paper"}


class InvitationWaySchema(Schema):
    """Input of how an invitation reaches somebody."""

    way = fields.String(
        required=True,
        validate=validate.OneOf(INVITATION_WAYS, error="Choose how they get the invitation."),
        error_messages={"required": "Choose how they get the invitation."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code of the way."""
        return data["way"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class NewCodesWish:
    """Why a client needs new codes; None for the first ones."""

    reason: str | None


class NewCodesSchema(Schema):
    """Input of codes for a client; a client who had some before gets new ones for a reason."""

    reason = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(NEW_CODE_REASONS, error="Choose why the client needs new codes."),
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewCodesWish:
        """Build the dataclass."""
        return NewCodesWish(data["reason"])


class ClientCodesResponseSchema(Schema):
    """Codes for a client, shown once: null is what isn't needed, or was shown already."""

    id = fields.UUID(required=True)
    start_code = fields.String(required=True, allow_none=True)
    card_code = fields.String(required=True, allow_none=True)
    mailed = fields.Boolean(required=True)


class ClientCardResponseSchema(Schema):
    """The code of a client's card, shown once."""

    card_code = fields.String(required=True)


class RememberedDeviceResponseSchema(Schema):
    """A device on which a client comes in with their PIN alone; `kind` is null when its browser says nothing known."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    used_at = fields.AwareDateTime(required=True)
    expires_at = fields.AwareDateTime(required=True)


class ForgottenDevicesResponseSchema(Schema):
    """How many remembered devices of a client were forgotten."""

    forgotten = fields.Integer(required=True)


class FactorRemovalSchema(Schema):
    """Input of why the second factor of somebody else is removed."""

    reason = fields.String(
        required=True,
        validate=validate.OneOf(REMOVAL_REASONS, error="Choose a reason."),
        error_messages={"required": "Choose a reason."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code."""
        return data["reason"]  # type: ignore[no-any-return]


class NewFactorSchema(Schema):
    """Input of a second factor that is being set up."""

    factor_secret = fields.String(required=True, validate=validate.Length(1, 300))
    factor_code = fields.String(required=True, validate=validate.Length(1, 40))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewFactor:
        """Build the dataclass."""
        return NewFactor(data["factor_secret"], data["factor_code"])


class IdentityResponseSchema(Schema):
    """The account at the OpenID provider that somebody has linked."""

    issuer = fields.String(required=True)
    subject = fields.String(required=True)
    linked_at = fields.AwareDateTime(required=True)
    used_at = fields.AwareDateTime(required=True, allow_none=True)


class OwnIdentityResponseSchema(Schema):
    """What somebody has linked, which may be nothing."""

    identity = fields.Nested(IdentityResponseSchema, required=True, allow_none=True)
