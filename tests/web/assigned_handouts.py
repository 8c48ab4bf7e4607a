"""A signed-in coach with a client and assigned handouts, for the tests of pages."""

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser


def opened(app, **levels):
    team = staff.team()
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, **levels)
    return team, made, StaffBrowser(app, team["coach"])


def given(team, made, slug="better-nights", channel="portal", message=""):
    with transaction():
        return assign_handout(
            team["coach"],
            lock_case(team["coach"], made.case_id),
            slug,
            message=message,
            channel=channel,
            confirmed=True,
        )


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))
