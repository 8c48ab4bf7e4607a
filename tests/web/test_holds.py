"""The hold page: why, what to do, what keeps it, and the supervisor's decision."""

from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from caseapp.core.clock import at, now
from caseapp.core.transaction import transaction
from caseapp.domain.followups.operations import complete_followup
from caseapp.domain.followups.queries import followups_of
from caseapp.domain.screening.queries import holds_of
from tests.support import builders, staff
from tests.support.staff_pages import Desk

REASON = {"reason": "Rested and calm; the doctor saw her twice."}


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/hold"


def do_everything(team, made):
    """Close each task and screen twice, calm, a week apart."""
    for task in followups_of(team["coach"], made.client_id, open_only=True):
        with transaction():
            complete_followup(team["coach"], task.id, "Done together.", task.version)
    builders.screen(team["coach"], made.client_id, days_ago=8)
    builders.screen(team["coach"], made.client_id)


@pytest.fixture
def cared(team, ines):
    """Open a care hold three weeks ago."""
    builders.screen(team["coach"], ines.client_id, days_ago=21, sleep="concern")
    hold = holds_of(team["coach"], ines.client_id)[0]
    return SimpleNamespace(id=hold.id, version=hold.version)


def test_without_a_hold_the_page_says_so(coach, address):
    assert "No hold is open." in coach.text(address)


def test_a_safety_hold_shows_why_steps_clocks_what_stops_and_what_keeps_it(
    team, coach, ines, address
):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent", sleep="concern")
    text = coach.text(address)
    for words in (
        "Safety hold",
        "Care hold",
        "Make or go through the safety plan together.",
        "24-hour safety check",
        "Closing the case",
        "Neither time nor the client ends it.",
        "Still open: Make the safety plan together.",
        "There is no full screening at none or watch since the hold opened.",
        "Awaiting sign-off by a licensed clinician",
    ):
        assert words in text, words


def test_a_step_that_nobody_recorded_in_time_is_overdue(team, coach, ines, address):
    with at(now() - timedelta(days=2)):
        builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    assert "Overdue since" in coach.text(address)


def test_a_coach_never_ends_a_hold(team, coach, ines, cared, address):
    do_everything(team, ines)
    assert "Your supervisor can end it now." in coach.text(address)
    action = f"{address}/{cared.id}/clear"
    assert coach.post(action, coach.token | REASON | {"version": 1}).status_code == 403
    assert holds_of(team["coach"], ines.client_id)[0].cleared_at is None


def test_a_supervisor_ends_a_hold_once_nothing_keeps_it(team, supervisor, ines, cared, address):
    do_everything(team, ines)
    answer = supervisor.send(address, f"{address}/{cared.id}/clear", **REASON)
    assert answer.status_code == 303
    text = supervisor.text(address)
    assert "The hold has ended." in text
    assert "No hold is open." in text
    assert "Ended by Helen Marsh: Rested and calm; the doctor saw her twice." in text


def test_a_hold_that_is_kept_is_not_ended_and_the_reason_stays(
    team, supervisor, ines, cared, address
):
    action = f"{address}/{cared.id}/clear"
    answer = supervisor.post(action, supervisor.token | REASON | {"version": cared.version})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "The hold cannot end yet" in text
    assert "Record what came of it under Follow-ups." in text
    assert REASON["reason"] in text
    assert holds_of(team["coach"], ines.client_id)[0].cleared_at is None


@pytest.mark.parametrize(
    "changed", [{"reason": ""}, {"reason": "Fine."}, {"reason": "x" * 2001}, {"mood": "good"}]
)
def test_a_reason_must_be_one(team, supervisor, ines, cared, address, changed):
    do_everything(team, ines)
    answer = supervisor.send(address, f"{address}/{cared.id}/clear", **REASON | changed)
    assert answer.status_code == 422
    assert "Some answers need a look" in answer.get_data(as_text=True)
    assert holds_of(team["coach"], ines.client_id)[0].cleared_at is None


def test_a_hold_that_changed_meanwhile_stays(team, supervisor, ines, cared, address):
    do_everything(team, ines)
    answer = supervisor.send(address, f"{address}/{cared.id}/clear", **REASON, version="99")
    assert answer.status_code == 412
    assert REASON["reason"] in answer.get_data(as_text=True)
    assert holds_of(team["coach"], ines.client_id)[0].cleared_at is None


def test_a_hold_ends_once(team, supervisor, ines, cared, address):
    do_everything(team, ines)
    form = supervisor.form(address, f"{address}/{cared.id}/clear")
    assert supervisor.post(form.action, form.fields | REASON).status_code == 303
    assert supervisor.post(form.action, form.fields | REASON).status_code == 409


def test_a_hold_is_ended_only_under_its_own_case(team, supervisor, ines, cared):
    other = builders.case(team["coach"], "Aoife Brennan")
    do_everything(team, ines)
    for hold_id in (cared.id, uuid4()):
        action = f"/case/{other.number}/hold/{hold_id}/clear"
        answer = supervisor.post(action, supervisor.token | REASON | {"version": cared.version})
        assert answer.status_code == 404


def test_a_supervisor_of_others_finds_nothing(app, team, ines, cared, address):
    stranger = staff.add("supervisor2", role="supervisor")
    desk = Desk(app, stranger)
    assert desk.get(address).status_code == 404
    action = f"{address}/{cared.id}/clear"
    assert desk.post(action, desk.token | REASON | {"version": 1}).status_code == 404
