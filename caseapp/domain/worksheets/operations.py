"""Done: answers saved, shared and taken back; files kept, sent on and removed.

Only the client does any of it, but for files that have waited too long: those the queue removes.

What stops reading a sheet stops all of it too, judged at that moment and said in the same neutral words. The log has
an entry for every change, and nothing of what was written, not even which fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, operator, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken, Stale
from caseapp.core.ids import new_id
from caseapp.core.pdf_forms import LARGEST_FILE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.core.vault import open_data, seal_bytes, seal_data
from caseapp.domain.assignments.reading import reading
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.queries import key_of, lock_client
from caseapp.domain.worksheets.models import AnswerSheet, ReturnedFile
from caseapp.domain.worksheets.queries import sheet_row
from caseapp.domain.worksheets.schemas import KEPT_FOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.worksheets.schemas import Answer

MOST_FILES = 5
"""Files kept for one sheet."""
MOST_BYTES = 4 * LARGEST_FILE
"""Bytes kept for one client."""


def save_answers(
    actor: Actor, place: int, answers: Mapping[str, Answer], expected_version: int
) -> int:
    """Save a client's answers to a sheet, for nobody but the client; give their version from here on.

    What stands there already is not saved again, so that a repeated autosave whose answer was lost does no harm. Raises
    NotFound, RuleBroken when the sheet may not be read now, Stale when another window saved a newer version first.
    """
    given, row = _sheet(actor, place)
    return _saved(actor, given, row, answers, expected_version).version


def share_answers(
    actor: Actor, place: int, answers: Mapping[str, Answer], expected_version: int
) -> None:
    """Save what is on the client's screen and let the coach read it; what is written later stays private.

    Raises what `save_answers` raises, and RuleBroken when there is nothing to share.
    """
    if not answers:
        raise RuleBroken(
            Reason("nothing_to_share", "There is nothing to share yet.", "Write something first.")
        )
    given, row = _sheet(actor, place)
    row = _saved(actor, given, row, answers, expected_version)
    row.shared = seal_data(row, "shared", dict(answers), key_of(actor.id))
    row.shared_at = now()
    db.session.flush()
    _record(actor, given.id, actor.id, "shared")


def take_back(actor: Actor, place: int) -> None:
    """Take the shared copy away from the coach; the client keeps the answers, the log that they were shared.

    Doing it twice changes nothing. Raises NotFound, RuleBroken when the sheet may not be read now.
    """
    given, row = _sheet(actor, place)
    if row is None or row.shared_at is None:
        return
    row.shared, row.shared_at = None, None
    db.session.flush()
    _record(actor, given.id, actor.id, "taken_back")


def keep_file(actor: Actor, place: int, data: bytes, why: str) -> UUID:
    """Keep a file that could not be read, sealed and for nobody but the client until they send it on.

    `why` is a key of WHY_WORDS. Raises NotFound, RuleBroken when the sheet may not be read now or there are too many.
    """
    given, _row = _sheet(actor, place)
    _must_have_room(actor, given, len(data))
    row = ReturnedFile(
        id=new_id(),
        assignment_id=given.id,
        client_id=actor.id,
        size=len(data),
        why=why,
        received_at=now(),
    )
    row.content = seal_bytes(row, "content", data, key_of(actor.id))
    db.session.add(row)
    db.session.flush()
    _record(actor, given.id, actor.id, "file_kept")
    return row.id


def send_file(actor: Actor, place: int, returned_id: UUID) -> None:
    """Let the coach have a kept file as it is.

    Doing it twice changes nothing. Raises NotFound, RuleBroken when the sheet may not be read now.
    """
    given, row = _file(actor, place, returned_id)
    if row.sent_at is None:
        row.sent_at = now()
        db.session.flush()
        _record(actor, given.id, actor.id, "file_sent")


def remove_file(actor: Actor, place: int, returned_id: UUID) -> None:
    """Remove a kept file for good, also one that was sent.

    Raises NotFound, RuleBroken when the sheet may not be read now.
    """
    given, row = _file(actor, place, returned_id)
    db.session.delete(row)
    db.session.flush()
    _record(actor, given.id, actor.id, "file_removed")


def remove_expired() -> int:
    """Remove the files that were not sent within KEPT_FOR, also where their sheet rests or was withdrawn; count them.

    A file that was sent stays the coach's to read for as long as the client leaves it there, as shared answers do: it
    should not vanish from what a coach works with. The client can remove it on any day.
    """
    with transaction() as session:
        gone = session.execute(
            sa.delete(ReturnedFile)
            .where(ReturnedFile.sent_at.is_(None), ReturnedFile.received_at <= now() - KEPT_FOR)
            .returning(ReturnedFile.assignment_id, ReturnedFile.client_id)
        ).all()
        for assignment_id, client_id in gone:
            _record(operator(), assignment_id, client_id, "file_expired")
    return len(gone)


def _sheet(actor: Actor, place: int) -> tuple[AssignmentRecord, AnswerSheet | None]:
    """Find a client's sheet and what is written in it; two changes at once wait for each other here."""
    require(actor, Action.PORTAL_WRITE)
    given = reading(actor, place)
    if not given.handout.fields:
        raise NotFound
    lock_client(actor.id)
    return given, sheet_row(given.id)


def _file(actor: Actor, place: int, returned_id: UUID) -> tuple[AssignmentRecord, ReturnedFile]:
    given, _row = _sheet(actor, place)
    found = db.session.scalar(
        sa.select(ReturnedFile)
        .options(sa.orm.defer(ReturnedFile.content))
        .where(ReturnedFile.id == returned_id, ReturnedFile.assignment_id == given.id)
    )
    if found is None:
        raise NotFound
    return given, found


def _saved(
    actor: Actor,
    given: AssignmentRecord,
    row: AnswerSheet | None,
    answers: Mapping[str, Answer],
    expected_version: int,
) -> AnswerSheet:
    key = key_of(actor.id)
    if row is None:
        if expected_version:
            raise Stale
        row = AnswerSheet(id=new_id(), assignment_id=given.id, client_id=actor.id)
        db.session.add(row)
    elif open_data(row, "answers", key) == dict(answers):
        return row
    else:
        set_committed_value(row, "version", expected_version)
    row.answers = seal_data(row, "answers", dict(answers), key)
    row.saved_at = now()
    db.session.flush()
    _record(actor, given.id, actor.id, "saved")
    return row


def _must_have_room(actor: Actor, given: AssignmentRecord, size: int) -> None:
    here = sa.func.count().filter(ReturnedFile.assignment_id == given.id)
    files, taken = db.session.execute(
        sa.select(here, sa.func.coalesce(sa.func.sum(ReturnedFile.size), 0)).where(
            ReturnedFile.client_id == actor.id
        )
    ).one()
    if files >= MOST_FILES or taken + size > MOST_BYTES:
        raise RuleBroken(
            Reason(
                "no_room",
                f"There is room for {MOST_FILES} files with a sheet, and for 20 MB in all.",
                "Remove one that is no longer needed, then try again.",
            )
        )


def _record(actor: Actor, assignment_id: UUID, client_id: UUID, what: str) -> None:
    record(
        actor,
        Action.PORTAL_WRITE,
        "assignment",
        assignment_id,
        client_id=client_id,
        details={"answers": what},
    )
