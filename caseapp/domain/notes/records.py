"""Session notes as they are read: drafts with their answers, signed notes with signatures, addenda and moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from caseapp.domain.notes.codes import LATE_ENTRY_AFTER
from caseapp.domain.notes.formats import FORMATS, SECTIONS
from caseapp.domain.screening.protocol import ITEMS, Level
from caseapp.domain.screening.rules import highest_level, list_stated
from caseapp.domain.screening.schemas import NewScreening

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from caseapp.domain.notes.amendment_records import AmendmentRequest
    from caseapp.domain.notes.formats import Section
    from caseapp.domain.screening.records import Answer


NO_EARLIER: Mapping[str, Answer] = {}


@dataclass(frozen=True)
class DraftScreening:
    """The screening answers in a draft; a question missing from `answers` was left blank.

    *Not asked* (None) is an answer, a blank is not. `copied` are levels of the last time, by item, for blank questions:
    they don't count until somebody confirms them, which makes them answers.
    """

    answers: dict[str, int | None]
    asked_alone: bool = False
    actions_taken: tuple[str, ...] = ()
    comment: str = field(default="", repr=False)
    circumstances: tuple[str, ...] = ()
    below_reason: str = field(default="", repr=False)
    recorded: RecordedAnswers | None = None
    lasting_since: dict[str, date] = field(default_factory=dict)
    copied: dict[str, int] = field(default_factory=dict)

    @property
    def touched(self) -> bool:
        """Tell whether anything was entered."""
        return self._about != NO_ANSWERS or bool(self.answers)

    @property
    def unanswered(self) -> list[str]:
        """List the keys of the questions without an answer."""
        return [item.key for item in ITEMS if item.key not in self.answers]

    @property
    def highest_level(self) -> int | None:
        """Return the highest level chosen, if any."""
        return highest_level(self.answers)

    @property
    def unrecorded(self) -> dict[str, int]:
        """Return the levels that are chosen and not recorded, by item."""
        known = self.recorded.draft.answers if self.recorded else {}
        return {
            key: level
            for key, level in self.answers.items()
            if level is not None and known.get(key) != level
        }

    @property
    def has_unrecorded(self) -> bool:
        """Tell whether there is something to record: levels, or more about those that are recorded."""
        if self.highest_level is None and not self.circumstances:
            return False
        return self.recorded is None or bool(
            self.unrecorded or self.recorded.draft._about != self._about  # noqa: SLF001 - of the same class
        )

    @property
    def _about(self) -> DraftScreening:
        """Return what was entered about the answers, without them."""
        return replace(self, answers={}, recorded=None, copied={})

    @property
    def repeats(self) -> dict[str, UUID]:
        """Return, by key, the screenings that have recorded the levels and circumstances that are still chosen."""
        if self.recorded is None:
            return {}
        levels = [
            key
            for key, level in self.answers.items()
            if level is not None and key not in self.unrecorded
        ]
        ticked = {*self.circumstances} & {*self.recorded.draft.circumstances}
        return {key: self.recorded.origins[key] for key in (*levels, *sorted(ticked))}

    def list_stated(
        self, answers: Mapping[str, Answer] = NO_EARLIER, known: Container[str] = ()
    ) -> dict[str, int]:
        """List the levels, by item, that require something once they are recorded.

        `answers` are those that count for the client now, which circumstances can raise too, and `known` the
        circumstances that were ticked before; without them, the levels are listed as far as the draft tells.
        """
        before = {item: answer.level for item, answer in answers.items()}
        return list_stated(self.screening, before=before, known=known, repeats=self.repeats)[1]

    @property
    def restated(self) -> dict[str, int]:
        """Return the levels, by item, of the answers and circumstances that are recorded and still chosen."""
        repeats = self.repeats
        return list_stated(
            replace(
                self.screening,
                levels={key: level for key, level in self.answers.items() if key in repeats},
                circumstances=tuple(key for key in self.circumstances if key in repeats),
            )
        )[1]

    @property
    def screening(self) -> NewScreening:
        """Return these answers as a screening; blank ones count as not asked."""
        return NewScreening(
            levels={item.key: self.answers.get(item.key) for item in ITEMS},
            asked_alone=self.asked_alone,
            actions_taken=self.actions_taken,
            comment=self.comment,
            lasting_since=self.lasting_since,
            circumstances=self.circumstances,
            below_reason=self.below_reason,
        )


@dataclass(frozen=True)
class RecordedAnswers:
    """What was last recorded from a draft that is still being written: its answers as they were then.

    `origins` are, by key, the screenings that recorded the levels and circumstances first. `session_at` is the time of
    the session that was recorded with them.
    """

    draft: DraftScreening
    origins: dict[str, UUID]
    session_at: datetime


NO_ANSWERS = DraftScreening({})


def draft_to_json(draft: DraftScreening) -> dict[str, Any]:
    """Return the answers in a draft as plain data."""
    data: dict[str, Any] = {
        "answers": draft.answers,
        "asked_alone": draft.asked_alone,
        "actions_taken": list(draft.actions_taken),
        "comment": draft.comment,
        "lasting_since": {item: day.isoformat() for item, day in draft.lasting_since.items()},
        "circumstances": list(draft.circumstances),
        "below_reason": draft.below_reason,
        "copied": draft.copied,
    }
    if recorded := draft.recorded:
        data["recorded"] = {
            "draft": draft_to_json(recorded.draft),
            "origins": {key: found.hex for key, found in recorded.origins.items()},
            "session_at": recorded.session_at.isoformat(),
        }
    return data


def draft_from_json(data: dict[str, Any]) -> DraftScreening:
    """Build the answers in a draft from plain data."""
    found, recorded = data.pop("recorded", None), None
    if found is not None:
        recorded = RecordedAnswers(
            draft_from_json(found["draft"]),
            {key: UUID(origin) for key, origin in found["origins"].items()},
            datetime.fromisoformat(found["session_at"]),
        )
    days = data.pop("lasting_since", {})
    lists = {name: tuple(data.get(name, ())) for name in ("actions_taken", "circumstances")}
    return DraftScreening(
        **{**data, **lists},
        recorded=recorded,
        lasting_since={item: date.fromisoformat(day) for item, day in days.items()},
    )


@dataclass(frozen=True)
class Signature:
    """Who signed a note, in which role and as what, when and in which time zone, and what the note was then.

    `client_id` and `case_id` are those that the note had then. A signature that was recorded later than it was signed
    is that of an earlier release, which left no role.
    """

    note_id: UUID
    meaning: str
    client_id: UUID
    case_id: UUID
    signed_by: UUID
    role: str | None
    signed_at: datetime
    zone: str
    recorded_at: datetime
    digest: str

    @property
    def is_recorded_later(self) -> bool:
        """Tell whether the note was signed before signatures were recorded."""
        return self.recorded_at > self.signed_at


@dataclass(frozen=True)
class Addendum:
    """A signed addendum of a note, unsealed; `seq` is its number in the note.

    A correction may say when the session was and how long it took. Of one that was changed in the database the texts
    may be missing. One that was `signed_elsewhere` was signed while the note was in another client's record.
    """

    id: UUID
    note_id: UUID
    client_id: UUID
    seq: int
    kind: str
    created_at: datetime
    created_by: UUID
    role: str
    zone: str
    text: str = field(repr=False)
    reason: str = field(repr=False)
    session_at: datetime | None
    minutes: int | None
    author: str = ""
    signed_elsewhere: bool = False


@dataclass(frozen=True)
class NoteMove:
    """That a note was moved from the record of one client to that of another; `seq` is its number in the note.

    `addenda` is how many the note had by then. The reason is known where the note is now.
    """

    id: UUID
    note_id: UUID
    seq: int
    from_client_id: UUID
    from_case_id: UUID
    to_client_id: UUID
    to_case_id: UUID
    addenda: int
    moved_at: datetime
    moved_by: UUID
    role: str
    zone: str
    reason: str = field(default="", repr=False)
    mover: str = ""

    @property
    def is_merge(self) -> bool:
        """Tell whether the note stayed in its case, whose client was merged into another one."""
        return self.from_case_id == self.to_case_id


@dataclass(frozen=True)
class MovedAway:
    """That a note was moved from a case into another record: not which, and not what it says. `id` is the move's.

    `requests` are what the client wanted corrected in it while it was here: their words stay theirs.
    """

    id: UUID
    moved_at: datetime
    mover: str
    requests: Sequence[AmendmentRequest] = ()


def addendum_to_json(addendum: Addendum) -> dict[str, Any]:
    """Return what an addendum says as plain data."""
    return {
        "text": addendum.text,
        "reason": addendum.reason,
        "session_at": addendum.session_at.isoformat() if addendum.session_at else None,
        "minutes": addendum.minutes,
    }


@dataclass(frozen=True)
class NoteRecord:
    """A session note in draft or signed, unsealed.

    A signed note that isn't `is_as_signed` was changed in the database: what it says can't be relied on. `session_at`
    and `minutes` are as they were signed; the actual ones and `in_error` are what the newest addenda say. `review` is a
    code of REVIEW_STATES while it needs a co-signature.
    """

    id: UUID
    case_id: UUID
    client_id: UUID
    author_id: UUID
    format: str
    session_at: datetime
    minutes: int | None
    modality: str
    status: str
    sections: dict[str, str] = field(repr=False)
    screening_id: UUID | None
    updated_at: datetime
    signed_at: datetime | None
    sha256: str | None
    actual_session_at: datetime
    actual_minutes: int | None
    in_error: bool
    version: int
    author: str = ""
    client: str = field(default="", repr=False)
    number: str = ""
    draft: DraftScreening = NO_ANSWERS
    signature: Signature | None = None
    is_as_signed: bool = True
    addenda: tuple[Addendum, ...] = ()
    moves: tuple[NoteMove, ...] = ()
    cosignature: Signature | None = None
    cosigner: str = ""
    review: str | None = None

    @property
    def own_screening_id(self) -> UUID | None:
        """Return the screening recorded with the note; None where it is another client's, since the note was moved."""
        is_others = self.signature is not None and self.signature.client_id != self.client_id
        return None if is_others else self.screening_id

    @property
    def has_earlier_screening(self) -> bool:
        """Tell whether the screening recorded with the note is in a record that was merged into the client's."""
        if self.screening_id is None or self.own_screening_id is not None:
            return False
        clients = {self.client_id}
        for move in reversed(self.moves):
            if not move.is_merge:
                break
            clients.add(move.from_client_id)
        return self.signature is not None and self.signature.client_id in clients

    @property
    def is_late_entry(self) -> bool:
        """Tell whether the note was signed late after the session, as far as it said itself when that was.

        One that was filed unsigned isn't: when its author wrote it, nothing tells for certain.
        """
        if self.signed_at is None or self.is_filed:
            return False
        return self.signed_at - self.session_at > LATE_ENTRY_AFTER

    @property
    def is_filed(self) -> bool:
        """Tell whether a supervisor filed it for an author who had left, and who never signed it."""
        return self.signature is not None and self.signature.meaning == "filed"

    @property
    def filing(self) -> Addendum | None:
        """Return with which addendum it was filed unsigned, if it was; it says by whom, when and why."""
        found = (each for each in self.addenda if each.kind == "filed")
        return next(found, None) if self.is_filed else None

    @property
    def later_addenda(self) -> tuple[Addendum, ...]:
        """Return the addenda but for that with which it was filed unsigned."""
        return tuple(each for each in self.addenda if each is not self.filing)

    @property
    def unrecorded_level(self) -> int | None:
        """Return the highest level in a draft that is not recorded yet."""
        return highest_level(self.draft.unrecorded) if self.draft.answers else None

    @property
    def ordered_sections(self) -> list[tuple[str, Section, str]]:
        """List key, section and text in the order of the format."""
        return [
            (key, section, self.sections.get(key, ""))
            for key, section in FORMATS[self.format].items()
        ]

    @property
    def texts(self) -> list[tuple[Section, str]]:
        """List all sections with their texts; of a draft also those that its format has no section for."""
        shown = [(section, text) for _, section, text in self.ordered_sections]
        return shown + self.list_other_texts(self.format)

    @property
    def first_text(self) -> str:
        """Return the first text that isn't empty."""
        return next((text for _, text in self.texts if text), "")

    def list_other_texts(self, shown_format: str) -> list[tuple[Section, str]]:
        """List the texts of a draft that a format has no section for, each with its section."""
        return [
            (section, text)
            for key, section in SECTIONS.items()
            if key not in FORMATS[shown_format] and (text := self.sections.get(key))
        ]


