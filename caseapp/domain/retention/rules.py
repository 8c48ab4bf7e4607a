"""Rules for retention: from when a record may be destroyed. Pure functions; all of it awaits sign-off by a lawyer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason
from caseapp.domain.practice.retention import AGE_OF_MAJORITY
from caseapp.domain.retention.schemas import Term
from caseapp.domain.screening.protocol import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caseapp.domain.retention.schemas import RetentionFacts
    from caseapp.domain.screening.records import ScreeningRecord

NO_PROFILE = Reason(
    "no_retention_profile",
    "The practice hasn’t chosen how long it keeps records.",
    "An admin can choose it in the settings, under Retention.",
)


def list_terms(facts: RetentionFacts, years: Mapping[str, int]) -> dict[str, date]:
    """List by period the day from which a record may be destroyed, as far as each period applies to it.

    `years` are those of `find_years`. Of a year of birth the latest birthday counts. A client without a year of birth
    is taken for an adult, since the program is for adults. Source: REC-14.
    """
    if not (facts.had_service or facts.has_child_at_risk):
        found = {"enquiry": add_years(facts.last_service, years["enquiry"])}
    else:
        found = {"client": add_years(facts.last_service, years["client"])}
        if facts.birth_year is not None:
            last_birthday = date(facts.birth_year + AGE_OF_MAJORITY, 12, 31)
            found["minor"] = add_years(last_birthday, years["minor"]) + timedelta(days=1)
    if facts.has_child_at_risk:
        found["children"] = add_years(facts.last_service, years["children"])
    if facts.last_disclosure is not None:
        found["disclosures"] = add_years(facts.last_disclosure, years["disclosures"])
    return found


def find_term(facts: RetentionFacts, years: Mapping[str, int]) -> Term:
    """Find from when a record may be destroyed: when the last of its periods is over."""
    found = list_terms(facts, years)
    period = max(found, key=lambda code: found[code])
    return Term(found[period], period)


def has_child_at_risk(screenings: Iterable[ScreeningRecord]) -> bool:
    """Tell whether any of the screenings that count says that a child may be at risk, now or then.

    That is the circumstance of the protocol, or a concern about the care of children or others. Awaiting sign-off.
    """
    return any(
        "children_at_risk" in each.circumstances
        or (each.counting.get("caring") or 0) >= Level.CONCERN
        for each in screenings
    )


def add_years(day: date, years: int) -> date:
    """Return the same day some years later; after a leap day the first of March, so that nothing ends early."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def list_term_faults(term: Term | None, today: date, *, is_seen: bool) -> list[Reason]:
    """List why a record can't be destroyed because it needn't be kept any longer; `term` is None without a profile.

    The day is only for somebody who sees the client: a late one tells an admin that a child may be at risk.
    """
    if term is None:
        return [NO_PROFILE]
    if term.due_on <= today:
        return []
    until = f"until {term.due_on:%d %B %Y}" if is_seen else "for longer"
    return [
        Reason(
            "not_due",
            f"By the practice’s retention settings this record is kept {until}.",
            "Until then it can be erased only for another reason.",
        )
    ]
