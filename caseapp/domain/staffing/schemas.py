"""Data about handing over clients, and the schema of its forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.database import max_length
from caseapp.core.errors import Invalid
from caseapp.core.permissions import STAFF_ROLES, Role
from caseapp.core.schemas import RequiredText
from caseapp.domain.auth.queries import STATES
from caseapp.domain.auth.schemas import INVITATION_WAYS, MailLanguage
from caseapp.domain.clients.codes import (
    DENIAL_END_REASONS,
    DENIAL_REASONS,
    EMERGENCY_REASONS,
    REVIEW_OUTCOMES,
)
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.alerts.schemas import StaffMember


ROLES = tuple(role.value for role in Role if role in STAFF_ROLES)


@dataclass(frozen=True)
class Responsibility:
    """A client for whom somebody is responsible.

    `followups` counts those that are theirs. `is_coach` tells whether they coach the client, `is_in_need` whether the
    client has an open hold, an active flag or an open follow-up.
    """

    client_id: UUID
    client: str = field(repr=False)
    number: str
    holds: tuple[str, ...]
    flags: int
    followups: int
    is_coach: bool
    is_in_need: bool


@dataclass(frozen=True)
class HandOver:
    """A member of staff, the clients to hand over, those in need first, and who may be responsible for them.

    `hidden` counts the clients whom the reader doesn't see and about whom the person has an open follow-up.
    `without_second` are those of `heirs` for whose clients nobody else could release a safety hold.
    """

    person: StaffMember
    clients: tuple[Responsibility, ...]
    hidden: int
    heirs: tuple[StaffMember, ...]
    without_second: frozenset[UUID]

    def get_heir(self, heir_id: UUID) -> StaffMember:
        """Return one of those who may be responsible.

        Raises Invalid for anybody else.
        """
        for person in self.heirs:
            if person.id == heir_id:
                return person
        raise Invalid({"heir_id": ["Choose one of the people listed."]})


@dataclass(frozen=True)
class HandOverOfRest:
    """Who gets all clients that are left, and which these were when the question was asked, as a hash."""

    heir_id: UUID
    clients: str


@dataclass(frozen=True)
class NewMember:
    """A new member of staff; `way` says how they get their invitation."""

    name: str
    email: str
    role: str
    supervisor_id: UUID | None
    way: str
    language: str | None = None


@dataclass(frozen=True)
class MemberDetails:
    """The name and the email address of a member of staff, and the language of their mail; None for the practice's."""

    name: str
    email: str
    language: str | None = None


@dataclass(frozen=True)
class RoleChoice:
    """The role and the supervisor that somebody has from now on, and who supervises their people."""

    role: str
    supervisor_id: UUID | None
    people_to: UUID | None


@dataclass(frozen=True)
class Successor:
    """Who supervises the people of somebody who leaves."""

    successor_id: UUID | None


