"""A coach, and a client of theirs inside the portal with one sheet to write in."""

from __future__ import annotations

import pytest

from tests import build, people
from tests.portal.sheet import give
from tests.reader import inside
from tests.worksheets import sheets


@pytest.fixture
def coach(app):
    return people.add("coach")


@pytest.fixture
def reader(app, coach):
    """Give a client inside the portal with one sheet to write in."""
    visitor, found = inside(app, coach, "Ines Okafor", partner_name="Paul Okafor")
    build.screen(coach, found.client_id)
    give(coach, found, sheets.PAUSE)
    return visitor, found
