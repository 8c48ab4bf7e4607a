"""The usual people, each signed in to the staff pages."""

from __future__ import annotations

import pytest

from caseapp.http import openid
from tests.support.openid_provider import SampleProvider
from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def provider(app):
    """Give an OpenID provider on loopback that the settings name."""
    made = SampleProvider(openid.return_address())
    with made.running():
        made.use()
        yield made


@pytest.fixture
def coach(app, team):
    return StaffBrowser(app, team["coach"])


@pytest.fixture
def supervisor(app, team):
    return StaffBrowser(app, team["supervisor"])


@pytest.fixture
def admin(app, team):
    return StaffBrowser(app, team["admin"])
