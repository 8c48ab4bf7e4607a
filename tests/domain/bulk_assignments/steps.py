"""Helpers: requests for bulk assignments and the states of their items."""

import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.queries import get_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.queries import CaseFilter, list_cases

SLUG = "better-nights"
NAMES = ("Ana Brandt", "Bo Castell", "Cy Dorn", "Di Ebner", "El Faro", "Fay Gould")


def wish(cases, **changed):
    plain = {
        "handout_version": None,
        "language": "en",
        "channel": "print",
        "message": "For your evenings.",
        "due_on": None,
        "cases": tuple(getattr(one, "case_id", one) for one in cases),
        "confirmed": {},
    }
    return NewBulkAssignment(**(plain | changed))


def read(*cases, codes=("later_stage",)):
    """Confirm some cases with the reasons that were shown."""
    return {one.case_id: frozenset(codes) for one in cases}


def begin(actor, cases, slug=SLUG, **changed):
    with transaction():
        return start_bulk_assignment(actor, slug, wish(cases, **changed))


def states(actor, bulk_assignment_id):
    db.session.rollback()
    shown = get_bulk_assignment(actor, bulk_assignment_id)
    return {item.client: (item.state, [r.code for r in item.reasons]) for item in shown.items}


def deliver():
    """Deliver everything, including rows that a delivery adds."""
    while outbox.sweep():
        pass


def count(model, *where):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model).where(*where))


def everyone(coach):
    return tuple(item.id for item in list_cases(coach, CaseFilter(), None, 500).items)
