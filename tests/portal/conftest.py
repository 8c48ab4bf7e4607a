"""A coach, and a client of theirs inside the portal with one sheet to write in."""

from __future__ import annotations

import pytest

from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import give
from tests.support import builders, staff
from tests.support.portal_client import inside


@pytest.fixture
def coach(app):
    return staff.add("coach")


@pytest.fixture
def reader(app, coach):
    """Give a client inside the portal with one sheet to write in."""
    visitor, found = inside(app, coach, "Ines Okafor", partner_name="Paul Okafor")
    builders.screen(coach, found.client_id)
    give(coach, found, sample_files.PAUSE)
    return visitor, found
