"""The operator's scanner checks every upload; real programs take its place here."""

from __future__ import annotations

import pytest

from caseapp.core import scanning
from caseapp.core.scanning import HARMFUL, NOT_CHECKED, scan_upload

pytestmark = pytest.mark.process

REJECTS_HARM = ("sh", "-c", "! grep -q HARM")


def test_without_a_scanner_every_file_is_accepted(session_app):
    assert scan_upload(b"HARM") == ""


@pytest.mark.parametrize(
    ("command", "content", "error"),
    [
        (REJECTS_HARM, b"nothing bad", ""),
        (REJECTS_HARM, b"x" * 3_000_000 + b"HARM", HARMFUL),
        (REJECTS_HARM, b"", ""),
        (("true",), b"x" * 3_000_000, ""),
        (("sh", "-c", "kill -9 $$"), b"anything", HARMFUL),
        (("/nowhere/scanner",), b"anything", NOT_CHECKED),
    ],
    ids=["clean", "harmful", "empty", "reads nothing", "killed", "missing"],
)
def test_only_files_checked_and_found_clean_are_accepted(scanner, command, content, error):
    scanner(*command)
    assert scan_upload(content) == error


def test_scanner_timeout_rejects_the_file(scanner, monkeypatch):
    monkeypatch.setattr(scanning, "TIMEOUT_SECONDS", 0.2)
    scanner("sleep", "30")
    assert scan_upload(b"anything") == NOT_CHECKED


def test_scanner_does_not_see_our_settings(scanner, monkeypatch):
    monkeypatch.setenv("CASEAPP_SMTP_URL", "smtp://user:canary@mail.example.org")
    scanner("sh", "-c", "! env | grep -q canary")
    assert scan_upload(b"anything") == ""
