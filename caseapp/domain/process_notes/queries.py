"""Queries for process notes: an actor's own one about a case, and nobody else's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.vault import combine_keys, unseal_bytes
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.process_notes.models import ProcessNote
from caseapp.domain.process_notes.rules import require_writer
from caseapp.domain.process_notes.schemas import ProcessNoteRecord

if TYPE_CHECKING:
    from caseapp.core.actor import Actor
    from caseapp.domain.cases.queries import CaseContext


def get_process_note(actor: Actor, case: CaseContext) -> ProcessNoteRecord:
    """Open the actor's own process note about a case that they see; an empty one when they have written none.

    Raises Forbidden, and InsufficientScope for a token.
    """
    require_writer(actor)
    return _open(_find_row(actor, case), case)


@dataclass(frozen=True)
class LockedProcessNote:
    """An actor's own process note about a case whose client is locked, as read after the lock; `row` is None without.

    Only `lock_process_note` makes one.
    """

    case: LockedCase
    row: ProcessNote | None
    record: ProcessNoteRecord


def lock_process_note(actor: Actor, number: str) -> LockedProcessNote:
    """Lock the client of a case, then load the actor's own process note about it.

    Raises NotFound, InsufficientScope for a token, and RuntimeError outside `transaction()`.
    """
    require_writer(actor)
    case = lock_case(actor, number)
    row = _find_row(actor, case)
    return LockedProcessNote(case, row, _open(row, case))


def _find_row(actor: Actor, case: CaseContext) -> ProcessNote | None:
    return db.session.scalar(
        sa.select(ProcessNote).where(
            ProcessNote.case_id == case.case.id, ProcessNote.author_id == actor.id
        )
    )


def _open(row: ProcessNote | None, case: CaseContext) -> ProcessNoteRecord:
    if row is None:
        return ProcessNoteRecord()
    own = get_ring_key("process_notes", row.ring_number).for_person(row.author_id)
    key = combine_keys(case.key, own)
    content = unseal_bytes(row.__tablename__, "content", row.id, row.content, key)
    return ProcessNoteRecord(json.loads(content)["words"], row.version, row.updated_at)
