"""Saving, sharing and uploading answers, without a database."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.ids import new_id
from caseapp.core.vault import new_private_key
from caseapp.domain.worksheets.queries import LockedWorksheet
from caseapp.domain.worksheets.rules import (
    MAX_UPLOAD_BYTES_PER_CLIENT,
    MAX_UPLOADS_PER_WORKSHEET,
    KeptUploads,
    check_share,
    check_upload,
    list_sharing_blockers,
    list_upload_blockers,
    list_writing_blockers,
)
from tests.domain.assignments.test_rules import RECORDS, refused
from tests.support.contexts import complete

records = st.sampled_from(RECORDS)
sizes = st.sampled_from(
    [
        0,
        1,
        MAX_UPLOAD_BYTES_PER_CLIENT - 1,
        MAX_UPLOAD_BYTES_PER_CLIENT,
        MAX_UPLOAD_BYTES_PER_CLIENT + 1,
    ]
)


@given(records, st.sampled_from([{}, {"what_happened": "Rang."}]), st.integers(0, 9), sizes, sizes)
def test_sharing_needs_answers_and_a_file_needs_room_whether_or_not_it_can_be_read(
    record, answers, files, kept, size
):
    worksheet = LockedWorksheet(record, None, new_private_key(new_id(), 1))
    uploads = KeptUploads(files, kept)
    assert refused(check_share, worksheet, answers) == list_sharing_blockers(answers)
    no_room = list_upload_blockers(uploads, size)
    assert refused(check_upload, worksheet, uploads, size) == no_room
    assert complete(no_room)
    assert (not no_room) == (
        files < MAX_UPLOADS_PER_WORKSHEET and kept + size <= MAX_UPLOAD_BYTES_PER_CLIENT
    )
    assert complete(list_sharing_blockers({}))
    assert not list_sharing_blockers({"a": "b"})
    assert complete(list_writing_blockers(is_locked=True))
    assert not list_writing_blockers(is_locked=False)
