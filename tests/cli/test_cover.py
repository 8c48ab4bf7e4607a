"""Cover, denied access and emergency access on the command line: the log names who acted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.errors import NotFound
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.practice.queries import today
from tests.support import builders, staff


@pytest.mark.slow
def test_cover_is_arranged_described_and_ended(team, run_as, acts):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach)
    people = (staff.email_of(coach), staff.email_of(colleague))
    last = (today() + timedelta(days=1)).isoformat()
    arrange = ("cover", "arrange", *people, "--since", today().isoformat(), "--until", last)
    assert "--all" in run_as(coach, *arrange, code=2)
    assert "C-1" in run_as(coach, *arrange, "--case", "C-1", code=1)
    run_as(colleague, *arrange, "--all", code=1)
    cover_id = run_as(coach, *arrange, "--case", made.number.lower()).strip()
    listed = run_as(colleague, "cover", "list")
    assert f"{cover_id}  " in listed
    assert f"{today()} to {last}, clients: 1, running" in listed
    line = ("cover", "line", cover_id, made.number.lower())
    run_as(colleague, *line, input_text="Mine.", code=1)
    assert "line" in run_as(coach, *line, input_text="x" * 301, code=1)
    run_as(coach, *line, input_text="Ring before noon.\n")
    shown = run_as(colleague, "cover", "show", cover_id)
    assert f"{made.number}  no hold, 0 flags, last session none, 0 due" in shown
    assert shown.endswith("    Ring before noon.\n")
    assert "Okafor" not in shown
    assert run_as(coach, *line, input_text="") == "Removed.\n"
    run_as(colleague, "cover", "end", cover_id, code=1)
    run_as(supervisor, "cover", "end", cover_id)
    with pytest.raises(NotFound):
        get_client_record(colleague, made.client_id)
    assert "client.cover" in {action for who, action in acts() if who == supervisor.id}


@pytest.mark.slow
def test_access_is_denied_and_given_back(team, run_as, run_command, acts):
    coach, colleague, admin = team["coach"], team["coach2"], team["admin"]
    made = builders.case(coach)
    denied = ("denied-access", "record", made.number.lower(), staff.email_of(colleague))
    record = (*denied, "--reason", "relative")
    # The row names who recorded it, so somebody has to be named.
    assert "Say who you are" in run_command(*record).output
    run_as(coach, *record, code=1)
    denial_id = run_as(admin, *record).strip()
    listed = run_as(admin, "denied-access", "list")
    assert f"{denial_id}  {made.number}  " in listed
    assert "relative" not in listed
    assert ", relative" in run_as(team["supervisor"], "denied-access", "list")
    run_as(admin, "denied-access", "end", denial_id, "--reason", "past")
    assert run_as(admin, "denied-access", "list") == ""
    assert [who for who, action in acts() if action == "denial.manage"] == [admin.id, admin.id]


@pytest.mark.slow
def test_record_is_opened_in_an_emergency_and_reviewed(team, run_as, run_command, acts):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach)
    opening = ("emergency-access", "open", made.number.lower(), "--reason", "contact")
    assert "words" in run_as(colleague, *opening, input_text="Now", code=1)
    run_as(team["admin"], *opening, input_text="She rang, Marta is ill.", code=1)
    opened = run_as(colleague, *opening, input_text="She rang, Marta is ill.")
    emergency_id = opened.split()[0]
    assert get_client_record(colleague, made.client_id)
    listed = run_as(supervisor, "emergency-access", "list")
    assert f"{emergency_id}  {made.number}  " in listed
    assert "open, not reviewed, contact: She rang" in listed
    assert f"  {made.number}  " in run_command("emergency-access", "list").output
    review = ("emergency-access", "review", emergency_id, "--outcome", "needed")
    run_as(colleague, *review, code=1)
    run_as(supervisor, *review)
    run_as(colleague, "emergency-access", "end", emergency_id)
    with pytest.raises(NotFound):
        get_client_record(colleague, made.client_id)
    assert "ended, reviewed" in run_as(colleague, "emergency-access", "list")
    assert "You have no emergency access" in run_as(coach, "emergency-access", "list")
    assert {(colleague.id, "emergency.open"), (supervisor.id, "emergency.review")} <= {*acts()}
