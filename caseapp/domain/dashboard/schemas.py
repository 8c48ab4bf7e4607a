"""Records and response schemas: the parts of Today, and timeline events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marshmallow import Schema, fields

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.alerts.schemas import AlertRecord
    from caseapp.domain.cases.evidence import Evidence
    from caseapp.domain.cases.stages import Stage
    from caseapp.domain.clients.care_team import LostCover, RunningCover
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.notes.amendment_records import WaitingAmendment
    from caseapp.domain.notes.records import CoachDraft, DraftListItem, ReviewItem
    from caseapp.domain.screening.proposals import Proposal

MAX_TEXT_LENGTH = 280
"""Characters of an event's text that lists show."""


@dataclass(frozen=True)
class PortalItem:
    """What came from the portal or was found in the record, and waits for a person.

    `kind` is `shared` for answers or files of a worksheet that nobody has opened, `guessed` for a portal at
    which many wrong PINs or start codes were entered, `altered` for a signed note that was changed in the database.
    Nobody but a person judges what was shared.
    """

    kind: str
    client_id: UUID
    client: str = field(repr=False)
    number: str
    coach: str
    assignment_id: UUID | None
    since: datetime


@dataclass(frozen=True)
class EmergencyRecord:
    """An emergency access: whose record, by the number of the client's newest case, who read it, and why.

    `client` is empty for whoever doesn't see the client; `has_reviewer` tells whether somebody can review it.
    """

    id: UUID
    client_id: UUID
    client: str = field(repr=False)
    number: str
    user_id: UUID
    user_name: str
    reason: str = field(repr=False)
    words: str = field(repr=False)
    opened_at: datetime
    ends_at: datetime
    reviewed_at: datetime | None
    is_open: bool
    has_reviewer: bool


@dataclass(frozen=True)
class ReadRecord:
    """That somebody, or the actor (`is_own`), can read the record of a client by emergency access, or could."""

    id: UUID
    client_id: UUID
    client: str = field(repr=False)
    number: str | None
    user_name: str
    opened_at: datetime
    ends_at: datetime
    is_own: bool


@dataclass(frozen=True)
class OpenHold:
    """An open hold: the client, the levels that caused it, the next required action of the client's holds.

    `urgent_since` is when it was opened or last renewed; `is_overdue` says that the action is, `is_named` that the
    reader was named to release the hold.
    """

    id: UUID
    client_id: UUID
    client: str = field(repr=False)
    number: str
    coach: str
    kind: str
    opened_at: datetime
    urgent_since: datetime
    levels: dict[str, int]
    next_followup: FollowUpRecord | None
    is_overdue: bool
    is_named: bool = False


@dataclass(frozen=True)
class ProposedConcerns:
    """A client with items that have lasted at watch and are proposed as concerns."""

    client_id: UUID
    client: str = field(repr=False)
    number: str
    coach: str
    proposals: list[Proposal]


@dataclass(frozen=True)
class DeclinedProposal:
    """An item that a coach wrote is no concern, until it is proposed again."""

    client_id: UUID
    client: str = field(repr=False)
    number: str
    coach: str
    item: str
    declined_at: datetime
    declined_by: str
    reason: str = field(repr=False)
    proposed_again_at: datetime


@dataclass(frozen=True)
class LastMet:
    """When somebody was last in touch with a client: the last session of a case, the last contact and no-show since.

    A session is what a signed note is about, unless it was entered in error. `sessions` and `minutes` count them in
    the case.
    """

    session: datetime | None
    contact_at: datetime | None
    no_show_at: datetime | None
    sessions: int = 0
    minutes: int = 0

    @property
    def contact(self) -> datetime | None:
        """Return when the last contact was: the last session, or what the contact log says since."""
        return max(filter(None, (self.session, self.contact_at)), default=None)

    @property
    def no_show(self) -> datetime | None:
        """Return when the client did not come, if nobody was in contact with them since."""
        if self.no_show_at is None or (
            self.contact is not None and self.contact >= self.no_show_at
        ):
            return None
        return self.no_show_at


@dataclass(frozen=True)
class UnansweredNoShow:
    """A client with an open hold or an active flag who did not come, and with whom nobody was in contact since."""

    client_id: UUID
    client: str = field(repr=False)
    number: str
    coach: str
    since: datetime


@dataclass(frozen=True)
class WithdrawnConsent:
    """A client in coaching who has withdrawn consent: since when, and the number of the newest case."""

    client_id: UUID
    client: str = field(repr=False)
    number: str
    since: date


@dataclass(frozen=True)
class RecentCase:
    """An open case with recent activity."""

    id: UUID
    number: str
    client_id: UUID
    client: str = field(repr=False)
    stage: Stage
    hold: str | None
    met: LastMet
    levels: dict[str, int]
    screened: bool
    handouts_assigned: int
    handouts_read: int


@dataclass(frozen=True)
class StageCount:
    """The number of open cases in a stage; `capped` when there are more than were counted."""

    stage: Stage
    cases: int
    is_truncated: bool


@dataclass(frozen=True)
class NamedHold:
    """An open hold of a client of another team that somebody was named to release."""

    id: UUID
    kind: str
    opened_at: datetime
    client: str = field(repr=False)


