from uuid import uuid4

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.form_drafts.models import FormDraft
from tests.domain.dashboard import bulk_rows
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements

DONE = {"result": "reached", "method": "call", "note": "She is well."}


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def desk(app, coach):
    return StaffBrowser(app, coach)


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


def tasks():
    db.session.rollback()
    return db.session.scalars(sa.select(FollowUp).order_by(FollowUp.due_at, FollowUp.id)).all()


def add(desk, case, title="Ring on Tuesday", due_at="2026-05-19T17:00"):
    return desk.send(f"/case/{case.number}/follow-ups", title=title, due_at=due_at)


@pytest.mark.slow
def test_task_is_created_and_completed(desk, case):
    path = f"/case/{case.number}/follow-ups"
    assert "Nothing due." in desk.text(path)
    assert add(desk, case).status_code == 303
    assert "Ring on Tuesday" in desk.text(path)
    [task] = tasks()
    assert "Ring on Tuesday" in desk.text("/follow-ups")
    answer = desk.send(path, f"{path}/{task.id}", **DONE)
    assert answer.headers["Location"] == path
    assert "Ring on Tuesday" not in desk.text(path)
    shown = desk.text(f"{path}?done=yes")
    assert "She is well." in shown
    assert "Reached" in shown


def test_task_is_completed_from_own_list(desk, case):
    add(desk, case)
    [task] = tasks()
    answer = desk.send("/follow-ups", f"/follow-ups/{task.id}", **DONE)
    assert answer.headers["Location"] == "/follow-ups"
    assert "She is well." in desk.text("/follow-ups?done=yes")


def test_form_sent_twice_creates_one_task(desk, case):
    path = f"/case/{case.number}/follow-ups"
    fields = desk.form(path).fields | {"title": "Ring", "due_at": "2026-05-19T17:00"}
    assert [desk.post(path, fields).status_code for _ in range(2)] == [303, 303]
    assert len(tasks()) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "x" * 161),
        ("due_at", ""),
        ("due_at", "soon"),
        ("due_at", "0001-01-01T00:00"),
        ("colour", "red"),
    ],
)
def test_invalid_value_creates_nothing_and_keeps_input(desk, case, field, value):
    path = f"/case/{case.number}/follow-ups"
    answer = desk.send(path, **{"title": "Ring", "due_at": "2026-05-19T17:00", field: value})
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.get_data(as_text=True)
    assert tasks() == []


@pytest.mark.slow
def test_incomplete_result_completes_nothing(desk, case):
    add(desk, case)
    [task] = tasks()
    for path in (f"/case/{case.number}/follow-ups", "/follow-ups"):
        for missing in ("result", "method", "note"):
            answer = desk.send(path, f"{path}/{task.id}", **DONE | {missing: " "})
            assert answer.status_code == 422
            assert f'href="#{missing}-{task.id}"' in answer.get_data(as_text=True)
    assert tasks()[0].completed_at is None


def test_complete_twice_or_with_old_version_is_refused(desk, case):
    add(desk, case)
    [task] = tasks()
    path = f"/follow-ups/{task.id}"
    fields = desk.form("/follow-ups", path).fields | DONE
    assert desk.post(path, fields | {"version": "7"}).status_code == 412
    assert desk.post(path, fields).status_code == 303
    answer = desk.post(path, fields | desk.key_for(path) | {"note": "Something else."})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "already completed" in page
    assert "Something else." in page


def test_task_of_another_client_is_not_completed_in_a_case(desk, coach, case):
    """The address of a client's task names the client's case; any other case is refused."""
    add(desk, case)
    [task] = tasks()
    fields = desk.form("/follow-ups", f"/follow-ups/{task.id}").fields | DONE
    other = builders.case(coach, "Ruth Adeyemi")
    for number in (other.number, "C-2020-0001"):
        path = f"/case/{number}/follow-ups/{task.id}"
        assert desk.post(path, fields | desk.key_for(path)).status_code == 404
    assert tasks()[0].completed_at is None


def test_result_typed_in_own_list_is_kept_under_the_clients_key(desk, coach, case):
    """The list is about no client, its forms are: what is typed there is erased with the client."""
    add(desk, case)
    [task] = tasks()
    path = f"/follow-ups/{task.id}"
    fields = desk.form("/follow-ups", path).fields | DONE
    with transaction():
        end_all_sessions(coach.id)
    assert desk.post(path, fields).status_code == 303
    [draft] = db.session.scalars(sa.select(FormDraft)).all()
    assert draft.client_id == case.client_id


def test_tasks_of_other_coach_are_not_found(app, team, desk, case):
    add(desk, case)
    [task] = tasks()
    other = StaffBrowser(app, team["coach2"])
    other.text(f"/case/{case.number}/follow-ups", 404)
    assert "Ring on Tuesday" not in other.text("/follow-ups")
    token = other.form("/follow-ups", "/sign-out").fields["csrf_token"]
    fields = {"csrf_token": token, "version": "1"} | DONE
    for path in (
        f"/follow-ups/{task.id}",
        f"/case/{case.number}/follow-ups/{task.id}",
        f"/follow-ups/{uuid4()}",
    ):
        assert other.post(path, fields).status_code == 404
    assert tasks()[0].completed_at is None


def test_followups_for_admin_are_forbidden(app, team, case):
    admin = StaffBrowser(app, team["admin"])
    for path in ("/follow-ups", f"/case/{case.number}/follow-ups"):
        assert admin.get(path).status_code == 403


@pytest.mark.slow
def test_pages_are_sorted_by_due_time_without_gap(desk, coach, case):
    bulk_rows.caseload(coach, 30)
    first = desk.text("/follow-ups")
    assert first.count('id="task-') == 25
    cursor = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert desk.text(cursor).count('id="task-') == 5


@pytest.mark.slow
def test_statement_count_is_independent_of_row_count(desk, coach, case):
    bulk_rows.caseload(coach, 10)
    desk.text("/follow-ups")
    with Statements() as few:
        desk.text("/follow-ups")
    bulk_rows.caseload(coach, 990, since=10)
    # The first look at other clients is recorded.
    desk.text("/follow-ups")
    with Statements() as many:
        desk.text("/follow-ups")
    assert len(many.seen) == len(few.seen) <= 8
