"""The events of a record that was merged into a client's: what was not merged, as the record on paper says it.

The timeline shows none of them. The safety plans of the record that was kept can be printed by themselves; those of an
earlier record can't, so their text is here, and so is what else the page Earlier records shows of a screening.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from caseapp.domain.dashboard.schemas import TimelineEvent
from caseapp.domain.dashboard.timeline import CaseRecords, get_names, get_titles
from caseapp.domain.dashboard.timeline_events import list_events
from caseapp.domain.screening.protocol import ACTIONS_TAKEN, CIRCUMSTANCES, FLAG_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.merges.queries import EarlierRecord
    from caseapp.domain.safety_plans.schemas import PlanVersion
    from caseapp.domain.screening.records import Flag, ScreeningRecord

FORMER = "a former member of staff"


def list_earlier_events(
    context: CaseContext, record: EarlierRecord, *, for_client: bool
) -> Iterator[TimelineEvent]:
    """List the screenings, holds, flags and safety plans of an earlier record, in any order.

    `for_client` is that of `list_events`.
    """
    history = record.history
    facts = [event.fact for event in history.events]
    records = CaseRecords(
        safety=history,
        names=get_names(facts),
        titles=get_titles(facts),
        plans=record.plans,
    )
    more = {one.id: _describe_screening(one) for one in history.all_screenings}
    more |= {one.id: _describe_plan(one) for one in record.plans}
    for event in list_events(context, records, for_client=for_client):
        # Only the first event of a screening has its id, and only a version of a plan the version's.
        yield replace(event, text="\n".join(filter(None, (event.text, more.get(event.id, "")))))
    for flag in record.flags:
        yield from _list_flag_events(flag, record.names)


def _describe_screening(screening: ScreeningRecord) -> str:
    parts = [
        ("Circumstances", [str(CIRCUMSTANCES[key].label) for key in screening.circumstances]),
        ("Why a level is much lower", [screening.below_reason] if screening.below_reason else []),
        ("Actions taken", [str(ACTIONS_TAKEN[code]) for code in screening.actions_taken]),
    ]
    return "\n".join(f"{label}: {', '.join(values)}" for label, values in parts if values)


def _describe_plan(version: PlanVersion) -> str:
    if not version.changes_text:
        return ""
    steps = ((step.heading, version.answers.get(step.key)) for step in version.form.steps)
    return "\n".join(f"{heading}: {answer}" for heading, answer in steps if answer)


def _list_flag_events(flag: Flag, names: dict[UUID, str]) -> Iterator[TimelineEvent]:
    label = str(FLAG_LABELS[flag.kind])

    def tell(what: str, by: UUID | None, text: str) -> TimelineEvent:
        moment = flag.set_at if what == "set" else flag.cleared_at or flag.set_at
        byline = names.get(by, FORMER) if by else FORMER
        return TimelineEvent(
            flag.id, moment, "screening", f"Flag {what}: {label}", byline, "flag", flag.id, text
        )

    yield tell("set", flag.set_by, "")
    if flag.in_error:
        yield tell("ended", flag.cleared_by, "The answers that set it were recorded in error.")
    elif flag.cleared_at:
        yield tell("ended", flag.cleared_by, flag.clear_reason or "")
