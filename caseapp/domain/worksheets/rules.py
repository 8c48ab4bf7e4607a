"""Rules for worksheets: when a client can share and upload answers. Pure functions.

Whether a handout may be read now never decides about what its client wrote in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.core.i18n import lazy_gettext
from caseapp.core.pdf_forms import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.handouts.fields import Answer
    from caseapp.domain.worksheets.models import WorksheetUpload
    from caseapp.domain.worksheets.queries import LockedWorksheet

MAX_UPLOADS_PER_WORKSHEET = 5
"""Largest number of uploads kept for one worksheet."""
MAX_UPLOAD_BYTES_PER_CLIENT = 4 * MAX_FILE_BYTES
"""Largest total size of one client's uploads, in bytes."""
NOTHING_TO_SHARE = Reason(
    "nothing_to_share",
    lazy_gettext("There is nothing to share yet."),
    lazy_gettext("Write something first."),
)
NO_ROOM = Reason(
    "no_room",
    lazy_gettext(
        "You can keep %(files)s files with a worksheet, and 20 MB in total.",
        files=MAX_UPLOADS_PER_WORKSHEET,
    ),
    lazy_gettext("Delete one you no longer need, then try again."),
)
WRITING_LOCKED = Reason(
    "writing_locked",
    lazy_gettext("What you wrote here before you got new codes is locked."),
    lazy_gettext("Open it with your earlier PIN, or delete it."),
)


@dataclass(frozen=True)
class KeptUploads:
    """How many uploads a worksheet has, and how many bytes all uploads of its client take."""

    files: int
    size: int


def list_upload_blockers(kept: KeptUploads, size: int) -> list[Reason]:
    """List why there is no room for a file of `size` bytes; empty when there is."""
    too_many = kept.files >= MAX_UPLOADS_PER_WORKSHEET
    return [NO_ROOM] if too_many or kept.size + size > MAX_UPLOAD_BYTES_PER_CLIENT else []


def list_sharing_blockers(answers: Mapping[str, Answer]) -> list[Reason]:
    """List why answers can't be shared; empty when there are some."""
    return [] if answers else [NOTHING_TO_SHARE]


def list_writing_blockers(*, is_locked: bool) -> list[Reason]:
    """List why a client can't write over or pass on what they wrote; empty unless only an earlier PIN opens it."""
    return [WRITING_LOCKED] if is_locked else []


def check_write(worksheet: LockedWorksheet) -> None:
    """Check that a client can change the answers.

    Raises RuleBroken while they are locked.
    """
    refuse_for(list_writing_blockers(is_locked=worksheet.is_locked))


def check_send(worksheet: LockedWorksheet, upload: WorksheetUpload) -> None:
    """Check that a client can send a file that they have not sent.

    Raises RuleBroken while it is locked.
    """
    is_locked = upload.writing_key_id != worksheet.writing.id
    refuse_for(list_writing_blockers(is_locked=is_locked))


def check_share(_worksheet: LockedWorksheet, answers: Mapping[str, Answer]) -> None:
    """Check that a client can share answers with the coach.

    Raises RuleBroken when there are none.
    """
    refuse_for(list_sharing_blockers(answers))


def check_upload(_worksheet: LockedWorksheet, kept: KeptUploads, size: int) -> None:
    """Check that a client can keep a file of `size` bytes with a worksheet.

    Raises RuleBroken when there is no room.
    """
    refuse_for(list_upload_blockers(kept, size))
