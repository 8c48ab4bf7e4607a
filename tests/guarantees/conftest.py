"""A small practice with one of everything, twice."""

from __future__ import annotations

import pytest

from caseapp.core import clock
from caseapp.domain.keys.queries import load_ring
from tests.guarantees import sample_data
from tests.support import staff
from tests.support.templates import CONTENTS, Content


def _make_world(app, _url):
    """Fill a practice with the sample data at one moment; return both."""
    moment = clock.now()
    load_ring()
    with clock.at(moment):
        return moment, sample_data.make(app, staff.find_team())


CONTENTS["world"] = Content("team", _make_world)


@pytest.fixture
def world_in_template():
    """Have the test's database copied from one with the sample data."""


@pytest.fixture
def world(world_in_template, app, database_url, templates):
    """Give the sample data at the moment at which it was made, with browsers of its own."""
    moment, made = templates.result(database_url.get_backend_name(), "world")
    with clock.at(moment):
        yield sample_data.copy_of(made)