@dataclass(frozen=True)
class Today:
    """What needs one person's attention now; an admin's has nothing about clients.

    `followups` are the person's own tasks that are due first, `overdue` all of their overdue required actions; those of
    coaches for whom they cover are among them. `reviews` are the notes of others that need the person's co-signature,
    and their own that were returned, `amendments` the clients' requests to correct a note that wait for an answer.
    `lost_covers` are those for the person that have ended because whoever covered has left. `waiting_transfers` counts
    the cases that a colleague offers them, `handed_over` the clients who were handed over to them lately.
    `intakes` counts those that wait for a supervisor's decision, or a coach's own about which one has decided lately.
    `suspended` counts the suspended handouts in all open cases, or in the `suspended_scope` newest ones.
    """

    now: datetime
    covers: list[RunningCover] = field(default_factory=list)
    lost_covers: list[LostCover] = field(default_factory=list)
    intakes: int = 0
    waiting_transfers: int = 0
    handed_over: int = 0
    alerts: list[AlertRecord] = field(default_factory=list)
    named_holds: list[NamedHold] = field(default_factory=list)
    portal_items: list[PortalItem] = field(default_factory=list)
    more_portal_items: bool = False
    drafts: list[DraftListItem] = field(default_factory=list)
    coaches_drafts: list[CoachDraft] = field(default_factory=list)
    reviews: list[ReviewItem] = field(default_factory=list)
    amendments: list[WaitingAmendment] = field(default_factory=list)
    read_records: list[ReadRecord] = field(default_factory=list)
    reading_until: datetime | None = None
    holds: list[OpenHold] = field(default_factory=list)
    more_holds: bool = False
    no_shows: list[UnansweredNoShow] = field(default_factory=list)
    more_no_shows: bool = False
    withdrawn: list[WithdrawnConsent] = field(default_factory=list)
    more_withdrawn: bool = False
    proposed: list[ProposedConcerns] = field(default_factory=list)
    more_proposed: bool = False
    followups: list[FollowUpRecord] = field(default_factory=list)
    more_followups: bool = False
    overdue: list[FollowUpRecord] = field(default_factory=list)
    recent_cases: list[RecentCase] = field(default_factory=list)
    cases_by_stage: list[StageCount] = field(default_factory=list)
    case_numbers: dict[UUID, str] = field(default_factory=dict)
    suspended: int = 0
    suspended_scope: int | None = None

    @property
    def unrecorded_concerns(self) -> list[DraftListItem]:
        """List the drafts with an unrecorded concern or urgent level."""
        return [draft for draft in self.drafts if draft.urgency]

    @property
    def open_cases(self) -> int:
        """Return the number of open cases, up to the cap of each stage."""
        return sum(count.cases for count in self.cases_by_stage)

    @property
    def is_truncated(self) -> bool:
        """Tell whether there are more open cases than were counted."""
        return any(count.is_truncated for count in self.cases_by_stage)


@dataclass(frozen=True)
class TimelineEvent:
    """An event in a case's timeline.

    `link_kind` and `link_id` identify the record to open: note, contact, screening, hold, plan, assignment, case or
    followup; for `answers`, the assignment that was answered, for `circumstance`, its end, and for `moved_note`, which
    is in another record now, the case from which it was moved.
    """

    id: UUID
    occurred_at: datetime
    kind: str
    title: str
    byline: str
    link_kind: str
    link_id: UUID
    text: str = field(default="", repr=False)
    badge: str = ""
    levels: dict[str, int | None] | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def excerpt(self) -> str:
        """Return the text as lists show it, cut between words where it is long."""
        return shorten(self.text)


def shorten(text: str) -> str:
    """Cut a text between words to MAX_TEXT_LENGTH characters, without its line breaks."""
    plain = " ".join(text.split())
    if len(plain) <= MAX_TEXT_LENGTH:
        return plain
    return f"{plain[:MAX_TEXT_LENGTH].rsplit(' ', 1)[0]} …"


class EvidenceResponseSchema(Schema):
    """What a coach wrote when they attested a criterion, in API responses."""

    criterion = fields.String(required=True)
    text = fields.String(required=True)


class TimelineEventResponseSchema(Schema):
    """A timeline event in API responses; a long text is cut, and `evidence` is that of a move to another stage."""

    id = fields.UUID(required=True)
    occurred_at = fields.AwareDateTime(required=True)
    kind = fields.String(required=True)
    title = fields.String(required=True)
    byline = fields.String(required=True)
    text = fields.String(required=True, attribute="excerpt")
    badge = fields.String(required=True)
    levels = fields.Dict(required=True, allow_none=True)
    evidence = fields.List(fields.Nested(EvidenceResponseSchema), required=True)
    link_kind = fields.String(required=True)
    link_id = fields.UUID(required=True)


class BoardRowResponseSchema(Schema):
    """A row of a group of the board in API responses.

    `kind` is that of an alert or of a hold, if there is one. `title` is the action, the reason of a declined proposal,
    or what an unattended client lacks: `responsible`, `second` or `action`. `number` is that of the newest case.
    """

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    client = fields.String(required=True)
    number = fields.String(required=True)
    person = fields.String(required=True)
    person_id = fields.UUID(required=True, allow_none=True)
    since = fields.AwareDateTime(required=True)
    kind = fields.String(required=True)
    title = fields.String(required=True)
    addressed_to = fields.List(fields.String(), required=True)
    is_own = fields.Boolean(required=True)
    levels = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class PersonCountResponseSchema(Schema):
    """How many overdue actions somebody has, and since when the oldest is due."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    count = fields.Integer(required=True)
    since = fields.AwareDateTime(required=True)


class BoardGroupResponseSchema(Schema):
    """A group of the board: how much waits, and its most urgent rows; `is_truncated` when there may be more."""

    group = fields.String(required=True)
    count = fields.Integer(required=True)
    is_truncated = fields.Boolean(required=True)
    people = fields.List(fields.Nested(PersonCountResponseSchema), required=True)
    rows = fields.List(fields.Nested(BoardRowResponseSchema), required=True)


class BoardResponseSchema(Schema):
    """The board of a supervisor."""

    groups = fields.List(fields.Nested(BoardGroupResponseSchema), required=True)
