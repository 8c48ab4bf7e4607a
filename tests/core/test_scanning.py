"""The operator's scanner looks at every file that comes in; real programs stand in for it."""

from __future__ import annotations

import pytest

from caseapp.core import scanning
from caseapp.core.scanning import HARMFUL, NOT_CHECKED, find_scan_error

pytestmark = pytest.mark.process

LETS_IN_WITHOUT = ("sh", "-c", "! grep -q HARM")


def test_without_a_scanner_every_file_may_come_in(the_app):
    assert find_scan_error(b"HARM") == ""


@pytest.mark.parametrize(
    ("command", "content", "said"),
    [
        (LETS_IN_WITHOUT, b"nothing bad", ""),
        (LETS_IN_WITHOUT, b"x" * 3_000_000 + b"HARM", HARMFUL),
        (LETS_IN_WITHOUT, b"", ""),
        (("true",), b"x" * 3_000_000, ""),
        (("sh", "-c", "kill -9 $$"), b"anything", HARMFUL),
        (("/nowhere/scanner",), b"anything", NOT_CHECKED),
    ],
    ids=["clean", "harmful", "empty", "reads nothing", "killed", "missing"],
)
def test_only_what_was_looked_at_and_found_clean_comes_in(scanner, command, content, said):
    scanner(*command)
    assert find_scan_error(content) == said


def test_a_scanner_that_takes_too_long_has_not_checked(scanner, monkeypatch):
    monkeypatch.setattr(scanning, "TIMEOUT_SECONDS", 0.2)
    scanner("sleep", "30")
    assert find_scan_error(b"anything") == NOT_CHECKED


def test_a_scanner_learns_nothing_of_our_settings(scanner, monkeypatch):
    monkeypatch.setenv("CASEAPP_SMTP_URL", "smtp://user:canary@mail.example.org")
    scanner("sh", "-c", "! env | grep -q canary")
    assert find_scan_error(b"anything") == ""
