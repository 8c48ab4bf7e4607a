from uuid import UUID

import pytest

from caseapp.domain.intakes.codes import MOST_WAITING
from caseapp.domain.intakes.rules import list_asking_blockers, may_see_intake

SISTER, OTHER = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("found", "denied", "of_supervisor", "sees"),
    [
        # The coach's own supervisor.
        ([], [], None, True),
        ([SISTER], [], None, True),
        ([SISTER], [OTHER], None, True),
        ([SISTER], [SISTER], None, False),
        ([SISTER, OTHER], [SISTER], None, False),
        # Another supervisor: only where the coach's own one must not see it.
        ([SISTER], [], [], False),
        ([SISTER], [], [OTHER], False),
        ([SISTER], [], [SISTER], True),
        ([SISTER, OTHER], [OTHER], [SISTER], False),
        ([SISTER], [SISTER], [SISTER], False),
        ([], [], [SISTER], False),
    ],
)
def test_intake_is_seen_by_whoever_may_see_all_that_it_fits(found, denied, of_supervisor, sees):
    assert may_see_intake(found, denied=denied, denied_to_supervisor=of_supervisor) is sees


@pytest.mark.parametrize(
    ("has_supervisor", "waiting", "codes"),
    [
        (True, MOST_WAITING - 1, []),
        (False, 0, ["no_supervisor"]),
        (True, MOST_WAITING, ["too_many_waiting"]),
        (False, MOST_WAITING, ["no_supervisor", "too_many_waiting"]),
    ],
)
def test_asking_needs_a_supervisor_and_is_limited(has_supervisor, waiting, codes):
    blockers = list_asking_blockers(has_supervisor=has_supervisor, waiting=waiting)
    assert [one.code for one in blockers] == codes
