"""A coach, and a mail server that keeps what is sent."""

from __future__ import annotations

import pytest

from tests.support import staff
from tests.support.portal_client import letterbox


@pytest.fixture
def post(app):
    with letterbox() as found:
        yield found


@pytest.fixture
def coach(app):
    return staff.add("coach")
