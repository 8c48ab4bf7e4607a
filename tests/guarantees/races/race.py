"""What a race of two connections is, and the changes that many of them begin with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.schemas import CaseClosing, CaseDetails
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.schemas import NewScreening

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import builders


Team = dict[str, Actor]
URGENT = NewScreening({item.key: 0 for item in ITEMS} | {"self_harm": 3}, True, (), "")  # noqa: FBT003
NO_FACTS = CaseDetails({}, "undecided", None)
ORDER = CaseDetails({"order": "protects_spouse"}, "undecided", None)
CLOSING = CaseClosing("other", "decision", "done", "", follow_up_consent=False, follow_up_on=None)


@dataclass
class Race:
    """A change that is not committed yet, and an operation that must not be decided before it is.

    `code` is that of the error or reason that refuses the second one, or empty when it goes ahead; `holds` tells
    whether the record is right after both.
    """

    first: Callable[[], object]
    second: Callable[[], object]
    code: str = ""
    holds: Callable[[], bool] = lambda: True


def version(made: builders.CaseIds) -> int:
    """Return the version of a case."""
    return db.session.scalar(sa.select(Case.version).where(Case.id == made.case_id)) or 0


def recording_urgent(coach: Actor, made: builders.CaseIds) -> Callable[[], object]:
    """Return a function that records an urgent screening, which opens a safety hold."""
    return lambda: record_screening(coach, lock_client(coach, made.client_id), URGENT)


def count(model: type[Any], *where: sa.ColumnElement[bool]) -> int:
    """Count stored rows."""
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model).where(*where)) or 0
