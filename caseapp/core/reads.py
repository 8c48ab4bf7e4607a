"""What a request, command or job reads of clients' records, collected until it is written to the log.

Queries note here whose key they open and which clients a list shows. `domain.audit` writes it down in one transaction
before anything leaves the process, with whatever else a read writes.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caseapp.core.transaction import after_commit, separate_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from sqlalchemy.engine import Connection

    from caseapp.core.permissions import Action


class ReadTooLate(RuntimeError):
    """A client's record was opened after the reads of this request had been written to the log."""


@dataclass
class List:
    """The clients that a list shows; `details` are codes, and `always` asks for an entry however often it is read."""

    client_ids: set[UUID] = field(default_factory=set)
    kind: str = "list"
    object_id: UUID | None = None
    details: dict[str, Any] = field(default_factory=dict)
    always: bool = False


@dataclass
class Reads:
    """What was read and isn't written yet.

    `opened` holds the kind and id of the first record that was opened of each client, `lists` the lists by the action
    that reads them (None is that of the request), `changed` the clients whose changes need no event of reading,
    `altered` the kind and client, by id, of the records that aren't as they were signed, and `writes` what else is
    written in the same transaction.
    """

    opened: dict[UUID, tuple[str, UUID]] = field(default_factory=dict)
    lists: dict[Action | None, List] = field(default_factory=dict)
    changed: set[UUID] = field(default_factory=set)
    altered: dict[UUID, tuple[str, UUID]] = field(default_factory=dict)
    writes: list[Callable[[Connection], object]] = field(default_factory=list)
    written: set[UUID] | None = None

    def take(self) -> Reads:
        """Take out what is to be written; from here on only the records of these clients may be opened."""
        taken = Reads(self.opened, self.lists, self.changed, self.altered, self.writes)
        shown = (found.client_ids for found in self.lists.values())
        self.written = set().union(self.opened, self.changed, *shown)
        self.opened, self.lists, self.altered, self.writes = {}, {}, {}, []
        return taken


_current: ContextVar[Reads | None] = ContextVar("reads", default=None)


def begin() -> None:
    """Collect from here on, for a new request."""
    _current.set(Reads())


def end() -> None:
    """Stop collecting."""
    _current.set(None)


def current() -> Reads | None:
    """Return what is being collected, or None outside requests, commands and jobs."""
    return _current.get()


@contextmanager
def collecting() -> Iterator[Reads]:
    """Collect in a block, apart from what surrounds it."""
    before, found = _current.get(), Reads()
    _current.set(found)
    try:
        yield found
    finally:
        _current.set(before)


def note_opened(client_id: UUID, kind: str, object_id: UUID) -> None:
    """Note that a client's record is opened: its kind, such as "note", and its id.

    Raises ReadTooLate for a client whose record the log doesn't name although it has been written.
    """
    found = _current.get()
    if found is None:
        return
    if found.written is None:
        found.opened.setdefault(client_id, (kind, object_id))
    elif client_id not in found.written:
        raise ReadTooLate


def note_shown(client_ids: Iterable[UUID], action: Action | None = None) -> None:
    """Note which clients a list shows; `action` says what is read when the request's own action doesn't."""
    if (found := _current.get()) is not None:
        found.lists.setdefault(action, List()).client_ids.update(client_ids)


def require_noted(client_id: UUID) -> None:
    """Make sure that the log names or will name a client whose record is opened for a list.

    Raises ReadTooLate when it doesn't.
    """
    found = _current.get()
    if found is None:
        return
    noted = found.written
    if noted is None:
        noted = set().union(*(shown.client_ids for shown in found.lists.values()))
    if client_id not in noted:
        raise ReadTooLate


def note_counted(action: Action, client_ids: Iterable[UUID]) -> None:
    """Note clients whose records are opened only to count them, beside those of before."""
    if (found := _current.get()) is not None:
        counted = found.lists.setdefault(action, List(details={"counted": True}))
        counted.client_ids.update(client_ids)


def note_list(action: Action, shown: List) -> None:
    """Note a list that has an entry of its own."""
    if (found := _current.get()) is not None:
        found.lists[action] = shown


def note_changed(client_id: UUID) -> None:
    """Note that a change of a client's record needs no event of reading once the open transaction is committed.

    The change is in the log then; only that of a process note isn't.
    """
    if (found := _current.get()) is not None:
        after_commit(lambda: found.changed.add(client_id))


def note_altered(kind: str, object_id: UUID, client_id: UUID) -> None:
    """Note that a record of a client isn't as it was signed."""
    if (found := _current.get()) is not None:
        found.altered[object_id] = (kind, client_id)


def write_with_reads(write: Callable[[Connection], object]) -> None:
    """Write something while a page is read, in the transaction that writes the reads to the log; or at once."""
    found = _current.get()
    if found is not None and found.written is None:
        found.writes.append(write)
        return
    with separate_transaction() as connection:
        write(connection)
