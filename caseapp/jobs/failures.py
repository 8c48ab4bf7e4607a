"""Deleting what signing in leaves behind: forgotten failures, old security events, and expired remembered devices."""

from __future__ import annotations

from caseapp.core.transaction import transaction
from caseapp.domain.audit.security_events import delete_old_events
from caseapp.domain.auth.throttling import delete_forgotten_failures
from caseapp.domain.clients.remembered_devices import delete_expired_devices


def delete_old_failures() -> None:
    """Delete all three kinds."""
    with transaction():
        delete_forgotten_failures()
        delete_old_events()
        delete_expired_devices()
