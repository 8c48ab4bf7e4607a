"""Bringing the plan of the last signed note forward into a draft."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.notes.operations import add_addendum
from caseapp.domain.notes.plan_operations import bring_plan_forward
from caseapp.domain.notes.plan_rules import bring_forward, list_plan_blockers
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import Addendum, NoteRecord
from caseapp.domain.notes.schemas import NewAddendum
from tests.support import builders

BEGAN = datetime(2026, 11, 20, 10, tzinfo=UTC)
ID = UUID(int=1)


def note(kind="dap", plan="Keep the log.", **more):
    return NoteRecord(
        id=ID,
        case_id=ID,
        client_id=ID,
        author_id=ID,
        format=kind,
        session_at=BEGAN,
        minutes=50,
        modality="video",
        status="draft",
        sections={"plan": plan},
        screening_id=None,
        updated_at=BEGAN,
        signed_at=None,
        sha256=None,
        actual_session_at=BEGAN,
        actual_minutes=50,
        in_error=False,
        version=1,
        **more,
    )


def addendum(kind, text, minutes=None):
    return Addendum(
        ID, ID, ID, 1, kind, BEGAN, ID, "coach", "Europe/London", text, "", None, minutes
    )


def test_plan_stands_below_with_its_day_and_what_addenda_say():
    added = (addendum("correction", "", 40), addendum("correction", "On Tuesday."))
    found = bring_forward("Mine.", note(addenda=added), datetime.date)
    assert found == (
        "Mine.\n\nBrought forward from the plan of 20 November 2026:\nKeep the log.\n\n"
        "Correction of 20 November 2026 to that note:\nOn Tuesday."
    )
    assert bring_forward(found, note(addenda=added), datetime.date) == found
    first = bring_forward("Mine.", note(), datetime.date)
    assert bring_forward(first, note(addenda=added), datetime.date) == found
    assert bring_forward("", note(), datetime.date).startswith("Brought forward")


@pytest.mark.parametrize(
    ("kind", "previous", "code"),
    [
        ("free", note(), "no_plan_section"),
        ("soap", None, "no_plan"),
        ("soap", note(is_as_signed=False), "note_altered"),
        ("soap", note(), None),
    ],
)
def test_plan_is_brought_only_where_there_is_one(kind, previous, code):
    found = list_plan_blockers(note(kind), previous)
    assert [reason.code for reason in found] == ([code] if code else [])


@pytest.mark.both
def test_last_plan_comes_from_before_the_session_and_not_from_a_note_in_error(team):
    coach = team["coach"]
    case = builders.case(coach)
    builders.note(coach, case.case_id, builders.SECTIONS | {"plan": "Older."}, days_ago=9)
    wrong = builders.note(coach, case.case_id, builders.SECTIONS | {"plan": "Wrong."}, days_ago=2)
    draft = builders.draft(coach, case.case_id, days_ago=1)
    builders.note(coach, case.case_id, builders.SECTIONS | {"plan": "Later."})

    def bring(version):
        with transaction():
            return bring_plan_forward(coach, lock_note(coach, draft), version)

    with transaction():
        error = NewAddendum("in_error", reason="Written for somebody else.")
        add_addendum(coach, lock_note(coach, wrong), error)
    assert bring(1) == bring(2) == 2
    plan = get_note(coach, draft).sections["plan"]
    assert plan.startswith("Keep the log.\n\nBrought forward")
    assert plan.endswith("\nOlder.")
    signed = builders.note(coach, case.case_id, days_ago=0)
    with pytest.raises(RuleBroken) as caught, transaction():
        bring_plan_forward(coach, lock_note(coach, signed), 2)
    assert caught.value.reasons[0].code == "note_signed"
