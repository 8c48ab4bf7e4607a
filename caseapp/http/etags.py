"""Versions at the API: an `ETag` is a record's version in quotes, `If-Match` the one that a change starts from."""

from __future__ import annotations

import re

from flask import request

from caseapp.core.errors import Invalid, VersionMissing

ETAG = re.compile(r'"(\d{1,9})"', re.ASCII)


def etag_of(version: int) -> str:
    """Write a version as an ETag."""
    return f'"{version}"'


def if_match() -> int:
    """Read the version that a change starts from.

    Raises VersionMissing without the header, and Invalid when it does not hold one ETag of ours.
    """
    sent = request.headers.get("If-Match")
    if sent is None:
        raise VersionMissing
    found = ETAG.fullmatch(sent.strip())
    if found is None:
        raise Invalid({"If-Match": ["Send the ETag as you read it, in its quotes."]})
    return int(found[1])
