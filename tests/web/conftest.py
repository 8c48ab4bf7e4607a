"""The usual people, each signed in to the staff pages."""

from __future__ import annotations

import pytest

from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def coach(app, team):
    return StaffBrowser(app, team["coach"])


@pytest.fixture
def supervisor(app, team):
    return StaffBrowser(app, team["supervisor"])


@pytest.fixture
def admin(app, team):
    return StaffBrowser(app, team["admin"])
