"""The people of a practice with alerts."""

from __future__ import annotations

import pytest

from caseapp.core import runtime
from caseapp.core.mail import mail_folder
from tests.domain.alerts.steps import add_deputies
from tests.support import staff
from tests.support.templates import CONTENTS, Content, adding

CONTENTS["deputies"] = Content("team", adding(lambda: add_deputies(staff.find_team())))


@pytest.fixture
def deputies_in_template():
    """Have the test's database copied from one with the supervisor's deputy and a manager."""


@pytest.fixture
def team(deputies_in_template, team, monkeypatch):
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    for mail in mail_folder().glob("*.eml"):
        mail.unlink()
    others = staff.find_team(["supervisor3", "supervisor4"])
    return team | {"deputy": others["supervisor3"], "manager": others["supervisor4"]}
