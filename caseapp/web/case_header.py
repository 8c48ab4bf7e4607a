"""The header of case pages: loading the case, and the texts of its identity bar and hold banner."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from caseapp.core.errors import NotFound
from caseapp.domain.cases.queries import get_case_context_by_number, lock_case
from caseapp.domain.cases.stages import stages
from caseapp.domain.dashboard.case_page import get_case_page
from caseapp.domain.screening.protocol import ITEMS_BY_KEY
from caseapp.http.case_texts import (
    consent_of,
    describe_consent,
    describe_hold_reasons,
    describe_safe_contact,
    flag_tags,
)
from caseapp.http.guard import current_actor
from caseapp.http.template_helpers import local, today

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from flask import Blueprint

    from caseapp.core.actor import Actor
    from caseapp.domain.cases.queries import LockedCase
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.screening.proposals import Proposal
    from caseapp.domain.screening.records import Hold

Locked = TypeVar("Locked")

EN_DASH = "\u2013"


def load_case_context(number: str) -> CasePage:
    """Load the case of a page and record that it was read.

    Raises NotFound.
    """
    actor = current_actor()
    return get_case_page(actor, number)


def lock_page_case(actor: Actor, number: str, *_part: object) -> LockedCase:
    """Lock the case of a page for a form whose address names a part of it too.

    Raises NotFound.
    """
    return lock_case(actor, number)


def lock_in_case(
    lock: Callable[[Actor, UUID], Locked], client_of: Callable[[Locked], UUID]
) -> Callable[[Actor, str, UUID], Locked]:
    """Make the lock of a form whose address names a case and a record of its client from the lock of the record.

    What it returns raises what `lock` raises, and NotFound when the client has no such case.
    """

    def lock_record(actor: Actor, number: str, record_id: UUID) -> Locked:
        locked = lock(actor, record_id)
        if client_of(locked) != get_case_context_by_number(actor, number).case.client_id:
            raise NotFound
        return locked

    return lock_record


def stage_dates(context: CasePage) -> dict[int, str]:
    """Describe when the case was in each stage so far, by stage number."""
    entered: dict[str, datetime] = {}
    left: dict[str, datetime] = {}
    for event in reversed(context.events):
        if event.from_stage:
            left[event.from_stage] = event.occurred_at
        if event.to_stage:
            entered[event.to_stage] = event.occurred_at
    found = {}
    for stage in stages():
        if stage.number > context.stage.number or stage.id not in entered:
            continue
        if stage.id != context.stage.id:
            found[stage.number] = _date_range(entered[stage.id], left[stage.id])
        elif context.case.closed_at:
            found[stage.number] = f"Closed {_short_date(context.case.closed_at)}"
        else:
            on_hold = ", on hold" if context.safety.hold else ""
            found[stage.number] = f"Since {_short_date(entered[stage.id])}{on_hold}"
    return found


def _short_date(moment: datetime) -> str:
    found = local(moment).date()
    year = "" if found.year == today().year else f" {found.year}"
    return f"{found.day} {found:%b}{year}"


def _date_range(start: datetime, end: datetime) -> str:
    first, last = local(start).date(), local(end).date()
    if first == last:
        return _short_date(end)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} {EN_DASH} {_short_date(end)}"
    return f"{_short_date(start)} {EN_DASH} {_short_date(end)}"


def describe_proposal(proposal: Proposal) -> str:
    """Describe how long an item has been at watch or above."""
    reported = proposal.raised.reported_since
    since = local(proposal.lasts_since).date()
    is_reported = reported is not None and proposal.lasts_since < proposal.raised.began_at
    if is_reported and reported is not None:
        since = reported
    days = (today() - since).days
    year = "" if since.year == today().year else f" {since.year}"
    source = ", as the client reported" if is_reported else ""
    label = ITEMS_BY_KEY[proposal.item].label
    return (
        f"{label}: at Watch or above for {days} days, since {since.day} {since:%B}{year}{source}."
    )


def hold_day(hold: Hold) -> int:
    """Count the days of a hold; the day it opened is day 1."""
    return (today() - local(hold.opened_at).date()).days + 1


def register_template_globals(blueprint: Blueprint) -> None:
    """Make these functions available to every staff template."""
    for function in (
        consent_of,
        describe_consent,
        describe_safe_contact,
        stage_dates,
        flag_tags,
        describe_hold_reasons,
        describe_proposal,
        hold_day,
    ):
        blueprint.add_app_template_global(function)
