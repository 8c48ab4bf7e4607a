"""Codes and their labels."""

from __future__ import annotations

UNREAD_REASONS = {
    "no_form": "This file has no form fields: it may be a scan, a photo, or printed to PDF again.",
    "wrong_form": "The fields in this file don’t match this worksheet: it may be an older version.",
    "broken": "This file is damaged, or in a format that we can’t read.",
}
