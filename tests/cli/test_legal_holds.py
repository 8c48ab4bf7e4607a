"""Legal holds on the command line: whoever changes one says who they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.legal_holds.models import LegalHold
from caseapp.domain.practice.queries import today
from tests.support import builders, staff


@pytest.mark.slow
def test_hold_is_placed_listed_reviewed_and_lifted_by_another(team, run_command):
    made = builders.case(team["coach"])
    day = str(today() + timedelta(days=90))
    admin, supervisor = (staff.email_of(team[who]) for who in ("admin", "supervisor"))
    place = ("legal-hold", "place", made.number, "--kind", "court", "--review-on", day)
    unnamed = run_command(*place)
    assert unnamed.exit_code == 2
    assert "Say who you are" in unnamed.output
    assert run_command("--as", staff.email_of(team["coach"]), *place).exit_code == 1
    assert "No legal holds." in run_command("legal-hold", "list").output
    placed = run_command("--as", admin, *place)
    assert placed.exit_code == 0, placed.output
    hold_id = placed.output.split()[-1]
    # It was placed on another day in the practice's time zone than in UTC.
    late = datetime(2026, 5, 14, 23, 30, tzinfo=UTC)
    with transaction() as session:
        session.execute(sa.update(LegalHold).values(placed_at=late))
    listed = run_command("legal-hold", "list").output
    assert "since 2026-05-15" in listed
    assert listed.split()[:2] == [hold_id, made.number]
    lift = ("legal-hold", "lift", hold_id, "--reason", "ended")
    assert run_command("--as", admin, *lift).exit_code == 1
    review = ("legal-hold", "review", hold_id, "--review-on", day)
    assert run_command("--as", supervisor, *review).output == "Recorded.\n"
    assert run_command("--as", supervisor, *lift).output == "Lifted.\n"
    assert hold_id in run_command("legal-hold", "list", "--show", "lifted").output
