from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.operations import close_case
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.cases.schemas import CaseClosing
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.operations import (
    create_note,
    discard_draft,
    record_draft_screening,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.queries import get_note, lock_case_for_note, lock_note
from caseapp.domain.notes.records import NO_ANSWERS, DraftScreening
from caseapp.domain.notes.rules import missing_for_signature, note_digest
from caseapp.domain.notes.schemas import MAX_NOTE_LENGTH, DraftChange, NewNote
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import get_screening
from tests.support import builders

NONE = {item.key: 0 for item in ITEMS}


def codes(caught):
    return [reason.code for reason in caught.value.reasons]


def save(actor, note_id, version, **change):
    with transaction():
        return save_draft(actor, lock_note(actor, note_id), DraftChange(**change), version)


def answers(**levels):
    return DraftScreening({**NONE, **levels})


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach)


def test_save_draft_stores_changes(coach, case):
    note_id = builders.draft(coach, case.case_id)
    version = save(
        coach, note_id, 1, sections={"plan": "Ring on Tuesday."}, modality="phone", minutes=20
    )
    note = get_note(coach, note_id)
    assert version == note.version == 2
    assert note.sections == builders.SECTIONS | {"plan": "Ring on Tuesday."}
    assert (note.modality, note.minutes, note.status) == ("phone", 20, "draft")


def test_save_draft_keeps_omitted_fields_and_clears_zero_minutes(coach, case):
    note_id = builders.draft(coach, case.case_id)
    save(coach, note_id, 1, minutes=0)
    note = get_note(coach, note_id)
    assert note.minutes is None
    assert note.sections == builders.SECTIONS


def test_draft_of_another_author_is_not_found(team, case):
    note_id = builders.draft(team["coach"], case.case_id)
    for other in (team["supervisor"], team["coach2"]):
        with pytest.raises(NotFound):
            get_note(other, note_id)
        with pytest.raises(NotFound):
            save(other, note_id, 1, sections={"plan": "x"})
        with pytest.raises(NotFound), transaction():
            sign_note(other, lock_note(other, note_id), 1)
        with pytest.raises(NotFound), transaction():
            discard_draft(other, lock_note(other, note_id), 1)


def test_signed_note_is_visible_to_the_care_team_only(team, case):
    note_id = builders.note(team["coach"], case.case_id)
    assert get_note(team["supervisor"], note_id).sections == builders.SECTIONS
    with pytest.raises(NotFound):
        get_note(team["coach2"], note_id)
    for nobody in (team["admin"], operator()):
        with pytest.raises(Forbidden):
            get_note(nobody, note_id)


def test_create_note_in_a_foreign_or_closed_case_is_refused(team, case):
    new = NewNote("dap", now(), 50, "video")
    with pytest.raises(NotFound), transaction():
        create_note(team["coach2"], lock_case_for_note(team["coach2"], case.case_id), new)
    builders.screen(team["coach"], case.client_id)
    with transaction():
        version = get_case_context(team["coach"], case.case_id).case.version
        closing = CaseClosing(
            "separated", "decision", "done", "", follow_up_consent=False, follow_up_on=None
        )
        close_case(team["coach"], lock_case(team["coach"], case.case_id), closing, version)
    with pytest.raises(RuleBroken) as caught, transaction():
        create_note(team["coach"], lock_case_for_note(team["coach"], case.case_id), new)
    assert codes(caught) == ["case_closed"]


def test_save_draft_with_an_old_version_is_stale(coach, case):
    note_id = builders.draft(coach, case.case_id)
    save(coach, note_id, 1, sections={"plan": "The newer plan."})
    with pytest.raises(Stale):
        save(coach, note_id, 1, sections={"plan": "The older plan."})
    with pytest.raises(Stale):
        save(coach, note_id, 9, sections={"plan": "From nowhere."})
    assert get_note(coach, note_id).sections["plan"] == "The newer plan."


def test_repeated_save_changes_nothing_at_any_version(coach, case):
    note_id = builders.draft(coach, case.case_id)
    save(coach, note_id, 1, sections={"plan": "Ring."})
    before = db.session.scalar(sa.select(sa.func.count()).select_from(AuditEvent))
    assert save(coach, note_id, 1, sections={"plan": "Ring."}) == 2
    assert db.session.scalar(sa.select(sa.func.count()).select_from(AuditEvent)) == before


