"""What lies in a client's copy beside its pages: the same entries as JSON, and a manifest. Pure functions."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from caseapp.core.pdf_archive import ArchivedFile

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.dashboard.record_printing import EarlierPart, RecordContents, RecordEntry
    from caseapp.domain.dashboard.timeline_filter import TimelineFilter
    from caseapp.domain.notes.records import NoteRecord, Signature

RECORD_FORM, MANIFEST_FORM = "caseapp-record-2", "caseapp-manifest-2"
"""Another form of a file gets another number."""
WITHHELD = (
    (
        "Process notes",
        (
            "A coach may keep notes that are not part of the record. Only that coach can read them. If there are any, "
            "they are not in this copy."
        ),
    ),
    ("Drafts", "A note that is still being written isn’t part of the record yet."),
    (
        "How you can be reached, your code word and your partner’s name",
        (
            "These would tell anyone who finds this copy how to reach you or who your partner is. So no entry says how "
            "you and your coach were in touch. The entries themselves were not changed and may mention one of these "
            "things. Your coach can tell you what is kept."
        ),
    ),
    (
        "What you and your coach left out",
        "A copy doesn’t have to cover every day or every kind of entry. Your coach can tell you what else there is.",
    ),
)
"""What copies don't contain, and why. Every copy says all of it, so that no copy reveals what the record contains."""


def make_record(context: CaseContext, practice: str, contents: RecordContents) -> str:
    """Make the record as JSON: the same record gives the same text."""
    return _to_text(
        {
            "form": RECORD_FORM,
            "practice": practice,
            "client": _client_to_json(context.client),
            "case": {
                "number": context.case.number,
                "opened_at": context.case.opened_at.isoformat(),
                "coach": context.coach,
            },
            "entries": [_entry_to_json(entry) for entry in contents.entries],
            "earlier_records": [_earlier_to_json(part) for part in contents.earlier],
        }
    )


def hash_record(record: str) -> str:
    """Return the SHA-256 hash of a record as JSON."""
    return hashlib.sha256(record.encode()).hexdigest()


def make_files(
    context: CaseContext,
    practice: str,
    filters: TimelineFilter,
    contents: RecordContents,
    record: str,
    created_at: datetime,
) -> tuple[ArchivedFile, ...]:
    """Make the files of a copy: the record as JSON, and a manifest with its hash and what is withheld."""
    manifest = _to_text(
        {
            "form": MANIFEST_FORM,
            "practice": practice,
            "case": context.case.number,
            "created_at": created_at.isoformat(),
            "first_day": filters.since.isoformat() if filters.since else None,
            "last_day": filters.until.isoformat() if filters.until else None,
            "entries": contents.count,
            "earlier_records": [
                {"id": str(part.record.client.id), "entries": len(part.entries)}
                for part in contents.earlier
            ],
            "notes": [
                {"id": str(entry.note.id), "sha256": entry.note.sha256}
                for entry in contents.entries
                if entry.note
            ],
            "files": [
                {
                    "name": "record.json",
                    "bytes": len(record.encode()),
                    "sha256": hash_record(record),
                }
            ],
            "withheld": [{"what": what, "why": why} for what, why in WITHHELD],
        }
    )
    return (
        ArchivedFile("record.json", "The same entries in a form that a program can read", record),
        ArchivedFile(
            "manifest.json", "A list of what this copy contains, with checksums", manifest
        ),
    )


def _to_text(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1)


def _client_to_json(client: ClientRecord) -> dict[str, Any]:
    return {
        "name": client.name,
        "preferred_name": client.preferred_name,
        "pronouns": client.pronouns,
        "birth_year": client.birth_year,
        "language": client.language,
    }


def _earlier_to_json(part: EarlierPart) -> dict[str, Any]:
    record, client = part.record, part.record.client
    return {
        "id": str(client.id),
        "merged_at": record.merged_at.isoformat(),
        "merged_by": record.merged_by,
        "reason": record.reason,
        "client": _client_to_json(client),
        "entries": [_entry_to_json(entry) for entry in part.entries],
    }


def _entry_to_json(entry: RecordEntry) -> dict[str, Any]:
    event = entry.event
    found: dict[str, Any] = {
        "id": str(event.id),
        "at": event.occurred_at.isoformat(),
        "kind": event.kind,
        "title": event.title,
        "by": event.byline,
        "state": event.badge,
    }
    if entry.note:
        return found | {"note": _note_to_json(entry.note, entry)}
    return found | {
        "text": event.text,
        "answers": dict(entry.levels),
        "evidence": [{"criterion": each.criterion, "text": each.text} for each in event.evidence],
        "amendments": _amendments_to_json(entry),
    }


def _note_to_json(note: NoteRecord, entry: RecordEntry) -> dict[str, Any]:
    return {
        "format": note.format,
        "session_at": note.session_at.isoformat(),
        "minutes": note.minutes,
        "sections": {section.label: text for _, section, text in note.ordered_sections},
        "author": note.author,
        "signed_by": None if note.is_filed else note.author,
        "signed_at": note.signed_at.isoformat() if note.signed_at and not note.is_filed else None,
        "filed_unsigned": _filing_to_json(note),
        "sha256": note.sha256,
        "is_as_signed": note.is_as_signed,
        "is_late_entry": note.is_late_entry,
        "is_in_error": note.in_error,
        "addenda": [
            {
                "kind": each.kind,
                "signed_by": each.author,
                "signed_at": each.created_at.isoformat(),
                "text": each.text,
                "reason": each.reason,
                "session_at": each.session_at.isoformat() if each.session_at else None,
                "minutes": each.minutes,
                "signed_elsewhere": each.signed_elsewhere,
            }
            for each in note.addenda
        ],
        "returns": [
            {"by": each.by, "at": each.created_at.isoformat(), "comment": each.comment}
            for each in entry.returns
        ],
        "amendments": _amendments_to_json(entry),
        "cosigned": _cosignature_to_json(note.cosigner, note.cosignature),
        "moved_here": [
            {"by": each.mover, "at": each.moved_at.isoformat(), "reason": each.reason}
            for each in note.moves[-1:]
        ],
    }


def _filing_to_json(note: NoteRecord) -> dict[str, str] | None:
    filing = note.filing
    if filing is None:
        return None
    return {"by": filing.author, "at": filing.created_at.isoformat(), "reason": filing.reason}


def _amendments_to_json(entry: RecordEntry) -> list[dict[str, Any]]:
    return [
        {
            "requested_on": each.requested_on.isoformat(),
            "words": each.words,
            "state": each.state,
            "due_at": each.due_at.isoformat(),
            "answered_by": each.answered_by_name,
            "answered_at": each.answered_at.isoformat() if each.answered_at else None,
            "reason": each.answer,
        }
        for each in entry.amendments
    ]


def _cosignature_to_json(cosigner: str, signature: Signature | None) -> dict[str, Any] | None:
    if signature is None:
        return None
    return {"by": cosigner, "at": signature.signed_at.isoformat(), "sha256": signature.digest}
