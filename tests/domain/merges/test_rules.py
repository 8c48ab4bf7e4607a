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


def person(client_id, **changed):
    return replace(contexts.client(), id=client_id, **changed)


def facts(gone=None, stays=None, reasons=("same_name",), **of_gone):
    plain: dict[str, Any] = {
        "safety": DerivedState(),
        "coaches": frozenset({COACH}),
        "denied": frozenset(),
        "is_responsible": True,
        "has_open_case": True,
        "has_emergency": False,
        "has_erasure": False,
        "has_draft": False,
        "has_waiting_handout": False,
        "has_private_writing": False,
        "has_undecided": False,
        "plan_at": None,
    }
    one = MergedRecord(person(GONE, **(gone or {})), **plain | {"has_open_case": False} | of_gone)
    other = MergedRecord(person(STAYS), **plain | (stays or {}))
    return MergeFacts(one, other, frozenset(reasons))


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
        ({"has_draft": True}, ["merge_draft"]),
        ({"has_waiting_handout": True}, ["merge_waiting_handout"]),
        ({"has_private_writing": True}, ["merge_private_writing"]),
        ({"stays": {"has_private_writing": True, "has_draft": True}}, []),
        ({"gone": {"partner_name": "Tom Vale"}}, ["merge_other_partner"]),
        ({"gone": {"consent_withdrawn_on": date(2026, 5, 1)}}, ["merge_consent_withdrawn"]),
        ({"gone": safe("call")}, ["merge_unsafe_channel"]),
        ({"gone": safe("call", "portal", "email")}, []),
        ({"gone": safe("call", "portal", warning="He reads it.")}, ["merge_safe_contact"]),
        ({"plan_at": NOW}, ["merge_safety_plan"]),
        ({"safety": DerivedState(circumstances={CIRCUMSTANCE: NOW})}, ["merge_loses_safety"]),
    ],
)
def test_records_are_merged_only_where_nothing_is_lost_and_nobody_is_let_in(changed, found):
    assert codes(list_merge_blockers(facts(**changed))) == found


def test_record_is_not_merged_into_itself():
    one = facts()
    assert codes(list_merge_blockers(replace(one, stays=one.gone))) == ["merge_same_client"]


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