def test_format_change_keeps_all_text(coach, case):
    note_id = builders.draft(coach, case.case_id)
    save(coach, note_id, 1, format="soap")
    empty = {"subjective": "", "objective": ""}
    assert get_note(coach, note_id).sections == builders.SECTIONS | empty
    save(coach, note_id, 2, format="free", sections={"plan": "Walk.", "objective": "Looks tired."})
    save(coach, note_id, 3, format="dap")
    expected = builders.SECTIONS | {"plan": "Walk.", "objective": "Looks tired."}
    assert get_note(coach, note_id).sections == expected
    save(coach, note_id, 4, format="free", gather=True)
    [text] = get_note(coach, note_id).sections.values()
    assert text == (
        "Data: Slept six hours.\n\nAssessment: More rested.\n\nPlan: Walk.\n\nObjective: Looks tired."
    )


def test_signing_puts_the_texts_of_another_format_at_the_top_of_the_first_section(coach, case):
    note_id = builders.draft(coach, case.case_id)
    objective = {"objective": "Looks tired."}
    save(coach, note_id, 1, format="soap")
    assert missing_for_signature(get_note(coach, note_id), now(), today()).keys() == {"objective"}
    save(coach, note_id, 2, sections=objective)
    with transaction():
        sign_note(coach, lock_note(coach, note_id), 3)
    note = get_note(coach, note_id)
    assert note.sections == {
        "subjective": "Data: Slept six hours.",
        "objective": "Looks tired.",
        "assessment": "More rested.",
        "plan": "Keep the log.",
    }
    assert note.is_as_signed


def test_section_of_another_format_is_invalid(coach, case):
    note_id = builders.draft(coach, case.case_id)
    with pytest.raises(Invalid) as caught:
        save(coach, note_id, 1, sections={"objective": "Looks tired."})
    assert "sections" in caught.value.fields


def test_draft_over_the_length_limit_is_invalid(coach, case):
    note_id = builders.draft(coach, case.case_id, {"data": "a", "assessment": "b", "plan": "c"})
    save(coach, note_id, 1, sections={"data": "x" * (MAX_NOTE_LENGTH - 2)})
    with pytest.raises(Invalid) as caught:
        save(coach, note_id, 2, sections={"plan": "yy"})
    assert "data" in caught.value.fields
    assert get_note(coach, note_id).sections["plan"] == "c"


def test_length_limit_is_reported_at_a_section_of_the_page_and_says_what_is_in_another_format(
    coach, case
):
    note_id = builders.draft(coach, case.case_id, {"data": "x" * (MAX_NOTE_LENGTH - 1)})
    save(coach, note_id, 1, format="free")
    for sections, change in (({"text": "yy"}, {}), ({"text": "yy"}, {"format": "dap"})):
        with pytest.raises(Invalid) as caught:
            save(coach, note_id, 2, sections=sections, **change)
        [message] = caught.value.fields["text"]
        assert "this one has 100,001: " in message
        assert "99,999 in Data" in message


def test_unrecorded_levels_do_not_change_the_safety_state(coach, case):
    builders.draft(coach, case.case_id, levels={"sleep": 2, "self_harm": 1})
    safety = get_safety_state(case.client_id)
    assert (safety.hold, safety.answers, safety.flags) == (None, {}, frozenset())


def test_draft_stores_its_highest_unrecorded_level(coach, case):
    note_id = builders.draft(coach, case.case_id, levels={"sleep": 1, "eating": 2})
    assert get_note(coach, note_id).unrecorded_level == 2
    save(coach, note_id, 2, screening=DraftScreening({"sleep": 1}))
    assert get_note(coach, note_id).unrecorded_level == 1
    save(coach, note_id, 3, screening=DraftScreening({"sleep": None}))
    assert get_note(coach, note_id).unrecorded_level is None
    assert get_note(coach, note_id).draft.answers == {"sleep": None}


