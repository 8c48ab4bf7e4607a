"""Links and cards: a link works once and for 15 minutes, guessing is throttled, each email is sent once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import TooManyAttempts, Unauthenticated
from caseapp.core.outbox import OutboxRow
from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_codes
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.clients.queries import lock_client
from tests.domain.clients.portal_visitor import HOME, come_in, list_sessions, redeem, request_link
from tests.support import builders
from tests.support.concurrency import run_concurrently
from tests.support.portal_client import ADDRESS, CARD_ONLY, EMAIL_AND_PORTAL, invited

pytestmark = pytest.mark.both


def test_a_link_works_once(mailbox, coach):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    assert redeem(token).id == found.client_id
    with pytest.raises(Unauthenticated):
        come_in(token, HOME)
    assert len(list_sessions(found.client_id)) == 1


@pytest.mark.parametrize(("minutes", "works"), [(14, True), (15, False), (16, False)])
def test_a_link_lasts_fifteen_minutes(mailbox, coach, minutes, works):
    moment = datetime(2026, 5, 14, 12, tzinfo=UTC)
    with at(moment):
        invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    with at(moment + timedelta(minutes=minutes)):
        if works:
            assert come_in(token, HOME)
        else:
            with pytest.raises(Unauthenticated):
                come_in(token, HOME)


def test_only_the_newest_link_works(mailbox, coach):
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    request_link(f" {ADDRESS.upper()} ", HOME)
    outbox.sweep()
    old, new = mailbox.tokens()
    with pytest.raises(Unauthenticated):
        come_in(old, HOME)
    assert come_in(new, HOME)


@pytest.mark.slow
def test_link_used_fifty_times_at_once_starts_one_session(mailbox, coach, app):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    db.session.rollback()
    answers = run_concurrently(app, 50, lambda number: come_in(token, f"192.0.2.{number}"))
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert sum(isinstance(answer, Unauthenticated) for answer in answers) == 49
    assert len(list_sessions(found.client_id)) == 1


@pytest.mark.parametrize("secret", ["", "-", "None", "x" * 43, "0" * 64, "ines@example.test"])
def test_redeem_with_any_other_text_is_rejected(mailbox, coach, secret):
    invited(coach, safe=CARD_ONLY)
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    with pytest.raises(Unauthenticated):
        come_in(secret, HOME)


def test_wrong_card_codes_wait_and_a_right_one_opens_all_the_same(coach, app):
    found = invited(coach)
    with at(datetime(2026, 5, 14, 12, tzinfo=UTC)):
        for _ in range(5):
            with pytest.raises(Unauthenticated):
                come_in("7KQ2-M9XD-7KQ2-M9XD", HOME)
        with pytest.raises(TooManyAttempts):
            come_in("7KQ2-M9XD-7KQ2-M9XD", HOME)
        assert come_in(found.card_code, HOME)


@pytest.mark.slow
def test_request_link_does_the_same_for_every_address(mailbox, coach):
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    invited(coach, safe=CARD_ONLY, address="card@example.test")
    builders.client(coach, safe=EMAIL_AND_PORTAL, email="never.invited@example.test")
    mailbox.taken.clear()
    for address in (
        ADDRESS,
        "card@example.test",
        "never.invited@example.test",
        "nobody@example.test",
    ):
        before = db.session.scalar(sa.select(sa.func.count()).select_from(OutboxRow))
        assert request_link(address, HOME) is None
        db.session.rollback()
        rows = db.session.scalars(sa.select(OutboxRow).order_by(OutboxRow.id)).all()
        assert len(rows) == before + 1
        assert set(rows[-1].payload) == {"email", "until"}
        assert address not in str(rows[-1].payload)
    outbox.sweep()
    assert [message["To"] for message in mailbox.messages()] == [ADDRESS]


def test_request_link_too_often_is_throttled(mailbox, coach):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    with at(datetime(2026, 5, 14, 12, tzinfo=UTC)):
        for _ in range(4):
            request_link(ADDRESS, HOME)
        with pytest.raises(TooManyAttempts):
            request_link(ADDRESS, HOME)
        for number in range(8):
            request_link(ADDRESS, f"198.51.100.{number}")
        with pytest.raises(TooManyAttempts):
            request_link(ADDRESS, "198.51.100.99")
        device = NO_DEVICE.remembering(found.client_id.hex)
        request_link(ADDRESS, HOME, device)
        with pytest.raises(TooManyAttempts):
            request_link(ADDRESS, HOME, NO_DEVICE.remembering("somebody else"))


def test_link_mail_after_server_refusal_is_sent_again(mailbox, coach):
    moment = datetime(2026, 5, 14, 12, tzinfo=UTC)
    client_id = builders.client(coach, safe=EMAIL_AND_PORTAL, email=ADDRESS)
    mailbox.refusing = True
    with at(moment):
        with transaction():
            portal_codes.invite_client(coach, lock_client(coach, client_id))
        assert outbox.sweep() == 0
    mailbox.refusing = False
    with at(moment + timedelta(hours=3)):
        assert outbox.sweep() == 1
        [token] = mailbox.tokens()
        assert come_in(token, HOME)
        assert outbox.sweep() == 0
    assert len(mailbox.taken) == 1


def test_link_mail_requested_hours_ago_is_dropped(mailbox, coach):
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    mailbox.taken.clear()
    mailbox.refusing = True
    request_link(ADDRESS, HOME)
    assert outbox.sweep() == 0
    mailbox.refusing = False
    with at(now() + timedelta(hours=3)):
        assert outbox.sweep() == 1
    assert mailbox.taken == []


def test_link_mail_with_several_workers_is_sent_once(mailbox, coach, app):
    client_id = builders.client(coach, safe=EMAIL_AND_PORTAL, email=ADDRESS)
    with transaction():
        portal_codes.invite_client(coach, lock_client(coach, client_id))
    db.session.rollback()
    run_concurrently(app, 6, lambda _: outbox.sweep())
    assert len(mailbox.taken) == 1
