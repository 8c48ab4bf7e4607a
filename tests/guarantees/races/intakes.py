"""Races of intakes that are sent to a supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Case
from caseapp.domain.intakes.codes import MOST_WAITING
from caseapp.domain.intakes.models import Intake
from caseapp.domain.intakes.operations import (
    ask_again,
    decide_intake,
    open_intake,
    put_to_supervisor,
)
from caseapp.domain.intakes.queries import lock_intake, lock_own_intake
from tests.guarantees.races.race import Race, Team, count
from tests.support import intakes

if TYPE_CHECKING:
    from uuid import UUID


def deciding(team: Team) -> Race:
    """Refuse an intake while a decision to allow it isn't committed: the first one stands."""
    supervisor, intake_id = team["supervisor"], _ask(team)

    def decide(*, is_allowed: bool) -> None:
        intake = lock_intake(supervisor, intake_id)
        decide_intake(supervisor, intake, intakes.decision(intake, is_allowed=is_allowed))

    return Race(
        lambda: decide(is_allowed=True),
        lambda: decide(is_allowed=False),
        "already_decided",
        lambda: count(Intake, Intake.id == intake_id, Intake.is_allowed.is_(True)) == 1,
    )


def opening(team: Team) -> Race:
    """Open a case twice: it is opened once."""
    coach, intake_id, cases = team["coach"], _ask(team), count(Case)
    new = intakes.entered(f"Aino {intake_id.hex}")

    def open_it() -> None:
        open_intake(coach, lock_own_intake(coach, intake_id), new)

    return Race(open_it, open_it, "not_found", lambda: count(Case) == cases + 1)


def asking_again(team: Team) -> Race:
    """Ask again while the case is being opened: there is nothing to ask any more."""
    coach, intake_id = team["coach"], _ask(team)
    new = intakes.entered(f"Aino {intake_id.hex}")
    return Race(
        lambda: open_intake(coach, lock_own_intake(coach, intake_id), new),
        lambda: ask_again(coach, lock_own_intake(coach, intake_id), new),
        "not_found",
        lambda: count(Intake, Intake.id == intake_id) == 0,
    )


def asking_the_last(team: Team) -> Race:
    """Ask while the last question that may wait is being asked: it is one too many."""
    coach = team["coach"]
    with transaction() as session:
        session.execute(sa.delete(Intake))
    for _ in range(MOST_WAITING - 1):
        _ask(team)

    def ask() -> None:
        put_to_supervisor(coach, intakes.entered())

    return Race(ask, ask, "too_many_waiting", lambda: count(Intake) == MOST_WAITING)


def _ask(team: Team) -> UUID:
    asked: UUID = intakes.ask(team["coach"])
    return asked


INTAKES = {"ask_again": asking_again, "decide_intake": deciding, "open_intake": opening}
MORE_INTAKES = {"put_to_supervisor, the last one": asking_the_last}
