"""Rules for session notes: the sections of a format, what a signature still needs, the digest. Pure functions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.core.permissions import Role
from caseapp.core.text import count_written
from caseapp.domain.legal_holds.rules import LEGAL_HOLD
from caseapp.domain.notes.codes import LATE_ENTRY_AFTER, MAX_SESSION_MINUTES
from caseapp.domain.notes.formats import FORMATS, SECTIONS
from caseapp.domain.notes.records import RecordedAnswers
from caseapp.domain.notes.schemas import MAX_NOTE_LENGTH
from caseapp.domain.screening.proposals import find_wrong_days
from caseapp.domain.screening.protocol import CIRCUMSTANCES, ITEMS_BY_KEY, Level
from caseapp.domain.screening.rules import SESSION_IN_FUTURE, opens_safety_hold

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.notes.models import Note
    from caseapp.domain.notes.queries import LockedCaseForNote, LockedNote
    from caseapp.domain.notes.records import Addendum, DraftScreening, NoteRecord
    from caseapp.domain.notes.schemas import DraftChange, NewAddendum, NewNote

SESSION_BEFORE_CASE = (
    "This is before the case was opened. Check the date. If it is right, write that in the "
    "text instead."
)
EMPTIED = (
    "There is a legal hold on this record, so a draft in it keeps some text. Write what is right beside or in "
    "place of it; nothing was saved."
)
NOT_CONFIRMED = "This is copied from last time. Confirm the copied answers, or choose a level."
LONGEST_SESSION = timedelta(minutes=MAX_SESSION_MINUTES)

CASE_CLOSED = Reason("case_closed", "This case is closed.", "Reopen the case to add a note.")
DRAFT_STANDS = Reason(
    "draft_stands",
    "You already have a draft of a note about this client.",
    "Go on with that draft, or say that this is another note.",
)
NOTE_SIGNED = Reason(
    "note_signed",
    "This note is signed and can’t be changed.",
    "Correct it or add to it with an addendum.",
)
NOT_SIGNED = Reason(
    "note_not_signed", "This note isn’t signed yet.", "Change the draft, or sign it first."
)
NOTE_ALTERED = Reason(
    "note_altered",
    "This note was changed in the database after it was signed.",
    "Tell your supervisor, and write a new note.",
)
NOTE_IN_ERROR = Reason(
    "note_in_error",
    "This note was entered in error, and nothing can be added to it.",
    "Write a new note.",
)
NOT_RESPONSIBLE = Reason(
    "not_responsible_for_note",
    "You didn’t write this note and aren’t responsible for the client.",
    "Ask the author, the client’s coach or a supervisor to add it.",
)
DRAFT_MOVED = Reason(
    "draft_moved",
    "This draft was moved here from another record, and that record mentions it.",
    "Sign it, then mark it as entered in error if you don’t need it.",
)
UNRECORDED_CONCERN = Reason(
    "unrecorded_concern",
    "This draft mentions a concern that has not been recorded yet.",
    "Record the screening first, or correct its levels.",
)


def list_draft_blockers(note: NoteRecord | Note, *, has_signature: bool = False) -> list[Reason]:
    """List why a note can't be changed; empty while it is a draft that was never signed."""
    if note.status != "draft":
        return [NOTE_SIGNED]
    return [NOTE_ALTERED] if has_signature or note.sha256 or note.addenda else []


def list_discard_blockers(
    note: NoteRecord,
    *,
    has_signature: bool = False,
    was_moved: bool = False,
    is_held: bool = False,
) -> list[Reason]:
    """List why a note can't be discarded.

    It is signed, was moved, mentions a concern that nobody has recorded, or a legal hold stands on the record.
    """
    found = list_draft_blockers(note, has_signature=has_signature)
    if is_held:
        found.append(LEGAL_HOLD)
    if was_moved:
        found.append(DRAFT_MOVED)
    if (note.unrecorded_level or 0) >= Level.CONCERN:
        return [*found, UNRECORDED_CONCERN]
    return found


def is_emptied(before: NoteRecord, after: NoteRecord) -> bool:
    """Tell whether a save takes all text out of a draft."""
    return any(before.sections.values()) and not any(after.sections.values())


def keep_emptied(before: NoteRecord, after: NoteRecord, *, opens_hold: bool) -> NoteRecord:
    """Return a draft that is saved without text while a legal hold stands on the record, with its text as it was.

    Only a save that opens a safety hold goes on so. Raises Invalid otherwise: an emptied draft is a discarded one.
    """
    if not opens_hold:
        raise Invalid({next(iter(FORMATS[after.format])): [EMPTIED]})
    return replace(after, format=before.format, sections=before.sections)


