"""The people of tests about staff who leave."""

from __future__ import annotations

import pytest

from tests.support import staff
from tests.support.templates import CONTENTS, Content, adding

PEOPLE = {
    "supervisor2": None,
    "supervisor": "supervisor2",
    "coach": "supervisor",
    "coach2": "supervisor",
    "admin": None,
}
"""By who they are, those who supervise them."""
CONTENTS["staffing"] = Content(
    "practice",
    adding(lambda: [staff.add(who, supervisor=above) for who, above in PEOPLE.items()]),
)


@pytest.fixture
def staffing_in_template():
    """Have the test's database copied from one with these people."""


@pytest.fixture
def team(staffing_in_template, app):
    """Give a supervisor with two coaches, and another supervisor who supervises the first one."""
    return staff.find_team(PEOPLE)
