"""A coach, and a mail server that keeps what it receives."""

from __future__ import annotations

import pytest

from tests.support import staff
from tests.support.portal_client import mailbox


@pytest.fixture
def post(app):
    with mailbox() as found:
        yield found


@pytest.fixture
def coach(app):
    return staff.add("coach")
