"""A coach, and a mail server that keeps what is sent."""

from __future__ import annotations

import pytest

from tests import people
from tests.reader import letterbox


@pytest.fixture
def post(app):
    with letterbox() as found:
        yield found


@pytest.fixture
def coach(app):
    return people.add("coach")
