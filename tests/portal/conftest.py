"""A coach, and a client of theirs signed in to the portal with one worksheet."""

from __future__ import annotations

import pytest

from caseapp.core import clock
from caseapp.domain.keys.queries import load_ring
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import assign
from tests.support import builders, staff
from tests.support.portal_client import sign_in_client
from tests.support.templates import CONTENTS, Content


def _sign_in_reader(app, _url):
    """Sign in a client with one worksheet; return when that was, the client's browser and their ids."""
    load_ring()
    moment, coach = clock.now(), staff.find_team(["coach"])["coach"]
    with clock.at(moment):
        visitor, found = sign_in_client(app, coach, "Ines Okafor", partner_name="Paul Okafor")
        builders.screen(coach, found.client_id)
        assign(coach, found, sample_files.PAUSE)
    return moment, visitor, found


CONTENTS["reader"] = Content("lone_coach", _sign_in_reader)


@pytest.fixture
def coach(lone_coach_in_template, app):
    return staff.find_team(["coach"])["coach"]


@pytest.fixture
def reader_in_template():
    """Have the test's database copied from one with a client who has signed in."""


@pytest.fixture
def reader(reader_in_template, app, coach, database_url, templates):
    """Give the browser and the ids of a client with one worksheet, at the moment at which they signed in."""
    moment, browser, found = templates.result(database_url.get_backend_name(), "reader")
    visitor = app.test_client()
    visitor._cookies = dict(browser._cookies)  # noqa: SLF001 - there is no public way
    with clock.at(moment):
        yield visitor, found
