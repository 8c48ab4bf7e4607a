"""Intakes that are sent to a supervisor, as coaches enter them."""

from caseapp.core.clock import now
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.domain.cases.schemas import CaseDetails, dump_case
from caseapp.domain.clients.queries import dump_client
from caseapp.domain.intakes.models import Intake
from caseapp.domain.intakes.operations import put_to_supervisor
from caseapp.domain.intakes.queries import find_intake_matches, seal_part
from caseapp.domain.intakes.schemas import EnteredIntake, IntakeDecision
from tests.support import builders

BODY = {
    "client": {"name": "Aino Wuolijoki", "safe_channels": ["call"]},
    "case": {"goal": "undecided"},
}
"""One as a request to the API sends it."""


def entered(name="Aino Wuolijoki", *, gender=None, **changed):
    """Enter somebody new and their case."""
    facts = {"gender": gender} if gender else {}
    return EnteredIntake(builders.details(name, **changed), CaseDetails(facts, "undecided", None))


def ask(coach, name="Aino Wuolijoki", **changed):
    """Put an intake to the coach's supervisor, and return its id."""
    with transaction():
        return put_to_supervisor(coach, entered(name, **changed))


def decision(intake, *, is_allowed=True, shown=None):
    """Decide about a locked intake, as somebody who was shown these clients: all who match, if none are given."""
    found = find_intake_matches(intake.record) if shown is None else shown
    return IntakeDecision(is_allowed, frozenset(found))


def keep(coach):
    """Keep an intake for a coach, who may have no supervisor, and return its id."""
    new = entered()
    intake = Intake(id=new_id(), asked_by=coach.id, asked_at=now(), ring_number=1)
    words = {"client": dump_client(new.client), "case": dump_case(new.case)}
    intake.words = seal_part(intake, "words", words)
    with transaction() as session:
        session.add(intake)
        return intake.id
