from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.outbox import OutboxRow
from caseapp.core.transaction import transaction
from caseapp.domain.dashboard.weekly_mail import (
    BOARD_MAIL,
    enqueue_board_mails,
    find_next_monday,
    send_board_mail,
)
from caseapp.jobs import register_handlers
from tests.support import builders, staff

pytestmark = pytest.mark.both

# A Thursday.
NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "due"),
    [
        (NOON, "UTC", datetime(2026, 5, 18, 8, tzinfo=UTC)),
        (NOON, "Europe/Berlin", datetime(2026, 5, 18, 6, tzinfo=UTC)),
        (datetime(2026, 5, 18, 7, 59, tzinfo=UTC), "UTC", datetime(2026, 5, 18, 8, tzinfo=UTC)),
        (datetime(2026, 5, 18, 8, tzinfo=UTC), "UTC", datetime(2026, 5, 25, 8, tzinfo=UTC)),
        # The clocks go back on Sunday, 25 October.
        (
            datetime(2026, 10, 22, tzinfo=UTC),
            "Europe/Berlin",
            datetime(2026, 10, 26, 7, tzinfo=UTC),
        ),
    ],
)
def test_email_is_due_on_monday_at_eight_where_the_practice_is(moment, zone, due):
    assert find_next_monday(moment, zone) == due


def enqueue(moment):
    with at(moment), transaction():
        enqueue_board_mails()


def list_rows():
    db.session.rollback()
    return db.session.scalars(sa.select(OutboxRow).where(OutboxRow.kind == BOARD_MAIL)).all()


@pytest.mark.slow
def test_email_is_sent_once_a_week_to_each_supervisor_however_often_it_is_enqueued(
    app, monkeypatch
):
    staff.team()
    staff.add("supervisor2")
    register_handlers()
    sent: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", sent.append)
    for hours in (0, 1, 20):
        enqueue(NOON + timedelta(hours=hours))
    assert len(list_rows()) == 2
    with at(NOON + timedelta(days=3)):
        outbox.sweep(kind=BOARD_MAIL)
    assert sent == []
    for days in (4, 5):
        with at(NOON + timedelta(days=days)):
            outbox.sweep(kind=BOARD_MAIL)
        enqueue(NOON + timedelta(days=days))
    assert sorted(message.to for message in sent) == [
        "supervisor2@practice.test",
        "supervisor@practice.test",
    ]
    assert len(list_rows()) == 4


@pytest.mark.slow
def test_email_has_counts_and_names_nobody(app, monkeypatch):
    team = staff.team()
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, self_harm=3, days_ago=1)
    builders.draft(team["coach"], made.case_id)
    sent: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", sent.append)
    assert send_board_mail(team["supervisor"].id)
    (message,) = sent
    assert "1 alert that nobody has acknowledged" in message.body
    assert "1 unsigned note" in message.body
    assert "0 holds" in message.body
    assert "/board" in message.body
    for word in ("Ines", made.number, "Marta", "safety", "self-harm"):
        assert word not in message.body + message.subject


@pytest.mark.parametrize("who", ["coach", "admin"])
def test_nobody_else_gets_the_email(app, who):
    team = staff.team()
    assert not send_board_mail(team[who].id)
    with transaction():
        staff.disable("supervisor@practice.test")
    assert not send_board_mail(team["supervisor"].id)
    enqueue(NOON)
    assert list_rows() == []
