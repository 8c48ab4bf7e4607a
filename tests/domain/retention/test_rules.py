"""From when a record may be destroyed, by a table of cases with fixed days (REC-14)."""

from datetime import date
from types import SimpleNamespace

import pytest

from caseapp.core.errors import Invalid
from caseapp.domain.practice.retention import (
    PERIODS,
    PROFILES,
    RetentionChange,
    check_retention,
    find_years,
)
from caseapp.domain.retention.rules import (
    add_years,
    find_term,
    has_child_at_risk,
    list_term_faults,
    list_terms,
)
from caseapp.domain.retention.schemas import RetentionFacts, Term

US = find_years("us", {})
UK = find_years("uk", {})
LONGER = find_years("us", {"client": 10, "enquiry": 2})


def facts(last, *, service=True, born=None, child=False, disclosed=None):
    return RetentionFacts(
        date.fromisoformat(last),
        had_service=service,
        birth_year=born,
        has_child_at_risk=child,
        last_disclosure=date.fromisoformat(disclosed) if disclosed else None,
    )


@pytest.mark.parametrize(
    ("years", "given", "due_on", "period"),
    [
        # An adult, with and without a year of birth.
        (US, facts("2020-05-14"), "2027-05-14", "client"),
        (UK, facts("2020-05-14"), "2040-05-14", "client"),
        (US, facts("2020-05-14", born=1980), "2027-05-14", "client"),
        (UK, facts("2020-05-14", born=1980), "2040-05-14", "client"),
        (US, facts("2020-12-31"), "2027-12-31", "client"),
        (US, facts("2021-01-01"), "2028-01-01", "client"),
        # A leap day: the first of March, unless the year has one too.
        (US, facts("2024-02-29"), "2031-03-01", "client"),
        (UK, facts("2024-02-29"), "2044-02-29", "client"),
        (US, facts("2024-02-28"), "2031-02-28", "client"),
        # Somebody under age: three years after the end of the year in which they come of age, if that is later.
        (US, facts("2020-05-14", born=2005), "2027-05-14", "client"),
        (US, facts("2020-05-14", born=2006), "2028-01-01", "minor"),
        (US, facts("2020-05-14", born=2004), "2027-05-14", "client"),
        (US, facts("2020-05-14", born=2010), "2032-01-01", "minor"),
        (UK, facts("2020-05-14", born=2010), "2040-05-14", "client"),
        (UK, facts("2020-05-14", born=2016), "2042-01-01", "minor"),
        (UK, facts("2020-05-14", born=2014), "2040-05-14", "client"),
        (UK, facts("2020-05-14", born=2015), "2041-01-01", "minor"),
        # A child at risk.
        (US, facts("2020-05-14", child=True), "2041-05-14", "children"),
        (UK, facts("2020-05-14", child=True), "2045-05-14", "children"),
        (US, facts("2024-02-29", child=True), "2045-03-01", "children"),
        (US, facts("2020-05-14", child=True, born=1980), "2041-05-14", "children"),
        (US, facts("2020-05-14", child=True, born=2010), "2041-05-14", "children"),
        (US, facts("2020-05-14", child=True, service=False), "2041-05-14", "children"),
        # Nobody was coached, and nothing was recorded about safety.
        (US, facts("2020-05-14", service=False), "2021-05-14", "enquiry"),
        (UK, facts("2020-05-14", service=False), "2021-05-14", "enquiry"),
        (US, facts("2020-02-29", service=False), "2021-03-01", "enquiry"),
        (US, facts("2020-05-14", service=False, born=2010), "2021-05-14", "enquiry"),
        # The disclosure log.
        (US, facts("2020-05-14", disclosed="2020-06-01"), "2027-05-14", "client"),
        (US, facts("2020-05-14", disclosed="2021-05-14"), "2027-05-14", "client"),
        (US, facts("2020-05-14", disclosed="2021-05-15"), "2027-05-15", "disclosures"),
        (US, facts("2020-05-14", disclosed="2024-02-29"), "2030-03-01", "disclosures"),
        (UK, facts("2020-05-14", disclosed="2030-01-01"), "2040-05-14", "client"),
        (UK, facts("2020-05-14", disclosed="2036-01-01"), "2042-01-01", "disclosures"),
        (
            US,
            facts("2020-05-14", service=False, disclosed="2020-06-01"),
            "2026-06-01",
            "disclosures",
        ),
        (US, facts("2020-05-14", child=True, disclosed="2040-01-01"), "2046-01-01", "disclosures"),
        # A case that was reopened: what counts is the newer last service.
        (US, facts("2026-05-14"), "2033-05-14", "client"),
        # A practice that keeps records for longer.
        (LONGER, facts("2020-05-14"), "2030-05-14", "client"),
        (LONGER, facts("2020-05-14", service=False), "2022-05-14", "enquiry"),
        (LONGER, facts("2020-05-14", born=2010), "2032-01-01", "minor"),
        (LONGER, facts("2020-05-14", child=True), "2041-05-14", "children"),
    ],
)
def test_record_is_due_when_the_last_of_its_periods_is_over(years, given, due_on, period):
    term = find_term(given, years)
    assert (term.due_on.isoformat(), term.period) == (due_on, period)
    assert term.due_on == max(list_terms(given, years).values())


