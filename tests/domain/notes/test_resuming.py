from datetime import UTC, datetime
from uuid import uuid4

import pytest

from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.notes.operations import create_note
from caseapp.domain.notes.queries import LockedCaseForNote, lock_case_for_note
from caseapp.domain.notes.rules import check_new_note
from caseapp.domain.notes.schemas import NewNote
from caseapp.domain.notes.unsigned import list_case_drafts
from tests.support import builders

BEGAN = datetime(2026, 11, 20, 10, tzinfo=UTC)
NEW = NewNote("dap", BEGAN, 50, "video")
ANOTHER = NewNote("dap", BEGAN, 50, "video", another=True)


@pytest.mark.parametrize(
    ("status", "has_draft", "new", "refused"),
    [
        ("open", False, NEW, None),
        ("open", False, ANOTHER, None),
        ("open", True, NEW, "draft_stands"),
        ("open", True, ANOTHER, None),
        ("closed", True, ANOTHER, "case_closed"),
    ],
)
def test_second_draft_has_to_be_another_note(status, has_draft, new, refused):
    case = LockedCaseForNote(uuid4(), "C-0001", status, uuid4(), "Ruth", None, has_draft)
    if refused is None:
        check_new_note(case, new)
        return
    with pytest.raises(RuleBroken) as caught:
        check_new_note(case, new)
    assert [reason.code for reason in caught.value.reasons] == [refused]


@pytest.mark.both
def test_only_an_own_unsigned_draft_of_the_case_stands_in_the_way(team):
    coach, supervisor = team["coach"], team["supervisor"]
    case, other = builders.case(coach), builders.case(coach)

    def start(actor, new=NEW):
        with transaction():
            return create_note(actor, lock_case_for_note(actor, case.case_id), new).id

    builders.note(coach, case.case_id)
    builders.draft(coach, other.case_id)
    builders.draft(supervisor, case.case_id)
    first = start(coach)
    with pytest.raises(RuleBroken):
        start(coach)
    second = start(coach, ANOTHER)
    assert {draft.id for draft in list_case_drafts(coach, case.case_id)} == {first, second}
