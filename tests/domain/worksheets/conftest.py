"""Fixtures: a client with one worksheet in the portal."""

from __future__ import annotations

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from tests.domain.worksheets import sample_files
from tests.support import builders, portal_client


@pytest.fixture
def assigned(team):
    """Assign one worksheet in the portal; return the case and the assignment's id."""
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id)
    with transaction():
        row = assign_handout(
            coach,
            lock_case(coach, made.case_id),
            sample_files.PAUSE,
            message="",
            channel="portal",
            confirmed=True,
        )
    return made, row


@pytest.fixture
def client(assigned):
    return portal_client.reader(assigned[0].client_id, "Ines")
