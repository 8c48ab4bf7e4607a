"""Operations on a client's copy of their record: make it, and record that it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core import pdf
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.errors import refuse_for
from caseapp.core.i18n import format_date
from caseapp.core.pdf_archive import Archive
from caseapp.core.permissions import Action
from caseapp.core.reads import List, note_list
from caseapp.core.transaction import reading_for_change
from caseapp.domain.cases.queries import get_case_context, get_case_context_by_number
from caseapp.domain.dashboard.copy_contents import (
    WITHHELD,
    hash_record,
    make_files,
    make_record,
)
from caseapp.domain.dashboard.copy_rules import check_copy, list_copy_blockers
from caseapp.domain.dashboard.copy_schemas import COPY_CHANNELS, MadeCopy
from caseapp.domain.dashboard.record_printing import (
    MAX_PAGES,
    describe_filters,
    get_contents,
    render_html,
)
from caseapp.domain.dashboard.timeline_filter import EVENT_KINDS, KIND_LABELS
from caseapp.domain.disclosures.operations import record_disclosure
from caseapp.domain.disclosures.schemas import NewDisclosure
from caseapp.domain.practice.queries import get_practice, today

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.domain.cases.queries import LockedCase
    from caseapp.domain.dashboard.copy_schemas import NewCopy
    from caseapp.domain.dashboard.timeline_filter import TimelineFilter


def make_copy(actor: Actor, ref: UUID | str, new: NewCopy) -> MadeCopy:
    """Make a copy of the record of a case for its client; `ref` is the id of the case or its number.

    It is an encrypted PDF with the pages of the record on paper, the same as JSON, and a manifest. Nothing of it is
    stored. Laying it out takes seconds, so this stands before the transaction that records it (`record_copy`). Raises
    NotFound, RuleBroken if it is too long or can't be given in this way, and what `core.pdf` raises.
    """
    require(actor, Action.RECORD_EXPORT)
    with reading_for_change():
        context = (
            get_case_context_by_number(actor, ref)
            if isinstance(ref, str)
            else get_case_context(actor, ref)
        )
    refuse_for(list_copy_blockers(context, new))
    contents, moment = get_contents(actor, context, new.filters, for_client=True), now()
    practice = get_practice().name
    record = make_record(context, practice, contents)
    files = make_files(context, practice, new.filters, contents, record, moment)
    content = pdf.render(
        render_html(actor, context, new.filters, contents, withheld=WITHHELD),
        style="report.css",
        max_pages=MAX_PAGES,
        archive=Archive(new.passphrase, files),
    )
    return MadeCopy(content, contents.count, hash_record(record))


def record_copy(
    actor: Actor,
    case: LockedCase,
    new: NewCopy,
    made: MadeCopy,
    *,
    once: Callable[[Callable[[], UUID]], UUID] = lambda create: create(),
) -> UUID:
    """Record in the disclosure log that the client gets a copy that was made; return the entry's id.

    What has happened meanwhile counts: the copy leaves only if it may be given now and the record still holds what was
    laid out, also when it is sent again. `once` makes no second entry then. Raises RuleBroken.
    """
    require(actor, Action.RECORD_EXPORT)
    contents = get_contents(actor, case, new.filters, for_client=True)
    check_copy(case, new, made, hash_record(make_record(case, get_practice().name, contents)))
    entry_id = once(lambda: _record(actor, case, new, made))
    # Only a copy that leaves: what is refused was given to nobody.
    details = {"format": "copy"} | describe_filters(new.filters)
    read = List({case.case.client_id}, "record", case.case.id, details, always=True)
    note_list(Action.RECORD_EXPORT, read)
    return entry_id


def _record(actor: Actor, case: LockedCase, new: NewCopy, made: MadeCopy) -> UUID:
    count = "one entry" if made.entries == 1 else f"{made.entries} entries"
    what = (
        f"Copy of the record of case {case.case.number} as an encrypted PDF: {count}, "
        f"{_describe_days(new.filters)}, {_describe_kinds(new.filters)}."
    )
    given = NewDisclosure(
        today(),
        f"The client, {COPY_CHANNELS[new.channel].lower()}",
        what,
        "The client asked for it.",
    )
    return record_disclosure(actor, case.locked_client, given)


def _describe_days(filters: TimelineFilter) -> str:
    parts = [
        *([f"from {format_date(filters.since)}"] if filters.since else []),
        *([f"to {format_date(filters.until)}"] if filters.until else []),
    ]
    return " ".join(parts) or "all days"


def _describe_kinds(filters: TimelineFilter) -> str:
    if len(filters.kinds) == len(EVENT_KINDS):
        return "all kinds"
    chosen = [KIND_LABELS[kind].lower() for kind in EVENT_KINDS if kind in filters.kinds]
    return f"only {', '.join(chosen)}"
