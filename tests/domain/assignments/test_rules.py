"""What can be assigned, withdrawn, replaced and read, without a database."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.errors import RuleBroken
from caseapp.domain.assignments.queries import LockedAssignment
from caseapp.domain.assignments.rules import (
    WantedHandout,
    check_assign,
    check_assign_several,
    check_mark_own_read,
    check_mark_read,
    check_replace,
    check_withdraw,
    list_assignment_blockers,
    list_marking_blockers,
    list_reading_blockers,
    list_withdrawal_blockers,
)
from caseapp.domain.cases.queries import LockedCase
from caseapp.domain.handouts.library import CHANNELS, library
from caseapp.domain.handouts.queries import LibraryItem
from caseapp.domain.handouts.rules import HIDDEN, RECALLED
from caseapp.domain.practice.queries import HelpLines
from tests.support.contexts import NOW, complete, contexts

ITEMS = [LibraryItem(handout, UUID(int=1), NOW, None) for handout in library().values()]
wishes = st.builds(
    WantedHandout,
    item=st.sampled_from(ITEMS),
    channel=st.sampled_from(CHANNELS),
    already_assigned=st.booleans(),
    confirmed=st.booleans(),
)
NO_LINES = HelpLines((), None, stale=False)


class EveryLine(HelpLines):
    """Help lines of every kind."""

    def of_kinds(self, *kinds):
        """Return something for each kind."""
        return [*kinds]


help_lines = st.sampled_from([NO_LINES, EveryLine((), None, stale=False)])


def refused(check, *given):
    """Return the reasons with which a check refuses; empty when it lets pass."""
    try:
        check(*given)
    except RuleBroken as error:
        return [*error.reasons]
    return []


@pytest.mark.slow
@given(contexts(kind=LockedCase), wishes, help_lines)
def test_nothing_is_assigned_in_a_closed_case_or_against_a_reason(case, wanted, lines):
    found = list_assignment_blockers(case, wanted, lines)
    assert refused(check_assign, case, wanted, lines) == found
    assert complete(found)
    if not found:
        assert case.case.status == "open"
        assert not wanted.already_assigned
        assert case.safety.hold != "safety" or wanted.item.handout.hold_ok == "safety"
        assert case.safety.hold != "care" or wanted.item.handout.hold_ok != "none"


@pytest.mark.slow
@given(contexts(kind=LockedCase), st.lists(wishes, min_size=1, max_size=4), help_lines)
def test_several_are_assigned_only_when_no_caution_is_unread(case, wanted, lines):
    each = [(one, list_assignment_blockers(case, one, lines)) for one in wanted]
    eligible = [one.item for one, found in each if not found]
    unread = any(found and found[0].code == "confirmation_required" for _, found in each)
    if eligible and not unread:
        assert check_assign_several(case, wanted, lines) == eligible
        return
    with pytest.raises(RuleBroken) as error:
        check_assign_several(case, wanted, lines)
    assert complete(error.value.reasons)
    if case.case.status == "open":
        assert all(
            any(reason.message.startswith(one.item.handout.title) for one in wanted)
            for reason in error.value.reasons
        )


class Record(SimpleNamespace):
    """An assignment's record with only what its rules look at."""

    @property
    def state(self):
        """Name the state, as a record does."""
        recalled = any(reason.code == "recalled" for reason in self.blockers)
        return "recalled" if recalled and not self.withdrawn_at else "assigned"


RECORDS: list[Any] = [
    Record(channel=channel, withdrawn_at=withdrawn_at, blockers=blockers, handout=ITEMS[0].handout)
    for channel, withdrawn_at, blockers in product(
        CHANNELS, (None, NOW), ((), (RECALLED,), (HIDDEN,))
    )
]


@pytest.mark.parametrize("record", RECORDS)
def test_assignment_is_withdrawn_once_and_marked_by_whoever_reads_it(record):
    locked = LockedAssignment(None, record)
    gone = record.withdrawn_at is not None
    for check, listed, expected in (
        (check_withdraw, list_withdrawal_blockers, ["already_withdrawn"] if gone else []),
        (
            check_mark_read,
            list_marking_blockers,
            ["client_marks_it"]
            if record.channel == "portal"
            else ["already_withdrawn"]
            if gone
            else [],
        ),
        (
            check_mark_own_read,
            list_reading_blockers,
            ["not_available"] if gone or record.blockers else [],
        ),
    ):
        assert refused(check, locked) == listed(record)
        assert [reason.code for reason in listed(record)] == expected
        assert complete(listed(record))


def test_client_never_reads_why_a_handout_is_not_there():
    texts = {reason.message for record in RECORDS for reason in list_reading_blockers(record)}
    assert len(texts) == 1
    assert not any("hold" in text or "safe" in text or "withdrawn" in text for text in texts)


@pytest.mark.slow
@given(contexts(kind=LockedCase), wishes, help_lines, st.booleans())
def test_replacement_needs_a_newer_version_that_may_be_assigned(case, newest, lines, gone):
    older = replace(newest.item.handout, version=newest.item.handout.version - 1)
    for handout in (older, newest.item.handout):
        record: Any = Record(withdrawn_at=NOW if gone else None, handout=handout)
        reasons = refused(check_replace, LockedAssignment(None, record), case, newest, lines)
        assert complete(reasons)
        if gone:
            assert [reason.code for reason in reasons] == ["already_withdrawn"]
        elif handout is not older:
            assert [reason.code for reason in reasons] == ["already_newest"]
        else:
            assert reasons == list_assignment_blockers(case, newest, lines)
