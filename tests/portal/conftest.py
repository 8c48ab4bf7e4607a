"""A coach, and a client of theirs signed in to the portal with one worksheet."""

from __future__ import annotations

import pytest

from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import assign
from tests.support import builders, staff
from tests.support.portal_client import sign_in_client


@pytest.fixture
def coach(app):
    return staff.add("coach")


@pytest.fixture
def reader(app, coach):
    """Sign in a client with one worksheet; return their browser and their ids."""
    visitor, found = sign_in_client(app, coach, "Ines Okafor", partner_name="Paul Okafor")
    builders.screen(coach, found.client_id)
    assign(coach, found, sample_files.PAUSE)
    return visitor, found
