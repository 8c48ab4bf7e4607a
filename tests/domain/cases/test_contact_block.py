"""The contact block lies on the client, whichever of their cases is open."""

from __future__ import annotations

import pytest

from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.cases.operations import clear_case_flag, close_case, open_case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseClosing, CaseDetails
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.screening.queries import list_flags
from tests.support import builders, staff

pytestmark = pytest.mark.both
NO_FACTS = CaseDetails({}, "undecided", None)
CLOSING = CaseClosing("other", "decision", "done", "", follow_up_consent=False, follow_up_on=None)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"order": "protects_spouse"}, "order_in_force"),
        ({"spouse_contact_wish": "asked_for_none"}, "no_contact_asked"),
    ],
)
@pytest.mark.parametrize("blocked", ["closed", "open"])
def test_block_of_one_case_is_cleared_through_neither(app, blocked, facts, code):
    cast = staff.team()
    coach, supervisor = cast["coach"], cast["supervisor"]
    with_facts = CaseDetails(facts, "undecided", None)
    first = builders.case(coach, facts=facts if blocked == "closed" else {})
    builders.screen(coach, first.client_id)
    with transaction():
        case = lock_case(coach, first.case_id)
        close_case(coach, case, CLOSING, case.case.version)
    with transaction():
        second = open_case(
            coach,
            lock_client(coach, first.client_id),
            with_facts if blocked == "open" else NO_FACTS,
            coach_id=coach.id,
        )
    (flag,) = list_flags(coach, first.client_id)
    for case_id in (first.case_id, second):
        with pytest.raises(RuleBroken) as refused, transaction():
            clear_case_flag(supervisor, lock_case(supervisor, case_id), flag.id, "It has ended.")
        assert [reason.code for reason in refused.value.reasons] == [code]