def check_new_note(case: LockedCaseForNote, new: NewNote) -> None:
    """Check that a note can be started in a case.

    Raises RuleBroken when the case is closed, and when whoever starts it has a draft of the case and doesn't say that
    this is another note.
    """
    if case.status != "open":
        refuse_for([CASE_CLOSED])
    if case.has_draft and not new.another:
        refuse_for([DRAFT_STANDS])


def check_draft(note: LockedNote) -> None:
    """Check that a note can be changed.

    Raises RuleBroken when it is signed.
    """
    refuse_for(list_draft_blockers(note.row, has_signature=note.has_signature))


def check_discard(note: LockedNote, *, is_held: bool) -> None:
    """Check that a note can be discarded; `is_held` tells that a legal hold stands on the record.

    Raises RuleBroken when it is held, signed, was moved or mentions an unrecorded concern.
    """
    was_moved = note.row.moves > 0
    refuse_for(
        list_discard_blockers(
            note.record, has_signature=note.has_signature, was_moved=was_moved, is_held=is_held
        )
    )


def check_sign(note: LockedNote, moment: datetime, today: date) -> None:
    """Check that a note can be signed at `moment`, which is `today` in the practice's time zone.

    Raises RuleBroken when it is signed already, and Invalid naming every missing part.
    """
    check_draft(note)
    if problems := missing_for_signature(note.record, moment, today):
        raise Invalid(problems, "This note is not complete yet.")


def missing_for_signature(note: NoteRecord, moment: datetime, today: date) -> dict[str, list[str]]:
    """List by field what a draft still needs before it can be signed at `moment`; empty when nothing is missing.

    Every section needs text; texts of other formats count where signing puts them. The screening is either untouched or
    complete: *Not asked* is an answer, a blank isn't.
    """
    sections = convert_sections(note.sections, note.format)
    problems = {
        key: [f"Write something under {section.label}, or say why there is nothing."]
        for key, section in FORMATS[note.format].items()
        if not count_written(sections[key])
    }
    if note.session_at > moment:
        problems["session_at"] = [SESSION_IN_FUTURE]
    draft = note.draft
    problems |= {key: [NOT_CONFIRMED] for key in draft.copied}
    problems |= find_wrong_days(draft.screening.reported_days, today)
    if draft.touched:
        for key in draft.unanswered:
            if key in draft.copied:
                continue
            problems[key] = [f"Choose a level for {ITEMS_BY_KEY[key].label.lower()}, or Not asked."]
        if (
            not draft.unanswered
            and draft.highest_level is None
            and not draft.circumstances
            and (draft.comment or draft.actions_taken)
        ):
            problems["comment"] = [
                "Nothing was asked, so there is no screening to record. Move this text into the note."
            ]
    return problems


def find_session_time(
    session_at: datetime, recorded: RecordedAnswers | None, moment: datetime
) -> datetime:
    """Find the session time of answers that a draft has at a moment; `session_at` is that of the note.

    A session that is planned for later has begun by then: an answer that opens a hold never waits for a correct time.
    Further answers of the same session have the time with which the first ones were recorded, so that they don't look
    like those of an older one.
    """
    began = min(session_at, moment)
    if recorded and timedelta(0) < recorded.session_at - began <= LONGEST_SESSION:
        return recorded.session_at
    return began


def remember_recorded(
    draft: DraftScreening, screening_id: UUID, session_at: datetime
) -> DraftScreening:
    """Return a draft that remembers that its answers are recorded in this screening."""
    asked = [key for key, level in draft.answers.items() if level is not None]
    origins = dict.fromkeys((*asked, *draft.circumstances), screening_id) | draft.repeats
    return replace(
        draft,
        recorded=RecordedAnswers(replace(draft, recorded=None, copied={}), origins, session_at),
    )


