"""Finishing erasures outside the database."""

from __future__ import annotations

from caseapp.domain.erasure import operations


def finish_erasures() -> None:
    """Write missing tombstones, and note whose earlier copies no listed vault key opens any more."""
    operations.finish_erasures()
