"""A coach at the desk with a client, and sheets given to them: what the pages about handouts begin with."""

import sqlalchemy as sa

from caseapp.assignments.operations import assign
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from tests import build, people
from tests.desk import Desk


def opened(app, **levels):
    team = people.team()
    made = build.case(team["coach"], "Ines Okafor")
    build.screen(team["coach"], made.client_id, **levels)
    return team, made, Desk(app, team["coach"])


def given(team, made, slug="better-nights", channel="portal", line=""):
    with transaction():
        return assign(team["coach"], made.case_id, slug, line=line, channel=channel, confirmed=True)


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))
