"""What tests about staff who leave do."""

from __future__ import annotations

from caseapp.core.actor import operator
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.staffing.operations import (
    disable_member,
    hand_over,
)
from caseapp.domain.staffing.queries import (
    lock_member,
)


def give(actor, made, leaver, heir, **more):
    with transaction():
        hand_over(actor, lock_client(actor, made.client_id), leaver.id, heir.id, **more)


def disable(member, successor=None):
    with transaction():
        disable_member(
            operator(), lock_member(member.id), lock_member(successor.id) if successor else None
        )


def marked(actor):
    return {mark.client_id for mark in list_marks(actor.id, HOLD_KINDS)}
