"""A coach, and a mail server that keeps what it receives."""

from __future__ import annotations

import pytest

from tests.support import staff
from tests.support.portal_client import mailbox_server


@pytest.fixture
def mailbox(app):
    with mailbox_server() as found:
        yield found


@pytest.fixture
def coach(app):
    return staff.add("coach")
