"""Codes and their labels."""

from __future__ import annotations

from caseapp.core.i18n import lazy_gettext

UNREAD_REASONS = {
    "no_form": lazy_gettext(
        "This file has no form fields. It may be a scan, a photo, or a PDF that was printed to PDF again."
    ),
    "wrong_form": lazy_gettext(
        "The fields in this file don’t match this worksheet. It may be an older version."
    ),
    "broken": lazy_gettext("This file is damaged or in a format that we can’t read."),
}
