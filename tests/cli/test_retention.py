"""The records that are due, on the command line."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Case
from caseapp.domain.practice.models import Practice
from tests.support import builders


@pytest.mark.slow
def test_records_that_are_due_are_listed_by_case_number(team, run_command):
    with at(now() - timedelta(days=800)):
        made = builders.case(team["coach"], "Ines Okafor")
        with transaction():
            ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
            db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    assert "hasn’t chosen" in run_command("retention", "list").output
    with transaction():
        db.session.execute(sa.update(Practice).values(retention_profile="uk"))
    listed = run_command("retention", "list").output
    # Beside the case number, a late day would tell an admin that the longest period applies.
    assert listed.startswith(f"{made.number}\n")
    own = run_command("--as", "supervisor@practice.test", "retention", "list").output
    assert own.startswith(f"{made.number}  due since ")
    assert listed.endswith("Records that are due: 1.\n")
    assert "Okafor" not in listed
    assert run_command("retention", "list", "--show", "held").output == "Records that are due: 0.\n"
