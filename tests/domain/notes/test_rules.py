from datetime import UTC, datetime
from uuid import UUID

from caseapp.domain.notes.records import NoteRecord
from caseapp.domain.notes.rules import note_digest


def test_note_digest_of_a_known_note_never_changes():
    note = NoteRecord(
        id=UUID(int=1),
        case_id=UUID(int=2),
        client_id=UUID(int=3),
        author_id=UUID(int=4),
        format="dap",
        session_at=datetime(2026, 5, 14, 14, tzinfo=UTC),
        minutes=50,
        modality="video",
        status="signed",
        sections={"data": "Slept.", "assessment": "Calmer.", "plan": "Walk – täglich."},
        screening_id=UUID(int=5),
        updated_at=datetime(2026, 5, 14, 15, tzinfo=UTC),
        signed_at=datetime(2026, 5, 14, 15, tzinfo=UTC),
        sha256=None,
        actual_session_at=datetime(2026, 5, 15, 14, tzinfo=UTC),
        actual_minutes=45,
        in_error=False,
        version=3,
    )
    # Worked out before columns were renamed; the digests of signed notes are stored.
    assert note_digest(note) == "1881953ca4ec612b973c1dcce387334ddbf737c3825b6799dc294dcdc00ed050"
