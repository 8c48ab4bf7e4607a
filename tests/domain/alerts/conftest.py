"""The people of a practice with alerts."""

from __future__ import annotations

import pytest

from caseapp.core import runtime
from caseapp.core.mail import mail_folder
from tests.domain.alerts.steps import add_deputies


@pytest.fixture
def team(team, monkeypatch):
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    for mail in mail_folder().glob("*.eml"):
        mail.unlink()
    return add_deputies(team)