@pytest.mark.parametrize(("day", "is_due"), [(13, False), (14, True), (15, True)])
def test_record_is_destroyed_from_its_day_on_and_never_without_a_profile(day, is_due):
    term = Term(date(2027, 5, 14), "client")
    today = date(2027, 5, day)
    for is_seen in (True, False):
        found = list_term_faults(term, today, is_seen=is_seen)
        assert [one.code for one in found] == ([] if is_due else ["not_due"])
        # A late day would tell an admin that a child may be at risk.
        assert ["2027" in one.message for one in found] == [is_seen] * len(found)
        none = list_term_faults(None, today, is_seen=is_seen)
        assert [one.code for one in none] == ["no_retention_profile"]


def test_day_some_years_later_ends_nothing_early():
    assert add_years(date(2024, 2, 29), 4) == date(2028, 2, 29)
    assert add_years(date(2096, 2, 29), 4) == date(2100, 3, 1)


def test_screening_tells_of_a_child_at_risk_by_circumstance_or_care():
    def screened(caring, *circumstances):
        return SimpleNamespace(counting={"caring": caring}, circumstances=[*circumstances])

    assert not has_child_at_risk([])
    assert not has_child_at_risk([screened(None), screened(1, "pregnancy")])
    assert has_child_at_risk([screened(0), screened(None, "children_at_risk")])
    assert has_child_at_risk([screened(2), screened(0)])


def test_every_profile_has_every_period_with_a_source():
    for profile in PROFILES.values():
        assert profile.figures.keys() == PERIODS.keys()
        assert all(figure.source and figure.years >= 1 for figure in profile.figures.values())


@pytest.mark.parametrize(
    ("profile", "years", "reason", "field"),
    [
        (None, {}, "", None),
        (None, {"client": 9}, "", "profile"),
        ("us", {}, "", None),
        ("us", {"client": 7}, "", None),
        ("us", {"client": 8, "children": 30}, "", None),
        ("us", {"client": 6}, "", "reason"),
        ("us", {"client": 6}, "because", "reason"),
        ("us", {"client": 6, "minor": 9}, "Our state asks for six years.", None),
    ],
)
def test_practice_keeps_records_for_longer_and_for_shorter_only_with_a_reason(
    profile, years, reason, field
):
    change, none = RetentionChange(profile, years, reason), RetentionChange(None, {}, "")
    if field is None:
        check_retention(change, none)
        return
    with pytest.raises(Invalid) as refused:
        check_retention(change, none)
    assert refused.value.fields.keys() == {field}


@pytest.mark.parametrize(
    ("before", "change", "needs_reason"),
    [
        (("uk", {}), ("us", {}), True),
        (("us", {}), ("uk", {}), False),
        (("us", {"client": 30}), ("us", {"client": 20}), True),
        (("us", {}), (None, {}), False),
        (("us", {"client": 25}), ("uk", {}), True),
        (("us", {"client": 20, "minor": 7}), ("uk", {}), False),
    ],
)
def test_records_are_kept_for_less_time_than_before_only_with_a_reason_of_its_own(
    before, change, needs_reason
):
    earlier = RetentionChange(before[0], before[1], "Our state asks for it.")
    for reason in ("", earlier.reason):
        if not needs_reason:
            check_retention(RetentionChange(change[0], change[1], reason), earlier)
            continue
        with pytest.raises(Invalid) as refused:
            check_retention(RetentionChange(change[0], change[1], reason), earlier)
        assert refused.value.fields.keys() == {"reason"}
    check_retention(
        RetentionChange(change[0], change[1], "We have moved to another state."), earlier
    )
