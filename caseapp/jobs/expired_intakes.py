"""Deleting the intakes that were sent to a supervisor and never became clients."""

from __future__ import annotations

from caseapp.core.transaction import transaction
from caseapp.domain.intakes.operations import delete_old_intakes


def delete_expired_intakes() -> int:
    """Delete the intakes whose time is over and return how many there were."""
    with transaction():
        return delete_old_intakes()