@dataclass(frozen=True)
class DraftListItem:
    """A draft in its author's lists, without its content."""

    id: UUID
    case_id: UUID
    client_id: UUID
    number: str
    client: str = field(repr=False)
    session_at: datetime
    created_at: datetime
    updated_at: datetime
    unrecorded_level: int | None

    @property
    def urgency(self) -> int:
        """Return the unrecorded level of a draft that can't wait, else 0."""
        level = self.unrecorded_level or 0
        return level if level >= Level.CONCERN else 0


@dataclass(frozen=True)
class CaseDraft:
    """A draft of a case to go on with, without its content."""

    id: UUID
    session_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class CoachDraft:
    """A coach's unsigned note as their supervisor sees it in a list: its age and no content."""

    author: str
    id: UUID
    client_id: UUID
    number: str
    client: str = field(repr=False)
    created_at: datetime


@dataclass(frozen=True)
class ReviewItem:
    """A signed note without its content that needs a co-signature: it waits for one, or was returned to its author."""

    id: UUID
    client_id: UUID
    number: str
    client: str = field(repr=False)
    author_id: UUID
    author: str
    session_at: datetime
    state: str
    since: datetime


@dataclass(frozen=True)
class ReturnRecord:
    """That a supervisor returned a note to its author, unsealed."""

    created_at: datetime
    created_by: UUID
    by: str
    comment: str = field(repr=False)


@dataclass(frozen=True)
class NoteReviewRecord:
    """What became of a signed note that needs or needed a co-signature; `returns` are in their order.

    `version` is another one after each addendum, move and return of the note.
    """

    note_id: UUID
    state: str | None
    returns: tuple[ReturnRecord, ...]
    version: int
