"""Deleting counts of failures that no budget remembers, and security events that are too old to be shown."""

from __future__ import annotations

from caseapp.core.transaction import transaction
from caseapp.domain.audit.security_events import delete_old_events
from caseapp.domain.auth.throttling import delete_forgotten_failures


def delete_old_failures() -> None:
    """Delete both kinds."""
    with transaction():
        delete_forgotten_failures()
        delete_old_events()
