"""Data about handing over clients, and the schema of its forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load

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