def test_record_draft_screening_opens_the_hold_and_clears_the_answers(coach, case):
    note_id = builders.draft(
        coach,
        case.case_id,
        levels={"eating": 2, "sleep": 1},
        asked_alone=True,
        actions_taken=("gave_numbers",),
        comment="Asked in the car.",
    )
    with transaction():
        screening_id = record_draft_screening(coach, lock_note(coach, note_id), 2)
    note = get_note(coach, note_id)
    assert (note.screening_id, note.unrecorded_level, note.draft) == (
        screening_id,
        None,
        NO_ANSWERS,
    )
    assert note.status == "draft"
    found = get_screening(coach, screening_id)
    assert found.levels == dict.fromkeys(NONE) | {"eating": 2, "sleep": 1}
    assert (found.asked_alone, found.actions_taken) == (True, ["gave_numbers"])
    assert found.comment == "Asked in the car."
    assert get_safety_state(case.client_id).hold == "care"


def test_record_draft_screening_without_answers_is_invalid(coach, case):
    for levels in (None, dict.fromkeys(NONE)):
        note_id = builders.draft(coach, case.case_id, levels=levels)
        with pytest.raises(Invalid), transaction():
            record_draft_screening(coach, lock_note(coach, note_id), 1 if levels is None else 2)
    assert get_safety_state(case.client_id).answers == {}


def test_record_draft_screening_twice_makes_one_screening(coach, case):
    note_id = builders.draft(coach, case.case_id, levels=NONE)
    with transaction():
        record_draft_screening(coach, lock_note(coach, note_id), 2)
    with pytest.raises((Stale, Invalid)), transaction():
        record_draft_screening(coach, lock_note(coach, note_id), 2)


def test_signed_note_refuses_every_change(coach, case):
    note_id = builders.note(coach, case.case_id)
    note = get_note(coach, note_id)
    assert note.status == "signed"
    assert note.sha256 == note_digest(note)
    for change in (
        lambda: save_draft(
            coach, lock_note(coach, note_id), DraftChange(sections={"plan": "x"}), note.version
        ),
        lambda: sign_note(coach, lock_note(coach, note_id), note.version),
        lambda: record_draft_screening(coach, lock_note(coach, note_id), note.version),
        lambda: discard_draft(coach, lock_note(coach, note_id), note.version),
    ):
        with pytest.raises(RuleBroken) as caught, transaction():
            change()
        assert codes(caught) == ["note_signed"]
    assert get_note(coach, note_id) == note


@pytest.mark.parametrize("statement", ["update", "delete"])
def test_database_refuses_changes_of_a_signed_note(coach, case, statement):
    note_id = builders.note(coach, case.case_id)
    change = (
        sa.update(Note).where(Note.id == note_id).values(modality="phone")
        if statement == "update"
        else sa.delete(Note).where(Note.id == note_id)
    )
    with pytest.raises(sa.exc.DBAPIError), transaction():
        db.session.execute(change)


def test_digest_differs_after_a_text_change(coach, case):
    from dataclasses import replace

    note = get_note(coach, builders.note(coach, case.case_id))
    changed = replace(note, sections=note.sections | {"plan": "Keep the log!"})
    assert note_digest(changed) != note.sha256


def test_sign_note_with_an_empty_section_is_invalid(coach, case):
    note_id = builders.draft(coach, case.case_id, {"data": "Slept.", "assessment": " ", "plan": ""})
    with pytest.raises(Invalid) as caught, transaction():
        sign_note(coach, lock_note(coach, note_id), 1)
    assert set(caught.value.fields) == {"assessment", "plan"}
    assert get_note(coach, note_id).status == "draft"


def test_sign_note_without_a_screening_succeeds(coach, case):
    note = get_note(coach, builders.note(coach, case.case_id))
    assert note.screening_id is None
    assert get_safety_state(case.client_id).answers == {}


def test_sign_note_with_a_blank_question_is_invalid(coach, case):
    levels = NONE | {"substances": None}
    blank = {key: level for key, level in levels.items() if key not in {"fear_at_home", "work"}}
    note_id = builders.draft(coach, case.case_id, levels=blank)
    with pytest.raises(Invalid) as caught, transaction():
        sign_note(coach, lock_note(coach, note_id), 2)
    assert set(caught.value.fields) == {"fear_at_home", "work"}
    save(coach, note_id, 2, screening=DraftScreening(levels))
    with transaction():
        sign_note(coach, lock_note(coach, note_id), 3)
    note = get_note(coach, note_id)
    assert get_screening(coach, note.screening_id).levels == levels


