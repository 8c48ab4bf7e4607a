from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups import operations
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.operations import (
    complete_followup,
    create_followup,
    create_required_followups,
)
from caseapp.domain.followups.queries import (
    get_followup_record,
    list_client_followups,
    list_followups,
    list_followups_by_due_date,
    lock_followup,
)
from caseapp.domain.followups.schemas import NewFollowUp, NewFollowUpSchema, NewResult, ResultSchema
from tests.domain.followups.steps import NOON, open_tasks
from tests.support import builders, followups
from tests.support.concurrency import run_concurrently
from tests.support.followups import result_for

pytestmark = pytest.mark.both


def add(actor, client_id, title="Ring the school", due=NOON):
    with transaction():
        return create_followup(actor, lock_client(actor, client_id), NewFollowUp(title, due))


def complete(actor, task, note="She is well.", version=1):
    new = NewResult("reached", method="call", note=note)
    with transaction():
        complete_followup(actor, lock_followup(actor, task), new, version)


def test_custom_task_is_created_and_completed(team, ines):
    task = add(team["coach"], ines)
    assert get_followup_record(team["coach"], task).title == "Ring the school"
    complete(team["coach"], task)
    found = get_followup_record(team["coach"], task)
    assert (found.result, found.method, found.note) == ("reached", "call", "She is well.")
    assert (found.completed_by, found.version) == (team["coach"].id, 2)
    assert found.occurred_at == found.completed_at
    assert found.completed_at is not None


def test_texts_are_sealed_and_not_in_audit_log(team, ines):
    complete(team["coach"], add(team["coach"], ines))
    stored = db.session.execute(sa.select(FollowUp.title, FollowUp.result, FollowUp.outcome)).one()
    assert b"school" not in stored.title
    assert b"reached" not in stored.result
    assert b"well" not in stored.outcome
    assert "school" not in str(db.session.execute(sa.select(AuditEvent.__table__)).all())


def test_completed_task_cannot_be_completed_again(team, ines):
    task = add(team["coach"], ines)
    complete(team["coach"], task)
    with pytest.raises(RuleBroken) as refused:
        complete(team["coach"], task, "Something else", 2)
    assert refused.value.reasons[0].code == "already_completed"
    db.session.rollback()
    assert get_followup_record(team["coach"], task).note == "She is well."


def test_concurrent_completions_leave_one_outcome(team, ines, app):
    task = add(team["coach"], ines)
    answers = run_concurrently(app, 4, lambda n: complete(team["coach"], task, f"writer {n}"))
    assert answers.count(None) == 1
    assert all(isinstance(one, (Stale, RuleBroken)) for one in answers if one is not None)
    db.session.rollback()
    assert get_followup_record(team["coach"], task).note == f"writer {answers.index(None)}"


def test_complete_with_old_version_is_stale(team, ines):
    with pytest.raises(Stale):
        complete(team["coach"], add(team["coach"], ines), version=7)


def test_task_of_other_coach_is_not_found(team, ines):
    task = add(team["coach"], ines)
    for wanted in (task, UUID(int=1)):
        for call in (
            lambda one: get_followup_record(team["coach2"], one),
            lambda one: complete(team["coach2"], one),
        ):
            with pytest.raises(NotFound, match="could not find"):
                call(wanted)
    with pytest.raises(NotFound):
        add(team["coach2"], ines)
    for attempt in (
        lambda: get_followup_record(team["admin"], task),
        lambda: add(team["admin"], ines),
        lambda: complete(team["admin"], task),
    ):
        with pytest.raises(Forbidden):
            attempt()


def list_open(query, actor):
    page = query(actor, done=False, client_id=None, cursor=None, limit=50)
    return [task.id for task in page.items]


def test_lists_show_visible_tasks_by_due_time(team, ines):
    later = add(team["coach"], ines, "Later", NOON + timedelta(days=2))
    sooner = add(team["coach"], ines, "Sooner", NOON)
    done = add(team["coach"], ines, "Done", NOON - timedelta(days=1))
    add(team["coach2"], builders.client(team["coach2"]), "Theirs")
    complete(team["coach"], done)
    assert list_open(list_followups_by_due_date, team["coach"]) == [sooner, later]
    assert list_open(list_followups_by_due_date, team["supervisor"]) == []
    assert set(list_open(list_followups, team["supervisor"])) == {sooner, later}
    assert [task.id for task in list_client_followups(team["coach"], ines)] == [sooner, later, done]
    assert [task.id for task in list_client_followups(team["coach"], ines, open_only=True)] == [
        sooner,
        later,
    ]
    page = list_followups(team["coach"], done=True, client_id=None, cursor=None, limit=10)
    assert [task.id for task in page.items] == [done]


