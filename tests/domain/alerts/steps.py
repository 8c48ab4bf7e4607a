"""What tests of alerts do and look at."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy

import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.mail import mail_folder
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import Alert, AlertRecipient, AlertSetting, AlertStep
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import lock_alert
from caseapp.domain.users.models import User
from tests.support import builders, staff


def add_deputies(team):
    """Add the supervisor's deputy and a manager to the usual people."""
    team = team | {"deputy": staff.add("supervisor3"), "manager": staff.add("supervisor4")}
    with transaction():
        set_deputy(team["supervisor"], team["deputy"])
        db.session.execute(sa.update(AlertSetting).values(manager_id=team["manager"].id))
    return team


def set_deputy(person, deputy):
    db.session.execute(
        sa.update(User).where(User.id == person.id).values(deputy_id=deputy and deputy.id)
    )


def the_alert():
    db.session.rollback()
    return db.session.scalars(sa.select(Alert).execution_options(populate_existing=True)).one()


def taken_steps():
    """Return the steps that were taken, with the names of the people whom each has alerted."""
    db.session.rollback()
    rows = db.session.execute(
        sa.select(AlertStep.step, User.name)
        .outerjoin(
            AlertRecipient,
            sa.and_(
                AlertRecipient.alert_id == AlertStep.alert_id,
                AlertRecipient.step == AlertStep.step,
            ),
        )
        .outerjoin(User, User.id == AlertRecipient.user_id)
        .where(AlertStep.taken_at.is_not(None))
    )
    return {row.step: row.name for row in rows}


@contextmanager
def later(**passed):
    with at(now() + timedelta(**passed)):
        yield


def urgent(team, who="coach"):
    made = builders.case(team["coach"])
    builders.screen(team[who], made.client_id, self_harm="urgent")
    return made


def mails():
    return [
        message_from_bytes(file.read_bytes(), policy=policy.default)
        for file in sorted(mail_folder().glob("*.eml"))
    ]


def acknowledge(actor, alert_id):
    with transaction():
        acknowledge_alert(actor, lock_alert(actor, alert_id))
