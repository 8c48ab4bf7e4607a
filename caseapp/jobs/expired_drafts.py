"""Deleting the words of forms that nobody came back to."""

from __future__ import annotations

from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts import operations


def delete_expired_drafts() -> int:
    """Delete the form drafts whose time is over and return how many there were."""
    with transaction():
        return operations.delete_expired_drafts()
