"""Data about suitability and recommendations, and their response schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, validate

from caseapp.core.schemas import ReasonResponseSchema
from caseapp.domain.clients.rules import CONTACT_BARRING_FLAGS, UNSAFE_FLAGS, is_contact_frozen
from caseapp.domain.handouts.library import CHANNELS
from caseapp.domain.handouts.schemas import ReviewResponseSchema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.core.vault import DataKey
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.handouts.models import HandoutVersionReview
    from caseapp.domain.practice.queries import PracticeInfo

ELIGIBLE, CAUTION, BLOCKED = "eligible", "caution", "blocked"
OUTCOME_LABELS = {
    ELIGIBLE: "Suitable",
    CAUTION: "Suitable with caution",
    BLOCKED: "Not suitable now",
}


@dataclass(frozen=True)
class Situation:
    """A client's safety state and case facts at this moment, as plain values."""

    hold: str | None = None
    allowed: frozenset[str] = frozenset()
    """The handouts, by slug, that a supervisor has allowed during a care hold."""
    flags: frozenset[str] = frozenset()
    screened: bool = True
    safety_known: bool = True
    fear_known: bool = True
    fear_level: int | None = 0
    recent: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    in_person_only: bool = False
    contact_confirmed_at: datetime | None = None
    portal_blockers: tuple[Reason, ...] = ()
    """Why nothing may reach the client through the portal, by the rule about safe contact."""
    consent_withdrawn: bool = False

    @property
    def contact_blocked(self) -> bool:
        """Tell whether contact is blocked: by a flag, by any court order, or because the spouse asked for none."""
        asked = self.facts.get("spouse_contact_wish") == "asked_for_none"
        return bool(self.flags & CONTACT_BARRING_FLAGS) or self.has_order or asked

    @property
    def has_order(self) -> bool:
        """Tell whether a protective or no-contact order is on record."""
        return bool(self.facts.get("order", "none") != "none")

    @property
    def by_hand_only(self) -> bool:
        """Tell whether nothing may be sent: the client can only read or receive it in the session."""
        return self.in_person_only or is_contact_frozen(self.flags, self.contact_confirmed_at)

    @property
    def is_discreet(self) -> bool:
        """Tell whether nothing on paper or in a file may show whose it is, also when sending is confirmed as safe."""
        return self.in_person_only or not UNSAFE_FLAGS.isdisjoint(self.flags)


@dataclass(frozen=True)
class Suitability:
    """Whether a handout may be assigned, through which channels, and the reasons for a block or caution."""

    outcome: str
    reasons: tuple[Reason, ...] = ()
    channels: tuple[str, ...] = CHANNELS


@dataclass(frozen=True)
class HandoutOption:
    """A handout in the newest version, assessed for a case; `assigned` when the client already has it."""

    handout: Handout
    handout_version_id: UUID
    suitability: Suitability
    assigned: bool
    reviewed: HandoutVersionReview | None


@dataclass(frozen=True)
class Recipient:
    """A client who receives handouts, with their key and everything that suitability depends on."""

    client: ClientRecord
    key: DataKey
    situation: Situation
    practice_info: PracticeInfo
    faith: bool

    @property
    def language(self) -> str:
        """Return the language of what the client reads, apart from the handouts' own text."""
        return self.client.language or self.practice_info.practice.language


@dataclass(frozen=True)
class ReadingPlan:
    """How many minutes a client can read in a week, and how many minutes of reading are still unread."""

    budget: int
    unread: int
    explanation: str = ""

    @property
    def left(self) -> int:
        """Give the minutes left this week."""
        return max(self.budget - self.unread, 0)

    @property
    def summary(self) -> str:
        """Describe the plan in one or two sentences."""
        return (
            f"Up to about {self.budget} minutes of reading a week. Still to read: {self.unread} minutes. "
            f"{self.explanation}"
        ).strip()


@dataclass(frozen=True)
class Suggestion:
    """A handout recommended as one of the next, and why."""

    option: HandoutOption
    why: str


@dataclass(frozen=True)
class Recommendation:
    """Up to three handouts to assign next, with the client's reading plan."""

    plan: ReadingPlan
    suggestions: tuple[Suggestion, ...] = ()


class SuggestionResponseSchema(Schema):
    """The rank of a handout among the recommended ones, and the reason."""

    rank = fields.Integer(required=True)
    why = fields.String(required=True)


class SuitabilityResponseSchema(Schema):
    """Whether a handout suits a case now, and why; `suggested` is set when it is recommended next."""

    outcome = fields.String(required=True, validate=validate.OneOf([*OUTCOME_LABELS]))
    channels = fields.List(fields.String(), required=True)
    reasons = fields.List(fields.Nested(ReasonResponseSchema), required=True)
    assigned = fields.Boolean(required=True)
    suggested = fields.Nested(SuggestionResponseSchema, required=True, allow_none=True)


class HandoutResponseSchema(Schema):
    """A handout's newest version; `reviewed` is null until a clinician has reviewed it."""

    slug = fields.String(required=True)
    code = fields.String(required=True)
    title = fields.String(required=True)
    neutral_title = fields.String(required=True)
    stage = fields.String(required=True)
    also_fits = fields.List(fields.String(), required=True)
    kind = fields.String(required=True)
    handout_version = fields.Integer(required=True)
    language = fields.String(required=True)
    summary = fields.String(required=True)
    minutes = fields.Integer(required=True)
    channels = fields.List(fields.String(), required=True)
    reviewed = fields.Nested(ReviewResponseSchema, required=True, allow_none=True)
    for_case = fields.Nested(SuitabilityResponseSchema, required=True, allow_none=True)


class HandoutDetailResponseSchema(HandoutResponseSchema):
    """A handout with its text as safe HTML; `two_minutes` are the steps of its card, which the HTML has too."""

    two_minutes = fields.List(fields.String(), required=True)
    html = fields.String(required=True)
