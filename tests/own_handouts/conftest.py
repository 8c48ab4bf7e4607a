"""The people whom own handouts need: two supervisors, so that one may approve what the other wrote."""

from __future__ import annotations

import pytest

from tests import people


@pytest.fixture
def team(app):
    return people.team() | {"supervisor2": people.add("supervisor2", role="supervisor")}
