"""Versions in the API: an `ETag` is a record's version in quotes, `If-Match` the version that a change starts from."""

from __future__ import annotations

import re

from flask import request

from caseapp.core.errors import Invalid, VersionMissing

ETAG = re.compile(r'"(\d{1,9})"', re.ASCII)


def make_etag(version: int) -> str:
    """Format a version as an ETag."""
    return f'"{version}"'


def read_if_match() -> int:
    """Read the version that a change starts from.

    Raises VersionMissing without the header, and Invalid when it is not exactly one of our ETags.
    """
    sent = request.headers.get("If-Match")
    if sent is None:
        raise VersionMissing
    found = ETAG.fullmatch(sent.strip())
    if found is None:
        raise Invalid(
            {
                "If-Match": [
                    "Send the ETag exactly as you received it, including its quotation marks."
                ]
            }
        )
    return int(found[1])
