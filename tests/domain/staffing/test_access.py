"""Why somebody may or may not open a case: the rule, and that it says what the one rule of visibility does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from caseapp.core.actor import operator
from caseapp.core.errors import Forbidden, NotFound
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import get_case_context_by_number
from caseapp.domain.clients.codes import ALERTED, COACH, COVER, READER, SECOND_PERSON
from caseapp.domain.clients.models import ENDLESS
from caseapp.domain.staffing.access import explain_access
from caseapp.domain.staffing.access_rules import AccessFacts, Membership, list_grounds, may_open
from tests.support import builders

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
BEFORE, AFTER = NOON - timedelta(days=9), NOON + timedelta(days=9)
THEY, COACHED, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)


def membership(user_id, role=COACH, ends_at=ENDLESS, *, supervisor_id=None, starts_at=BEFORE):
    return Membership(user_id, "Marta Lindqvist", supervisor_id, role, starts_at, ends_at)


@pytest.mark.parametrize(
    ("role", "disabled_at", "members", "codes", "opens"),
    [
        ("coach", None, [membership(THEY)], ["coach"], True),
        ("coach", None, [membership(THEY, ends_at=AFTER)], ["coach"], True),
        ("coach", None, [membership(THEY, ends_at=NOON)], ["not_now", "no_membership"], False),
        ("coach", None, [membership(THEY, starts_at=AFTER)], ["not_now", "no_membership"], False),
        ("coach", None, [membership(OTHER)], ["no_membership"], False),
        ("coach", None, [membership(THEY, ALERTED)], ["alert", "no_membership"], False),
        ("coach", None, [membership(COACHED, supervisor_id=THEY)], ["no_membership"], False),
        ("supervisor", None, [membership(COACHED, supervisor_id=THEY)], ["supervisor"], True),
        (
            "supervisor",
            None,
            [membership(COACHED, ends_at=NOON, supervisor_id=THEY)],
            ["not_now", "no_membership"],
            False,
        ),
        ("supervisor", None, [membership(COACHED, supervisor_id=OTHER)], ["no_membership"], False),
        (
            "supervisor",
            None,
            [membership(THEY, SECOND_PERSON)],
            ["release", "no_membership"],
            False,
        ),
        ("supervisor", None, [membership(THEY, COVER, AFTER)], ["cover"], True),
        ("coach", None, [membership(THEY, COVER, NOON)], ["not_now", "no_membership"], False),
        (
            "supervisor",
            None,
            [membership(COACHED, COVER, AFTER, supervisor_id=THEY)],
            ["no_membership"],
            False,
        ),
        ("coach", None, [membership(THEY, READER, AFTER)], ["reader"], True),
        ("coach", None, [membership(THEY, READER, NOON)], ["not_now", "no_membership"], False),
        ("admin", None, [membership(THEY)], ["admin", "coach"], False),
        ("coach", BEFORE, [membership(THEY)], ["disabled", "coach"], False),
        ("coach", None, [], ["no_membership"], False),
    ],
)
def test_grounds_for_and_against(role, disabled_at, members, codes, opens):
    facts = AccessFacts(THEY, role, disabled_at, is_denied=False, memberships=tuple(members))
    grounds = list_grounds(facts, NOON)
    assert [ground.code for ground in grounds] == codes
    assert may_open(grounds) == opens


def test_whoever_must_not_see_the_client_opens_nothing():
    facts = AccessFacts(THEY, "coach", None, is_denied=True, memberships=(membership(THEY),))
    grounds = list_grounds(facts, NOON)
    assert [ground.code for ground in grounds] == ["denied", "coach"]
    assert not may_open(grounds)


def sees(actor, number):
    try:
        get_case_context_by_number(actor, number)
    except (Forbidden, NotFound):
        return False
    return True


@pytest.mark.both
def test_explanation_says_what_the_rule_of_visibility_does(team):
    made = builders.case(team["coach"], "Ines Okafor")
    for who, actor in team.items():
        with transaction():
            grounds = explain_access(operator(), f"{who}@practice.test", made.number.lower())
        assert may_open(grounds) == sees(actor, made.number)
        assert not any("Ines" in ground.text for ground in grounds)
    for email, number in (("x@practice.test", made.number), ("coach@practice.test", "C-1")):
        with pytest.raises(NotFound), transaction():
            explain_access(operator(), email, number)
    with pytest.raises(Forbidden), transaction():
        explain_access(team["supervisor"], "coach@practice.test", made.number)
