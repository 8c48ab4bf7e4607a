"""Hold page: reasons, required actions, blockers and release."""

from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.screening.queries import list_holds
from tests.support import builders, followups, staff
from tests.support.staff_pages import StaffBrowser

REASON = {"reason": "Rested and calm; the doctor saw her twice."}


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/hold"


def complete_required_actions(team, made):
    """Complete each task and record two calm screenings a week apart."""
    followups.complete_all(team["coach"], made.client_id)
    builders.screen(team["coach"], made.client_id, days_ago=8)
    builders.screen(team["coach"], made.client_id)


@pytest.fixture
def care_hold(team, ines):
    """Open a care hold three weeks ago."""
    builders.screen(team["coach"], ines.client_id, days_ago=21, sleep="concern")
    hold = list_holds(team["coach"], ines.client_id)[0]
    return SimpleNamespace(id=hold.id, version=hold.version)


def test_hold_page_without_hold_shows_empty_state(coach, address):
    assert "No hold is open." in coach.text(address)


def test_safety_hold_shows_reasons_actions_and_blockers(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent", sleep="concern")
    text = coach.text(address)
    for words in (
        "Safety hold",
        "Care hold",
        "Together, make a safety plan or go through the existing one.",
        "24-hour safety check",
        "Closing the case",
        "A hold doesn’t end after a set time or because the client asks.",
        "Still open: Make the safety plan together.",
        "There has been no full screening with every level at None or Watch since the hold opened.",
        "Awaiting sign-off by a licensed clinician",
    ):
        assert words in text, words


def test_action_not_completed_in_time_is_overdue(team, coach, ines, address):
    with at(now() - timedelta(days=2)):
        builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    assert "Overdue since" in coach.text(address)


def test_release_by_coach_is_forbidden(team, coach, ines, care_hold, address):
    complete_required_actions(team, ines)
    assert "Your supervisor can release the hold now." in coach.text(address)
    action = f"{address}/{care_hold.id}/release"
    assert coach.post(action, coach.token | REASON | {"version": 1}).status_code == 403
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


def test_release_by_supervisor_without_blockers_succeeds(
    team, supervisor, ines, care_hold, address
):
    complete_required_actions(team, ines)
    answer = supervisor.send(address, f"{address}/{care_hold.id}/release", **REASON)
    assert answer.status_code == 303
    text = supervisor.text(address)
    assert "Hold released." in text
    assert "No hold is open." in text
    assert "Released by Helen Marsh: Rested and calm; the doctor saw her twice." in text


def test_release_with_blockers_is_refused_and_keeps_reason(
    team, supervisor, ines, care_hold, address
):
    action = f"{address}/{care_hold.id}/release"
    sent = supervisor.token | supervisor.key_for(action) | REASON
    answer = supervisor.post(action, sent | {"version": care_hold.version})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "The hold can’t be released yet" in text
    assert "Record the outcome under Follow-ups." in text
    assert REASON["reason"] in text
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


@pytest.mark.parametrize(
    "changed", [{"reason": ""}, {"reason": "Fine."}, {"reason": "x" * 2001}, {"mood": "good"}]
)
def test_release_with_invalid_reason_is_refused(
    team, supervisor, ines, care_hold, address, changed
):
    complete_required_actions(team, ines)
    answer = supervisor.send(address, f"{address}/{care_hold.id}/release", **REASON | changed)
    assert answer.status_code == 422
    assert "Check your answers" in answer.get_data(as_text=True)
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


def test_release_with_old_version_is_stale(team, supervisor, ines, care_hold, address):
    complete_required_actions(team, ines)
    answer = supervisor.send(address, f"{address}/{care_hold.id}/release", **REASON, version="99")
    assert answer.status_code == 412
    assert REASON["reason"] in answer.get_data(as_text=True)
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


def test_release_sent_twice_releases_once(team, supervisor, ines, care_hold, address):
    complete_required_actions(team, ines)
    form = supervisor.form(address, f"{address}/{care_hold.id}/release")
    first = supervisor.post(form.action, form.fields | REASON)
    second = supervisor.post(form.action, form.fields | REASON)
    assert (first.status_code, first.location) == (303, second.location)
    assert supervisor.text(address).count("Released by") == 1


def test_release_under_another_case_is_not_found(team, supervisor, ines, care_hold):
    other = builders.case(team["coach"], "Aoife Brennan")
    complete_required_actions(team, ines)
    for hold_id in (care_hold.id, uuid4()):
        action = f"/case/{other.number}/hold/{hold_id}/release"
        answer = supervisor.post(action, supervisor.token | REASON | {"version": care_hold.version})
        assert answer.status_code == 404


def test_hold_page_for_other_supervisor_is_not_found(app, team, ines, care_hold, address):
    stranger = staff.add("supervisor2", role="supervisor")
    desk = StaffBrowser(app, stranger)
    assert desk.get(address).status_code == 404
    action = f"{address}/{care_hold.id}/release"
    assert desk.post(action, desk.token | REASON | {"version": 1}).status_code == 404
