"""Data about handing over clients, and the schema of its forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.errors import Invalid

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.alerts.schemas import StaffMember


@dataclass(frozen=True)
class Responsibility:
    """A client for whom somebody is responsible: with an open hold, an active flag or an open follow-up.

    `followups` counts those that are theirs. `is_coach` tells whether they coach the client.
    """

    client_id: UUID
    client: str = field(repr=False)
    number: str
    holds: tuple[str, ...]
    flags: int
    followups: int
    is_coach: bool


@dataclass(frozen=True)
class HandOver:
    """A member of staff, the clients for whom somebody else has to be named, and who may be.

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


class HandOverResponseSchema(Schema):
    """A client who was handed over, from whom, and to whom."""

    client_id = fields.UUID(required=True)
    from_id = fields.UUID(required=True)
    heir_id = fields.UUID(required=True)