def test_sign_note_records_its_screening_and_opens_the_hold(coach, case):
    note_id = builders.note(coach, case.case_id, levels=NONE | {"self_harm": 3})
    note = get_note(coach, note_id)
    assert get_screening(coach, note.screening_id).levels["self_harm"] == 3
    assert (note.unrecorded_level, note.draft) == (None, NO_ANSWERS)
    assert get_safety_state(case.client_id).hold == "safety"


def test_failed_signature_opens_no_hold(coach, case):
    note_id = builders.draft(coach, case.case_id, levels=NONE | {"sleep": 2})
    with pytest.raises(Stale), transaction():
        sign_note(coach, lock_note(coach, note_id), 1)
    safety = get_safety_state(case.client_id)
    assert (safety.hold, safety.answers) == (None, {})
    assert get_note(coach, note_id).unrecorded_level == 2


def test_sign_note_with_a_comment_but_no_answers_is_invalid(coach, case):
    quiet = builders.note(coach, case.case_id, levels=dict.fromkeys(NONE))
    assert get_note(coach, quiet).screening_id is None
    note_id = builders.draft(
        coach, case.case_id, levels=dict.fromkeys(NONE), comment="He was in the room."
    )
    with pytest.raises(Invalid) as caught, transaction():
        sign_note(coach, lock_note(coach, note_id), 2)
    assert set(caught.value.fields) == {"comment"}


def test_sign_note_of_a_future_session_is_invalid(coach, case):
    note_id = builders.draft(coach, case.case_id)
    save(coach, note_id, 1, session_at=now() + timedelta(hours=2))
    with pytest.raises(Invalid) as caught, transaction():
        sign_note(coach, lock_note(coach, note_id), 2)
    assert set(caught.value.fields) == {"session_at"}
    with at(now() + timedelta(hours=3)), transaction():
        sign_note(coach, lock_note(coach, note_id), 2)


def test_discarded_draft_leaves_its_screening(coach, case):
    note_id = builders.draft(coach, case.case_id, levels=NONE)
    with transaction():
        screening_id = record_draft_screening(coach, lock_note(coach, note_id), 2)
    with transaction():
        discard_draft(coach, lock_note(coach, note_id), 3)
    with pytest.raises(NotFound):
        get_note(coach, note_id)
    assert get_screening(coach, screening_id).levels == NONE


def test_discard_draft_with_an_unrecorded_concern_is_refused(coach, case):
    note_id = builders.draft(coach, case.case_id, levels={"eating": 2})
    with pytest.raises(RuleBroken) as caught, transaction():
        discard_draft(coach, lock_note(coach, note_id), 2)
    assert codes(caught) == ["unrecorded_concern"]
    save(coach, note_id, 2, screening=answers(eating=1))
    with transaction():
        discard_draft(coach, lock_note(coach, note_id), 3)


def test_discard_draft_with_an_old_version_is_stale(coach, case):
    note_id = builders.draft(coach, case.case_id)
    save(coach, note_id, 1, sections={"plan": "Newer."})
    with pytest.raises(Stale), transaction():
        discard_draft(coach, lock_note(coach, note_id), 1)
    assert get_note(coach, note_id).sections["plan"] == "Newer."


def test_note_text_is_not_in_clear_in_the_database_or_audit_log(coach, case):
    word = "marmalade"
    note_id = builders.draft(
        coach, case.case_id, builders.SECTIONS | {"data": word}, levels={"sleep": 2}, comment=word
    )
    row = db.session.execute(
        sa.select(Note.sections, Note.draft_screening).where(Note.id == note_id)
    ).one()
    assert all(word.encode() not in sealed for sealed in row)
    entries = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.object_id == note_id)).all()
    assert {entry.action for entry in entries} == {"note.write"}
    assert all(word not in str(entry.details) for entry in entries)
