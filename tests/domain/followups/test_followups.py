from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.queries import lock_client
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
from caseapp.domain.followups.schemas import NewFollowUp, NewFollowUpSchema, OutcomeSchema
from tests.support import builders
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


@pytest.fixture
def ines(team):
    return builders.client(team["coach"])


def add(actor, client_id, title="Ring the school", due=NOON):
    with transaction():
        return create_followup(actor, lock_client(actor, client_id), NewFollowUp(title, due))


def complete(actor, task, outcome="She is well.", version=1):
    with transaction():
        complete_followup(actor, lock_followup(actor, task), outcome, version)


def test_custom_task_is_created_and_completed(team, ines):
    task = add(team["coach"], ines)
    assert get_followup_record(team["coach"], task).title == "Ring the school"
    complete(team["coach"], task)
    found = get_followup_record(team["coach"], task)
    assert (found.outcome, found.completed_by, found.version) == (
        "She is well.",
        team["coach"].id,
        2,
    )
    assert found.completed_at is not None


def test_texts_are_sealed_and_not_in_audit_log(team, ines):
    complete(team["coach"], add(team["coach"], ines))
    stored = db.session.execute(sa.select(FollowUp.title, FollowUp.outcome)).one()
    assert b"school" not in stored.title
    assert b"well" not in stored.outcome
    assert "school" not in str(db.session.execute(sa.select(AuditEvent.__table__)).all())


def test_completed_task_cannot_be_completed_again(team, ines):
    task = add(team["coach"], ines)
    complete(team["coach"], task)
    with pytest.raises(RuleBroken) as refused:
        complete(team["coach"], task, "Something else", 2)
    assert refused.value.reasons[0].code == "already_completed"
    db.session.rollback()
    assert get_followup_record(team["coach"], task).outcome == "She is well."


def test_concurrent_completions_leave_one_outcome(team, ines, app):
    task = add(team["coach"], ines)
    answers = run_concurrently(app, 4, lambda n: complete(team["coach"], task, f"writer {n}"))
    assert answers.count(None) == 1
    assert all(isinstance(one, (Stale, RuleBroken)) for one in answers if one is not None)
    db.session.rollback()
    assert get_followup_record(team["coach"], task).outcome == f"writer {answers.index(None)}"


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


@pytest.mark.parametrize("outcome", [{}, {"outcome": ""}, {"outcome": "x" * 2001}])
def test_empty_outcome_is_refused(outcome):
    assert list(OutcomeSchema().validate(outcome)) == ["outcome"]