def test_required_task_kind_is_created_once(team, ines):
    def ask():
        with transaction():
            return create_required_followups(
                team["coach"],
                lock_client(team["coach"], ines),
                {"recheck": now(), "referral": now()},
                assigned_to=team["coach"].id,
                origin_kind="screening",
                origin_id=UUID(int=5),
            )

    with at(NOON):
        assert ask() == ["recheck", "referral"]
        assert ask() == []
    tasks = {task.kind: task for task in list_client_followups(team["coach"], ines)}
    assert {task.title for task in tasks.values()} == {
        TASK_LABELS["recheck"],
        TASK_LABELS["referral"],
    }
    complete(team["coach"], tasks["recheck"].id)
    assert ask() == ["recheck"]


@pytest.mark.parametrize(
    ("kind", "hours"), [("safety_24h", 24), ("safety_72h", 72), ("safety_7d", 168)]
)
def test_safety_check_is_refused_before_its_time(team, held, kind, hours):
    check, due = open_tasks(team, held)[kind], NOON + timedelta(hours=hours)
    assert check.not_before_at == check.due_at == due
    early = replace(result_for(kind), occurred_at=due - timedelta(minutes=1))
    for moment, new in ((NOON, result_for(kind)), (due + timedelta(days=1), early)):
        with at(moment), pytest.raises(RuleBroken) as refused, transaction():
            complete_followup(team["coach"], lock_followup(team["coach"], check.id), new, 1)
        assert [reason.code for reason in refused.value.reasons] == ["too_early"]
    with at(due):
        followups.complete(team["coach"], check.id)


def test_not_reached_makes_next_attempt_and_third_a_supervisors_decision(team, held):
    coach, supervisor, moment = team["coach"], team["supervisor"], NOON + timedelta(days=1)
    for attempt in (1, 2, 3):
        check = open_tasks(team, held)["safety_24h"]
        assert (check.attempt, check.due_at, check.assigned_to) == (attempt, moment, coach.id)
        with at(moment):
            followups.complete(coach, check.id, "not_reached", "")
        assert check.origin_id == get_followup_record(coach, check.id).origin_id
        moment += timedelta(hours=4)
    found = open_tasks(team, held)
    assert "safety_24h" not in found
    decision = found["welfare_check"]
    assert (decision.assigned_to, decision.previous_id) == (supervisor.id, check.id)
    with pytest.raises(RuleBroken) as refused:
        followups.complete(coach, decision.id)
    assert refused.value.reasons[0].code == "supervisor_needed"
    with at(moment):
        followups.complete(supervisor, decision.id, "named_person")
    again = open_tasks(team, held)["safety_24h"]
    assert (again.attempt, again.assigned_to, again.previous_id) == (4, coach.id, check.id)
    assert again.due_at == moment + timedelta(hours=4)
    assert {again.origin_id, decision.origin_id} == {check.origin_id}


def test_three_attempts_take_at_least_two_hours(team, held):
    coach, moment = team["coach"], NOON + timedelta(days=1)
    for attempt in (1, 2, 3):
        check = open_tasks(team, held)["safety_24h"]
        assert check.attempt == attempt
        with at(moment):
            followups.complete(coach, check.id, "not_reached", "")
            if attempt < 3:
                again = open_tasks(team, held)["safety_24h"]
                assert again.not_before_at == moment + timedelta(hours=1)
        moment += timedelta(hours=1)
        if attempt < 3:
            sooner = moment - timedelta(minutes=1)
            with at(sooner), pytest.raises(RuleBroken) as refused:
                followups.complete(coach, again.id, "not_reached", "")
            assert [reason.code for reason in refused.value.reasons] == ["too_early"]
            db.session.rollback()
    assert "welfare_check" in open_tasks(team, held)


def test_second_attempt_is_not_done_with_a_contact_of_before_the_check(team, held):
    coach, moment = team["coach"], NOON + timedelta(days=1)
    with at(moment):
        followups.complete(coach, open_tasks(team, held)["safety_24h"].id, "not_reached", "")
    again = open_tasks(team, held)["safety_24h"]
    early = replace(result_for("safety_24h"), occurred_at=NOON - timedelta(days=3))
    with at(again.due_at), pytest.raises(RuleBroken) as refused, transaction():
        complete_followup(coach, lock_followup(coach, again.id), early, 1)
    assert [reason.code for reason in refused.value.reasons] == ["too_early"]


