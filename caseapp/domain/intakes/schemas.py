"""Records of intakes that were sent to a supervisor, and their request and response schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load

from caseapp.domain.cases.schemas import CaseDetailsSchema
from caseapp.domain.clients.schemas import ClientSchema

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.schemas import CaseDetails
    from caseapp.domain.clients.schemas import ClientDetails


@dataclass(frozen=True)
class EnteredIntake:
    """Somebody new and their case, as a coach has entered them.

    `agreed` says that the coach has looked at their own clients who match, and that this is somebody else.
    """

    client: ClientDetails
    case: CaseDetails
    agreed: bool = False


class AskedIntakeSchema(Schema):
    """Input of an intake that is sent to a supervisor."""

    client = fields.Nested(ClientSchema, required=True)
    case = fields.Nested(CaseDetailsSchema, required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> EnteredIntake:
        """Build the dataclass."""
        return EnteredIntake(**data)


class EnteredIntakeSchema(AskedIntakeSchema):
    """Input of an intake whose case is opened."""

    agreed = fields.Boolean(
        load_default=False,
        metadata={
            "description": "True confirms that you looked at your own clients who match, and that this is somebody "
            "else."
        },
    )


@dataclass(frozen=True)
class IntakeDecision:
    """A supervisor's decision about an intake; `shown` are the clients who were shown as matching."""

    is_allowed: bool
    shown: frozenset[UUID]


class IntakeDecisionSchema(Schema):
    """Input of a supervisor's decision, which is yes or no: words could tell the coach who else is coached here."""

    is_allowed = fields.Boolean(
        required=True,
        error_messages=dict.fromkeys(("required", "null", "invalid"), "Choose yes or no."),
        metadata={
            "description": "Whether this person and the clients who match can be coached here."
        },
    )
    shown = fields.List(
        fields.UUID(),
        load_default=list,
        metadata={
            "description": "The `client_id` of each of the `matches` that you were shown. The decision is "
            "refused if the matches have changed."
        },
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> IntakeDecision:
        """Build the dataclass."""
        return IntakeDecision(data["is_allowed"], frozenset(data["shown"]))


@dataclass(frozen=True)
class IntakeRecord:
    """An intake that was sent to a supervisor.

    `client` and `case` are what was entered, by field name, with dates as ISO texts; of somebody else's intake there
    are only the fields of SHOWN. Who has decided isn't said to the coach: that it was another supervisor than their own
    would tell that theirs must not see a client who matches.
    """

    id: UUID
    asked_by: UUID
    asked_by_name: str
    asked_at: datetime
    client: dict[str, Any] = field(repr=False)
    case: dict[str, Any] = field(repr=False)
    is_allowed: bool | None
    decided_at: datetime | None
    decided_by_name: str | None

    @property
    def name(self) -> str:
        """The name of the person whom the intake is about."""
        return str(self.client["name"])


class IntakeResponseSchema(Schema):
    """An intake that was sent to a supervisor."""

    id = fields.UUID(required=True)
    asked_by = fields.UUID(required=True)
    asked_by_name = fields.String(required=True)
    asked_at = fields.AwareDateTime(required=True)
    client = fields.Dict(
        required=True,
        metadata={
            "description": "What was entered about the client; for a supervisor, only what is compared and the year of "
            "birth."
        },
    )
    case = fields.Dict(
        required=True,
        metadata={"description": "What was entered about the case; empty for a supervisor."},
    )
    is_allowed = fields.Boolean(
        required=True, allow_none=True, metadata={"description": "Null until the decision."}
    )
    decided_at = fields.AwareDateTime(required=True, allow_none=True)
    decided_by_name = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Null until the decision, and always null for the person who asked."
        },
    )


class IntakeMatchResponseSchema(Schema):
    """A record that matches an intake."""

    client_id = fields.UUID(required=True)
    name = fields.String(required=True)
    coaches = fields.List(fields.String(), required=True)
    reason = fields.String(
        required=True,
        metadata={
            "description": "How the record matches, to follow the name: “has the same name”."
        },
    )


class ComparedIntakeResponseSchema(IntakeResponseSchema):
    """An intake that was sent to a supervisor, with the records that match it."""

    matches = fields.List(
        fields.Nested(IntakeMatchResponseSchema),
        required=True,
        metadata={"description": "The records that match now; empty for the person who asked."},
    )


@dataclass(frozen=True)
class OpenedCase:
    """The case that an intake has become."""

    case_id: UUID


class OpenedCaseResponseSchema(Schema):
    """The case that an intake has become."""

    case_id = fields.UUID(required=True)
