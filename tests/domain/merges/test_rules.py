"""What keeps two records apart, and that the stricter state of the two always counts after a merge."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.merges.rules import (
    MergedRecord,
    MergeFacts,
    list_lost_plans,
    list_lost_safety,
    list_merge_blockers,
)
from caseapp.domain.screening.protocol import CIRCUMSTANCES, FEAR_AT_HOME, FLAG_LABELS, Level
from caseapp.domain.screening.records import Answer, Raised
from caseapp.domain.screening.state import DerivedState
from tests.support import contexts

GONE, STAYS, COACH, OTHER = (UUID(int=number) for number in range(1, 5))
NOW = contexts.NOW
EARLIER = NOW - timedelta(days=30)
KIND, CIRCUMSTANCE = next(iter(FLAG_LABELS)), next(iter(CIRCUMSTANCES))

MAY = date(2026, 5, 1)
BOTH_WITHDRAWN = {
    "gone": {"consent_withdrawn_on": MAY},
    "stays": {"details": {"consent_withdrawn_on": MAY}},
}
SAFE = SafeContact(("email",), times="evenings", code_word="Tulip", warning="none known")


def person(client_id, **changed):
    return replace(contexts.client(), id=client_id, **changed)


def facts(
    gone=None,
    stays=None,
    reasons=("same_name",),
    is_decided=False,  # noqa: FBT002 - as in the record
    withdrawn_on=None,
    **of_gone,
):
    stays = dict(stays or {})
    details = stays.pop("details", {})
    plain: dict[str, Any] = {
        "safety": DerivedState(),
        "coaches": frozenset({COACH}),
        "denied": frozenset(),
        "is_responsible": True,
        "has_open_case": True,
        "has_emergency": False,
        "has_erasure": False,
        "has_legal_hold": False,
        "has_draft": False,
        "has_waiting_handout": False,
        "has_private_writing": False,
        "has_undecided": False,
        "plan_at": None,
    }
    one = MergedRecord(person(GONE, **(gone or {})), **plain | {"has_open_case": False} | of_gone)
    other = MergedRecord(person(STAYS, **details), **plain | stays)
    return MergeFacts(
        one, other, frozenset(reasons), is_decided=is_decided, withdrawn_on=withdrawn_on
    )


def codes(found):
    return [reason.code for reason in found]


def safe(*channels, **more):
    return {"safe": SafeContact(channels, **more)}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"reasons": ("same_contact", "has_similar_partner")}, ["merge_couple"]),
        ({"reasons": ()}, ["merge_not_alike"]),
        ({"reasons": ("same_contact",)}, ["merge_only_contact"]),
        ({"reasons": ("same_contact", "similar_name")}, []),
        ({"is_decided": True}, ["merge_decided_conflict"]),
        (
            {"gone": {"birth_year": 1951}, "stays": {"details": {"birth_year": 1984}}},
            ["merge_other_birth_year"],
        ),
        ({"gone": {"birth_year": 1951}, "stays": {"details": {"birth_year": None}}}, []),
        ({"is_responsible": False}, ["only_covers"]),
        ({"has_open_case": True}, ["merge_two_open_cases"]),
        ({"has_open_case": True, "stays": {"has_open_case": False}}, []),
        ({"coaches": frozenset({COACH, OTHER})}, ["merge_other_coach"]),
        ({"coaches": frozenset()}, []),
        ({"denied": frozenset({OTHER})}, ["merge_access_denied"]),
        ({"stays": {"denied": frozenset({OTHER})}}, ["merge_access_denied"]),
        ({"has_emergency": True}, ["merge_emergency_access"]),
        ({"stays": {"has_emergency": True}}, ["merge_emergency_access"]),
        ({"has_erasure": True}, ["merge_erasure"]),
        ({"stays": {"has_erasure": True}}, ["merge_erasure"]),
        ({"has_undecided": True}, ["merge_undecided_conflict"]),
        ({"has_legal_hold": True}, ["merge_legal_hold"]),
        ({"stays": {"has_legal_hold": True}}, []),
        ({"has_draft": True}, ["merge_draft"]),
        ({"has_waiting_handout": True}, ["merge_waiting_handout"]),
        ({"has_private_writing": True}, ["merge_private_writing"]),
        ({"stays": {"has_private_writing": True, "has_draft": True}}, []),
        ({"gone": {"partner_name": "Tom Vale"}}, ["merge_other_partner"]),
        ({"gone": {"consent_withdrawn_on": MAY}}, ["merge_consent_withdrawn"]),
        ({"stays": {"details": {"consent_withdrawn_on": MAY}}}, ["merge_consent_withdrawn"]),
        (BOTH_WITHDRAWN | {"withdrawn_on": MAY}, []),
        (BOTH_WITHDRAWN | {"withdrawn_on": MAY + timedelta(1)}, ["merge_consent_withdrawn"]),
        (BOTH_WITHDRAWN, ["merge_consent_withdrawn"]),
        ({"gone": safe("call")}, ["merge_unsafe_channel"]),
        ({"gone": safe("call", "portal", "email")}, []),
        ({"gone": safe("call", "portal", warning="He reads it.")}, ["merge_safe_contact"]),
        *(
            ({"gone": {"safe": one}, "stays": {"details": {"safe": other}}}, found)
            for one, other, found in (
                (replace(SAFE, times="Never after 18:00"), SAFE, ["merge_safe_contact"]),
                (replace(SAFE, code_word="Robin"), SAFE, ["merge_safe_contact"]),
                (replace(SAFE, warning="He reads it."), SAFE, ["merge_safe_contact"]),
                (replace(SAFE, code_word=" tulip"), SAFE, []),
                (SafeContact(("email",)), SAFE, []),
            )
        ),
        ({"plan_at": NOW}, ["merge_safety_plan"]),
        ({"safety": DerivedState(circumstances={CIRCUMSTANCE: NOW})}, ["merge_loses_safety"]),
    ],
)
def test_records_are_merged_only_where_nothing_is_lost_and_nobody_is_let_in(changed, found):
    blockers = list_merge_blockers(facts(**changed), despite_decision=False)
    assert codes(blockers) == found


def test_somebody_else_s_decision_keeps_two_records_apart_until_it_is_known():
    assert list_merge_blockers(facts(is_decided=True), despite_decision=True) == []


def test_record_is_not_merged_into_itself():
    one = facts()
    blockers = list_merge_blockers(replace(one, stays=one.gone), despite_decision=False)
    assert codes(blockers) == ["merge_same_client"]


def test_newest_safety_plan_stays_findable():
    assert [
        bool(list_lost_plans(*times)) for times in ((None, None), (None, NOW), (EARLIER, NOW))
    ] == [False] * 3
    assert [bool(list_lost_plans(*times)) for times in ((NOW, None), (NOW, EARLIER))] == [True] * 2


def hold(kind="safety", allowed=""):
    found: Any = SimpleNamespace(kind=kind, allowed_handout=allowed)
    return found


def answer(level, at=EARLIER, alone=True):  # noqa: FBT002 - as in the record
    return Answer(level, at, alone, UUID(int=9), at)


def flag(kind):
    found: Any = SimpleNamespace(kind=kind)
    return found


def state(**changed):
    return DerivedState(**changed)


@pytest.mark.parametrize(
    ("gone", "stays", "is_lost"),
    [
        (state(), state(holds=(hold(),), flags=(flag(KIND),)), False),
        (state(holds=(hold(),)), state(), True),
        (state(holds=(hold(),)), state(holds=(hold("care"),)), True),
        (state(holds=(hold(),)), state(holds=(hold(),)), False),
        (state(holds=(hold("care"),)), state(holds=(hold("care", "better-nights"),)), True),
        (state(flags=(flag(KIND),)), state(), True),
        (state(flags=(flag(KIND),)), state(flags=(flag(KIND),)), False),
        (state(circumstances={CIRCUMSTANCE: NOW}), state(), True),
        (state(circumstances={CIRCUMSTANCE: NOW}), state(circumstances={CIRCUMSTANCE: NOW}), False),
        # An answer of none loses nothing; one at watch has to be as high, or asked again since.
        (state(answers={"sleep": answer(Level.NONE)}), state(), False),
        (state(answers={"sleep": answer(Level.WATCH)}), state(), True),
        (
            state(answers={"sleep": answer(Level.WATCH)}),
            state(answers={"sleep": answer(Level.CONCERN, EARLIER - timedelta(days=9))}),
            False,
        ),
        (
            state(answers={"sleep": answer(Level.CONCERN)}),
            state(answers={"sleep": answer(Level.NONE)}),
            True,
        ),
        (
            state(answers={"sleep": answer(Level.CONCERN)}),
            state(answers={"sleep": answer(Level.NONE, NOW, alone=False)}),
            False,
        ),
        (
            state(answers={FEAR_AT_HOME: answer(Level.CONCERN)}),
            state(answers={FEAR_AT_HOME: answer(Level.NONE, NOW, alone=False)}),
            True,
        ),
        # What has lasted for long isn't new afterwards.
        (
            state(raised={"sleep": Raised(EARLIER)}),
            state(raised={"sleep": Raised(NOW)}),
            True,
        ),
        (
            state(raised={"sleep": Raised(EARLIER)}),
            state(raised={"sleep": Raised(NOW, reported_since=EARLIER.date())}),
            False,
        ),
        (state(raised={"sleep": Raised(EARLIER)}), state(), False),
    ],
)
def test_stricter_state_counts_after_a_merge(gone, stays, is_lost):
    assert bool(list_lost_safety(gone, stays)) is is_lost