def test_next_attempt_of_custom_task_keeps_its_title(team, ines):
    followups.complete(team["coach"], add(team["coach"], ines), "not_reached", "")
    [again] = list_client_followups(team["coach"], ines, open_only=True)
    assert (again.title, again.attempt, again.not_before_at) == ("Ring the school", 2, None)


def test_duty_check_of_which_the_coach_is_not_sure_goes_to_the_supervisor(team, held):
    coach, supervisor = team["coach"], team["supervisor"]
    followups.complete(coach, open_tasks(team, held)["duty_check"].id, "not_sure")
    passed_on = open_tasks(team, held)["duty_check"]
    assert passed_on.assigned_to == supervisor.id
    with pytest.raises(RuleBroken):
        followups.complete(coach, passed_on.id)
    followups.complete(supervisor, passed_on.id, "no")
    assert "duty_check" not in open_tasks(team, held)
    found = get_followup_record(supervisor, passed_on.id)
    assert (found.result, found.method, found.told) == ("no", None, followups.TOLD)


@pytest.mark.parametrize(
    ("kind", "changed", "field"),
    [
        ("duty_check", {"note": "Nobody at risk."}, "note"),
        ("duty_check", {"told": ""}, "told"),
        ("duty_check", {"method": "call"}, "method"),
        ("tell_supervisor", {"told": ""}, "told"),
        ("safety_plan", {"result": "reached"}, "result"),
        ("safety_plan", {"method": "message"}, "method"),
        ("safety_plan", {"occurred_at": NOON + timedelta(days=9)}, "occurred_at"),
        ("tell_supervisor", {"occurred_at": NOON - timedelta(hours=1)}, "occurred_at"),
    ],
)
def test_result_that_does_not_fit_the_kind_is_refused(team, held, kind, changed, field):
    check = open_tasks(team, held)[kind]
    new = replace(result_for(kind, "no" if kind == "duty_check" else None), **changed)
    with at(NOON), pytest.raises(Invalid) as refused, transaction():
        complete_followup(team["coach"], lock_followup(team["coach"], check.id), new, 1)
    assert list(refused.value.fields) == [field]
    assert open_tasks(team, held)[kind].version == 1


def test_failed_next_attempt_rolls_back_the_result(team, held, monkeypatch):
    check = open_tasks(team, held)["safety_24h"]

    def fail(*_given):
        raise RuntimeError

    monkeypatch.setattr(operations, "_create_next", fail)
    with at(check.due_at), pytest.raises(RuntimeError):
        followups.complete(team["coach"], check.id, "not_reached", "")
    db.session.rollback()
    assert open_tasks(team, held)["safety_24h"].id == check.id


def test_task_completed_before_results_had_codes_is_done_by_unknown_method(team, ines):
    task = add(team["coach"], ines)
    complete(team["coach"], task)
    with transaction() as session:
        session.execute(sa.update(FollowUp).values(result=None))
    found = get_followup_record(team["coach"], task)
    assert (found.result, found.method, found.note) == ("done", "unknown", "She is well.")
    assert found.occurred_at == found.completed_at


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 161}, "title"),
        ({"due_at": "soon"}, "due_at"),
        ({"due_at": "2026-05-14T12:00:00"}, "due_at"),
        ({"completed_at": "2026-05-14T12:00:00Z"}, "completed_at"),
    ],
)
def test_invalid_task_names_the_field(changed, field):
    whole = {"title": "Ring", "due_at": "2026-05-14T12:00:00Z"}
    assert not NewFollowUpSchema().validate(whole)
    assert list(NewFollowUpSchema().validate({**whole, **changed})) == [field]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"result": ""}, "result"),
        ({"result": "well"}, "result"),
        ({"method": "unknown"}, "method"),
        ({"note": "x" * 2001}, "note"),
        ({"told": "x" * 201}, "told"),
        ({"occurred_at": "1999-05-14T12:00:00Z"}, "occurred_at"),
        ({"outcome": "Fine."}, "outcome"),
    ],
)
def test_invalid_result_names_the_field(changed, field):
    whole = {"result": "reached", "method": "call", "note": "Fine."}
    assert not ResultSchema().validate(whole)
    assert list(ResultSchema().validate(whole | changed)) == [field]


def test_blanks_are_no_note():
    assert ResultSchema().load({"result": "done", "note": "  ", "told": " Helen "}) == NewResult(
        "done", told="Helen"
    )
