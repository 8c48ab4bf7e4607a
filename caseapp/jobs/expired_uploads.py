"""Deleting uploads that their client did not send in time."""

from __future__ import annotations

from caseapp.core.transaction import transaction
from caseapp.domain.worksheets import operations


def delete_expired_uploads() -> int:
    """Delete the uploads whose time is over and return how many there were."""
    with transaction():
        return operations.delete_expired_uploads()