class HeirSchema(Schema):
    """Input of who is responsible from now on."""

    heir_id = fields.UUID(
        required=True,
        error_messages={
            "required": "Choose who takes over.",
            "invalid_uuid": "Choose who takes over.",
        },
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> UUID:
        """Return the id."""
        return data["heir_id"]  # type: ignore[no-any-return]


class RestSchema(HeirSchema):
    """Input of the confirmation that one person gets all clients that are left; without their hash it is asked."""

    clients = fields.String(load_default="", validate=validate.Length(max=64))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> HandOverOfRest:
        """Build the dataclass."""
        return HandOverOfRest(**data)


@dataclass(frozen=True)
class NewCoach:
    """Who is responsible for a client from now on, instead of whom."""

    from_id: UUID
    heir_id: UUID


class NewCoachSchema(HeirSchema):
    """Input of who is responsible from now on (`heir_id`), instead of whom (`from_id`)."""

    from_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewCoach:
        """Build the dataclass."""
        return NewCoach(**data)


class NewMemberSchema(Schema):
    """Input of a new member of staff, and how they get their invitation."""

    name = RequiredText("Enter a name", max_length(User.name))
    email = fields.String(
        required=True,
        validate=validate.Length(1, max_length(User.email)),
        error_messages={"required": "Enter an email address."},
    )
    role = fields.String(
        required=True,
        validate=validate.OneOf(ROLES, error="Choose a role."),
        error_messages={"required": "Choose a role."},
    )
    supervisor_id = fields.UUID(load_default=None, allow_none=True)
    way = fields.String(
        required=True,
        validate=validate.OneOf(INVITATION_WAYS, error="Choose how they get the invitation."),
        error_messages={"required": "Choose how they get the invitation."},
    )
    language = MailLanguage()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewMember:
        """Build the dataclass."""
        return NewMember(**data)


class MemberDetailsSchema(Schema):
    """Input of the name, the email address and the language of a member of staff."""

    name = RequiredText("Enter a name", max_length(User.name))
    email = fields.String(
        required=True,
        validate=validate.Length(1, max_length(User.email)),
        error_messages={"required": "Enter an email address."},
    )
    language = MailLanguage()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> MemberDetails:
        """Build the dataclass."""
        return MemberDetails(**data)


class RoleChoiceSchema(Schema):
    """Input of a role, a supervisor, and who supervises the people of somebody who stops being a supervisor."""

    role = fields.String(
        required=True,
        validate=validate.OneOf(ROLES, error="Choose a role."),
        error_messages={"required": "Choose a role."},
    )
    supervisor_id = fields.UUID(load_default=None, allow_none=True)
    people_to = fields.UUID(load_default=None, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> RoleChoice:
        """Build the dataclass."""
        return RoleChoice(**data)


class CosignatureSchema(Schema):
    """Input of whether a supervisor co-signs each note that a coach signs."""

    needs_cosignature = fields.Boolean(
        required=True,
        error_messages={
            "required": "Choose whether they need a co-signature.",
            "invalid": "Choose whether they need a co-signature.",
        },
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> bool:
        """Return whether they need one."""
        return bool(data["needs_cosignature"])


class SuccessorSchema(Schema):
    """Input of who supervises the people of somebody who leaves; nobody where they supervise nobody."""

    successor_id = fields.UUID(load_default=None, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Successor:
        """Build the dataclass."""
        return Successor(data["successor_id"])


class MemberResponseSchema(Schema):
    """A member of staff; `state` is invited until they have chosen a password, and disabled when they have left."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    email = fields.String(required=True)
    role = fields.String(required=True)
    supervisor_id = fields.UUID(required=True, allow_none=True)
    language = fields.String(required=True, allow_none=True)
    needs_cosignature = fields.Boolean(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    invited_at = fields.AwareDateTime(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    disabled_at = fields.AwareDateTime(required=True, allow_none=True)
    version = fields.Integer(required=True)


class MemberCodeResponseSchema(Schema):
    """A member of staff, and a code for them, shown only once; null when it was, and where a link is mailed."""

    id = fields.UUID(required=True)
    code = fields.String(required=True, allow_none=True)


class HandOverResponseSchema(Schema):
    """A client who was handed over, from whom, and to whom."""

    client_id = fields.UUID(required=True)
    from_id = fields.UUID(required=True)
    heir_id = fields.UUID(required=True)


@dataclass(frozen=True)
class NewDenial:
    """Who must not see the client with this case number, and why: a code of DENIAL_REASONS."""

    number: str
    user_id: UUID
    reason: str = field(repr=False)


@dataclass(frozen=True)
class AccessDenialRecord:
    """Somebody who must not see a client, by the number of the client's newest case.

    `reason` is for whoever sees the client, None for everybody else.
    """

    id: UUID
    client_id: UUID = field(repr=False)
    number: str
    user_id: UUID
    user_name: str
    reason: str | None = field(repr=False)
    created_at: datetime
    created_by_name: str


class NewDenialSchema(Schema):
    """Input of who must not see a client, by case number, and why."""

    number = RequiredText("Enter the case number", 20)
    user_id = fields.UUID(
        required=True,
        error_messages={
            "required": "Choose who must not see the client.",
            "invalid_uuid": "Choose who must not see the client.",
        },
    )
    reason = fields.String(
        required=True,
        validate=validate.OneOf(DENIAL_REASONS, error="Choose a reason."),
        error_messages={"required": "Choose a reason."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewDenial:
        """Build the dataclass."""
        return NewDenial(**data)


class DenialEndSchema(Schema):
    """Input of why somebody may see a client again."""

    reason = fields.String(
        required=True,
        validate=validate.OneOf(DENIAL_END_REASONS, error="Choose a reason."),
        error_messages={"required": "Choose a reason."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code."""
        return data["reason"]  # type: ignore[no-any-return]


class AccessDenialResponseSchema(Schema):
    """Somebody who must not see a client; the reason is null for whoever doesn't see the client."""

    id = fields.UUID(required=True)
    number = fields.String(required=True)
    user_id = fields.UUID(required=True)
    user_name = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    created_by_name = fields.String(required=True)


@dataclass(frozen=True)
class Recorded:
    """The id of what was recorded or ended."""

    id: UUID


class RecordedResponseSchema(Schema):
    """The id of what was recorded or ended."""

    id = fields.UUID(required=True)


@dataclass(frozen=True)
class NewEmergencyAccess:
    """Whose record somebody has to read, by case number, and why: a code of EMERGENCY_REASONS, and in words."""

    number: str
    reason: str = field(repr=False)
    words: str = field(repr=False)


class NewEmergencyAccessSchema(Schema):
    """Input of whose record somebody has to read, and why."""

    number = RequiredText("Enter the case number", 20)
    reason = fields.String(
        required=True,
        validate=validate.OneOf(EMERGENCY_REASONS, error="Choose a reason."),
        error_messages={"required": "Choose a reason."},
    )
    words = RequiredText("Write why you have to read the record now", 500, least=10)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewEmergencyAccess:
        """Build the dataclass."""
        return NewEmergencyAccess(**data)


class AccessReviewSchema(Schema):
    """Input of what a supervisor finds about an emergency access."""

    outcome = fields.String(
        required=True,
        validate=validate.OneOf(REVIEW_OUTCOMES, error="Choose what you found."),
        error_messages={"required": "Choose what you found."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code."""
        return data["outcome"]  # type: ignore[no-any-return]


class EmergencyResponseSchema(Schema):
    """An emergency access; `has_reviewer` tells whether somebody in the practice can review it."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    number = fields.String(required=True)
    user_id = fields.UUID(required=True)
    user_name = fields.String(required=True)
    reason = fields.String(required=True)
    words = fields.String(required=True)
    opened_at = fields.AwareDateTime(required=True)
    ends_at = fields.AwareDateTime(required=True)
    reviewed_at = fields.AwareDateTime(required=True, allow_none=True)
    is_open = fields.Boolean(required=True)
    has_reviewer = fields.Boolean(required=True)
