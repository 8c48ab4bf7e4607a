"""Transfers, intakes sent to a supervisor, and new codes, on the command line: the log names who acted."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from caseapp.cli import intakes
from caseapp.core import pdf
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.visibility import in_role
from tests.support import builders, staff
from tests.support.intakes import BODY


def coaches_of(client_id):
    db.session.rollback()
    found = sa.select(CareTeamMember.user_id).where(
        CareTeamMember.client_id == client_id, in_role(CareTeamMember, "coach")
    )
    return [*db.session.scalars(found)]


@pytest.mark.slow
def test_case_is_offered_decided_undone_and_handed_over(team, run_as, acts, monkeypatch, tmp_path):
    monkeypatch.setattr(pdf, "render", lambda *_given, **_more: b"%PDF-1.7")
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    made = builders.case(coach)
    offer = ("transfer", "offer", staff.email_of(coach), staff.email_of(colleague))
    chosen = (*offer, "--reason", "schedule", "--case", made.number.lower())
    assert "Not a case of this coach: C-1" in run_as(
        coach, *offer, "--reason", "schedule", "--case", "C-1", code=1
    )
    run_as(colleague, *chosen, code=1)
    # Without saying which, nothing is offered; nor is it guessed which of two was meant.
    for which in ((), ("--all", "--case", made.number)):
        assert "--all" in run_as(coach, *offer, "--reason", "schedule", *which, code=2)
    assert made.number not in run_as(colleague, "transfer", "list")
    for decide, who in (("decline", colleague), ("withdraw", coach), ("accept", colleague)):
        run_as(coach, *chosen)
        listed = run_as(who, "transfer", "list").splitlines()
        (waiting,) = [line for line in listed if "offered" in line]
        assert made.number in waiting
        assert "Okafor" not in waiting
        run_as(who, "transfer", decide, waiting.split()[0])
    assert coaches_of(made.client_id) == [colleague.id]
    brief = ("transfer", "brief", waiting.split()[0], "-o", str(tmp_path / "brief.pdf"))
    run_as(coach, *brief, code=1)
    run_as(colleague, *brief)
    assert (tmp_path / "brief.pdf").read_bytes() == b"%PDF-1.7"
    run_as(coach, "transfer", "undo", waiting.split()[0])
    assert coaches_of(made.client_id) == [coach.id]
    run_as(coach, *offer, "--reason", "schedule", "--all")
    (waiting,) = [one for one in run_as(coach, "transfer", "list").splitlines() if "offered" in one]
    run_as(coach, "transfer", "withdraw", waiting.split()[0])
    hand_over = ("transfer", "hand-over", made.number)
    people = (staff.email_of(coach), staff.email_of(supervisor))
    # Neither a coach nor whoever runs the server.
    run_as(coach, *hand_over, *people, code=1)
    run_as(supervisor, *hand_over, *people)
    assert coaches_of(made.client_id) == [supervisor.id]
    assert (colleague.id, "client.transfer") in acts()
    assert (supervisor.id, "client.hand_over") in acts()


@pytest.mark.slow
def test_intake_is_put_to_a_supervisor_decided_and_opened(team, run_as, acts):
    coach, supervisor = team["coach"], team["supervisor"]
    known = builders.case(team["coach2"], "Aino Wuolijoki")
    assert "client.name" in run_as(
        coach, "intake", "ask", input_text=json.dumps(BODY | {"client": {}}), code=1
    )
    assert "JSON" in run_as(coach, "intake", "ask", input_text="{", code=1)
    intake_id = run_as(coach, "intake", "ask", input_text=json.dumps(BODY)).strip()
    assert f"{intake_id}  " in run_as(supervisor, "intake", "list")
    # The coach reads nothing about who matches.
    assert str(known.client_id) not in run_as(coach, "intake", "show", intake_id)
    assert str(known.client_id) in run_as(supervisor, "intake", "show", intake_id)
    decide = ("intake", "decide", intake_id, "--allow")
    run_as(coach, *decide, code=1)
    run_as(supervisor, *decide, code=1)
    assert run_as(supervisor, *decide, "--shown", str(known.client_id)) == "Allowed.\n"
    run_as(coach, "intake", "open", intake_id, input_text=json.dumps(BODY))
    done = acts()
    assert {(coach.id, "conflict.ask"), (supervisor.id, "conflict.decide")} <= {*done}
    assert (coach.id, "client.create") in done


@pytest.mark.slow
def test_intakes_are_listed_to_the_last(team, run_as, monkeypatch):
    monkeypatch.setattr(intakes, "LARGEST_PAGE", 2)
    asked = [
        run_as(team["coach"], "intake", "ask", input_text=json.dumps(BODY)).strip()
        for _ in range(3)
    ]
    listed = run_as(team["coach"], "intake", "list").splitlines()
    assert [line.split()[0] for line in listed] == asked[::-1]


@pytest.mark.slow
def test_codes_are_makers_two_people(team, run_as, acts):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    codes = ("portal", "codes", made.number)
    first = run_as(coach, *codes)
    assert "Start code: " in first
    assert "Card code: " in first
    assert "reason: " in run_as(coach, *codes, code=1)
    with transaction():
        db.session.execute(sa.update(PortalAccess).values(first_signed_in_at=now()))
    told = run_as(coach, *codes, "--reason", "lost")
    assert "Somebody else has to make the card." in told
    run_as(coach, "portal", "card", made.number, code=1)
    assert run_as(supervisor, "portal", "card", made.number).startswith("Card code: ")
    makers = [who for who, action in acts() if action == "portal.invite"]
    assert makers == [coach.id, coach.id, supervisor.id]
