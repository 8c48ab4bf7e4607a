"""Helpers: assign a handout, set a flag, act as the client."""

from caseapp.core.actor import Actor
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.screening.operations import set_manual_flag


def assign(actor, made, slug="better-nights", *, channel="portal", message="", **more):
    with transaction():
        return assign_handout(
            actor, lock_case(actor, made.case_id), slug, message=message, channel=channel, **more
        )


def flag(actor, made, kind):
    with transaction():
        set_manual_flag(actor, lock_client(actor, made.client_id), kind)


def reader(made):
    return Actor(made.client_id, Role.CLIENT, "Ines", "portal")


def codes(refused):
    return [reason.code for reason in refused.value.reasons]
