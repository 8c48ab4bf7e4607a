from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from caseapp.core.errors import Invalid
from caseapp.domain.erasure.codes import HOLDING, REFUSALS
from caseapp.domain.legal_holds.codes import KINDS, LIFT_REASONS, MAX_REVIEW_DAYS
from caseapp.domain.legal_holds.rules import (
    is_kept_from_repeating,
    list_lift_faults,
    require_review_day,
)

ONE, OTHER = UUID(int=1), UUID(int=2)
TODAY = date(2028, 2, 29)
ERASED_AT = datetime(2028, 2, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "is_right"), [(-1, False), (0, False), (1, True), (366, True), (367, False)]
)
def test_review_is_after_today_and_a_year_away_at_most(days, is_right):
    day = TODAY + timedelta(days=days)
    if is_right:
        require_review_day(day, TODAY)
        return
    with pytest.raises(Invalid) as refused:
        require_review_day(day, TODAY)
    assert refused.value.fields.keys() == {"review_on"}
    assert MAX_REVIEW_DAYS == 366


def test_another_person_lifts_a_hold_than_placed_it_or_coaches_the_client_and_only_once():
    for given, coaches, code in (
        ((None, ONE, OTHER), False, []),
        ((None, ONE, ONE), False, ["same_person"]),
        ((None, ONE, OTHER), True, ["own_client"]),
        ((ERASED_AT, ONE, OTHER), True, ["legal_hold_lifted"]),
    ):
        assert [one.code for one in list_lift_faults(*given, coaches=coaches)] == code


@pytest.mark.parametrize(("seconds", "is_kept"), [(-1, False), (0.9, False), (1, True), (60, True)])
def test_only_a_hold_placed_after_the_erasure_keeps_it_from_being_repeated(seconds, is_kept):
    placed_at = ERASED_AT + timedelta(seconds=seconds)
    assert is_kept_from_repeating(placed_at, ERASED_AT) == is_kept


def test_refusal_for_the_law_or_a_claim_places_a_hold():
    assert HOLDING.keys() == {"law", "claim"} <= REFUSALS.keys()
    assert {*HOLDING.values()} <= KINDS.keys()
    assert "erased" not in LIFT_REASONS
