"""When a follow-up can be completed, without a database."""

from __future__ import annotations

import pytest

from caseapp.core.errors import RuleBroken
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import LockedFollowUp
from caseapp.domain.followups.rules import check_complete, list_completion_blockers
from tests.support.contexts import KEY, NOW, complete


def test_follow_up_is_completed_once():
    task = FollowUp(kind="recheck", completed_at=None)
    assert list_completion_blockers(task) == []
    check_complete(LockedFollowUp(task, KEY))
    task.completed_at = NOW
    with pytest.raises(RuleBroken) as refused:
        check_complete(LockedFollowUp(task, KEY))
    assert [*refused.value.reasons] == list_completion_blockers(task)
    assert complete(refused.value.reasons)
