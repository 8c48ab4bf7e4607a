"""Finishing erasures outside the database."""

from __future__ import annotations

from caseapp.core.transaction import transaction
from caseapp.domain.erasure.operations import note_keys_gone, write_tombstones


def finish_erasures() -> None:
    """Write missing tombstones, and note of which erasures the vault keys are gone."""
    write_tombstones()
    with transaction():
        note_keys_gone()