def forget_recorded(draft: DraftScreening, screening_id: UUID) -> DraftScreening:
    """Return a draft without what was recorded in a screening that was recorded in error.

    Its answers and circumstances that open a safety hold are taken out: saving them again would open it again.
    """
    recorded = draft.recorded
    if recorded is None:
        return draft
    lost = {key for key, origin in recorded.origins.items() if origin == screening_id}
    lost &= draft.repeats.keys()
    origins = {key: origin for key, origin in recorded.origins.items() if origin != screening_id}
    about = replace(
        recorded.draft,
        answers={key: level for key, level in recorded.draft.answers.items() if key in origins},
        circumstances=tuple(key for key in recorded.draft.circumstances if key in origins),
    )
    remembered = replace(recorded, draft=about, origins=origins) if origins else None
    left = replace(
        draft,
        circumstances=tuple(
            key for key in draft.circumstances if not (key in lost and _raises_to_hold(key))
        ),
        recorded=remembered,
    )
    stated = left.list_stated()
    answers = {
        key: level
        for key, level in draft.answers.items()
        if not (key in lost and opens_safety_hold(key, stated.get(key, level)))
    }
    return replace(left, answers=answers)


def _raises_to_hold(circumstance: str) -> bool:
    """Tell whether a circumstance can raise an item to a level that opens a safety hold."""
    return any(
        opens_safety_hold(rule.item, rule.level) for rule in CIRCUMSTANCES[circumstance].raises
    )


def merge_sections(
    current_format: str, current: dict[str, str], change: DraftChange
) -> dict[str, str]:
    """Apply a change to a draft's sections; the texts of other formats stay, so that one can go back to them.

    Raises Invalid for a section that neither format has, and when the text is longer than MAX_NOTE_LENGTH characters.
    """
    target = change.format or current_format
    known = {*FORMATS[current_format], *FORMATS[target], *current}
    unknown = change.sections.keys() - known
    if unknown:
        raise Invalid(
            {"sections": [f"This format has no section named {', '.join(sorted(unknown))}."]}
        )
    sections = {**current, **change.sections}
    left = {key: text for key, text in sections.items() if text and key not in FORMATS[target]}
    kept = {key: sections.get(key, "") for key in FORMATS[target]}
    sections = convert_sections(sections, target) if change.gather else kept | left
    if sum(map(len, sections.values())) > MAX_NOTE_LENGTH:
        # Reported at a section of the page that was sent: the texts of another format have no field on it.
        is_of_target = change.sections.keys() <= FORMATS[target].keys()
        shown = FORMATS[target] if is_of_target else change.sections
        longest = max(shown, key=lambda key: len(sections.get(key, "")))
        raise Invalid({longest: [_describe_length(sections)]})
    return sections


def _describe_length(sections: dict[str, str]) -> str:
    lengths = {SECTIONS[key].label: len(text) for key, text in sections.items() if text}
    parts = ", ".join(f"{length:,} in {label}" for label, length in lengths.items())
    return (
        f"A note can have up to {MAX_NOTE_LENGTH:,} characters in total, including text from another format; "
        f"this one has {sum(lengths.values()):,}: {parts}."
    )


def convert_sections(sections: dict[str, str], target: str) -> dict[str, str]:
    """Arrange texts for a format; text without a section there goes to the top of the first one, so nothing is lost."""
    kept = {key: sections.get(key, "") for key in FORMATS[target]}
    first = next(iter(kept))
    moved = [
        text if key == "text" else f"{SECTIONS[key].label}: {text}"
        for key in SECTIONS
        if key not in kept and (text := sections.get(key))
    ]
    kept[first] = "\n\n".join([*moved, *filter(None, [kept[first]])])
    return kept


def list_addendum_blockers(
    note: NoteRecord, actor_id: UUID, coach_id: UUID | None, *, is_supervisor: bool
) -> list[Reason]:
    """List why somebody who may read a note can't add to it; empty when they can.

    It has to be signed, unchanged since, and not entered in error. Its author adds to it, the client's coach
    (`coach_id`), and a supervisor. Product proposal, awaiting sign-off.
    """
    if note.status != "signed":
        return [NOT_SIGNED]
    if not note.is_as_signed:
        return [NOTE_ALTERED]
    if note.in_error:
        return [NOTE_IN_ERROR]
    return [] if is_supervisor or actor_id in {note.author_id, coach_id} else [NOT_RESPONSIBLE]


