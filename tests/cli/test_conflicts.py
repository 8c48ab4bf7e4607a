import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.clients.models import PossibleConflict
from tests.support import builders, staff

pytestmark = pytest.mark.both


def test_pairs_that_wait_for_a_decision_are_listed_by_number(app, run_command):
    team = staff.team()
    empty = run_command("conflicts", "list")
    assert empty.stdout == "No possible conflict is waiting for a decision.\n"
    ines = builders.case(team["coach"], "Ines Okafor")
    other = builders.case(team["coach"], "Ines Okafor", agreed=True)
    assert run_command("conflicts", "list").stdout == empty.stdout
    with transaction() as session:
        session.execute(sa.update(PossibleConflict).values(decided_at=None, decided_by=None))
    done = run_command("conflicts", "list")
    assert done.exit_code == 0, done.output
    assert f"  {ines.number}  {other.number}\n" in done.stdout
    assert "Ines" not in done.output
