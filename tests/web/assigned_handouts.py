"""A coach at the desk with a client, and sheets given to them: what the pages about handouts begin with."""

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from tests.support import builders, staff
from tests.support.staff_pages import Desk


def opened(app, **levels):
    team = staff.team()
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, **levels)
    return team, made, Desk(app, team["coach"])


def given(team, made, slug="better-nights", channel="portal", message=""):
    with transaction():
        return assign_handout(team["coach"], made.case_id, slug, message=message, channel=channel, confirmed=True)


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))