def find_addendum_faults(
    new: NewAddendum, moment: datetime, earliest: datetime | None = None
) -> dict[str, list[str]]:
    """List by field what is wrong with an addendum that is signed at `moment`.

    A correction says why, and what is right: in words, by the time of the session or by its minutes. Whoever marks a
    note as entered in error says why. Only a correction changes the time or the minutes, and never to a time before
    `earliest`.
    """
    faults: dict[str, list[str]] = {}
    is_changed = new.session_at is not None or new.minutes is not None
    if new.kind == "correction" and not (new.text or is_changed):
        faults["text"] = ["Write what is right, or change the session’s time or minutes."]
    if new.kind == "addition" and not new.text:
        faults["text"] = ["Write what is missing."]
    if new.kind != "addition" and not new.reason:
        faults["reason"] = ["Write the reason."]
    if new.kind != "correction":
        for name in ("session_at", "minutes"):
            if getattr(new, name) is not None:
                faults[name] = [
                    "Only a correction can change this. Choose “A correction”, or leave this empty."
                ]
    if new.session_at is not None and new.session_at > moment:
        faults["session_at"] = [SESSION_IN_FUTURE]
    if new.session_at is not None and earliest is not None and new.session_at < earliest:
        faults["session_at"] = [SESSION_BEFORE_CASE]
    return faults


def find_earliest_session(note: NoteRecord, opened_at: datetime) -> datetime | None:
    """Return the time before which a correction can't move a session: that at which its case was opened.

    A note that was signed about a session before that, such as one from paper, can be corrected to any time.
    """
    return opened_at if opened_at <= note.session_at else None


def check_addendum(
    actor: Actor,
    note: LockedNote,
    found: NoteRecord,
    coach_id: UUID | None,
    opened_at: datetime,
    new: NewAddendum,
    moment: datetime,
) -> None:
    """Check that somebody can sign an addendum at a moment to a note, as it was `found` after the lock.

    `coach_id` is the client's coach, `opened_at` when the case was opened.

    Raises RuleBroken, and Invalid naming what is wrong with it.
    """
    assert found.id == note.row.id  # noqa: S101 - the caller has read the note that it has locked
    is_supervisor = actor.role is Role.SUPERVISOR
    refuse_for(list_addendum_blockers(found, actor.id, coach_id, is_supervisor=is_supervisor))
    if faults := find_addendum_faults(new, moment, find_earliest_session(found, opened_at)):
        raise Invalid(faults)


def find_addendum_kind(chosen: str, note: NoteRecord, moment: datetime) -> str:
    """Return the kind of an addendum: an addition that comes late after the session is a late entry by itself.

    It is late by the time that was signed or by the corrected one, so that no correction makes it timely.
    """
    began = min(note.session_at, note.actual_session_at)
    is_late = chosen == "addition" and moment - began > LATE_ENTRY_AFTER
    return "late_entry" if is_late else chosen


def apply_addenda(
    session_at: datetime, minutes: int | None, addenda: Iterable[Addendum | NewAddendum]
) -> tuple[datetime, int | None, bool]:
    """Return when a session was, its minutes, and whether its note was entered in error, as the newest addenda say."""
    in_error = False
    for addendum in addenda:
        session_at = addendum.session_at or session_at
        minutes = addendum.minutes or minutes
        in_error = in_error or addendum.kind == "in_error"
    return session_at, minutes, in_error


def addendum_digest(addendum: Addendum) -> str:
    """Return the SHA-256 of an addendum's canonical form in hexadecimal."""
    # Digests are stored: these keys must never change, even where a column is renamed.
    canonical: dict[str, object] = {
        "id": str(addendum.id),
        "note": str(addendum.note_id),
        "client": str(addendum.client_id),
        "number": addendum.seq,
        "kind": addendum.kind,
        "signed_at": addendum.created_at.isoformat(),
        "signed_by": str(addendum.created_by),
        "role": addendum.role,
        "zone": addendum.zone,
        "text": addendum.text,
        "reason": addendum.reason,
        "session_at": addendum.session_at.isoformat() if addendum.session_at else None,
        "minutes": addendum.minutes,
    }
    return hash_canonical(canonical)


def note_digest(note: NoteRecord) -> str:
    """Return the SHA-256 of a note's canonical form in hexadecimal, which anyone can recompute from the record."""
    # Digests of signed notes are stored: these keys must never change, even where a column was renamed.
    canonical: dict[str, object] = {
        "id": str(note.id),
        "case": str(note.case_id),
        "client": str(note.client_id),
        "author": str(note.author_id),
        "format": note.format,
        "held_at": note.session_at.isoformat(),
        "minutes": note.minutes,
        "how": note.modality,
        "sections": note.sections,
        "screening": str(note.screening_id) if note.screening_id else None,
        "signed_at": note.signed_at.isoformat() if note.signed_at else None,
    }
    return hash_canonical(canonical)


def hash_canonical(canonical: object) -> str:
    """Return the SHA-256 of plain data, written as JSON in one way, in hexadecimal."""
    text = json.dumps(canonical, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
