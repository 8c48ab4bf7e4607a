"""Sign-in under attack: strangers keep nobody out, and guess hardly anything."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from werkzeug.middleware.proxy_fix import ProxyFix

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.domain.audit.models import SecurityEvent
from caseapp.domain.auth.models import FailureCount
from tests.support import staff
from tests.support.depth import ROUNDS
from tests.support.portal_client import choose_pin, enter_pin, invited, sign_in_client, use_card

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
TARGET, OTHER = "coach@practice.test", "coach2@practice.test"
JUNK = 10_000 if ROUNDS > 1 else 300
ADDRESSES = [f"198.51.{number}.7" for number in range(25)] + [
    f"2001:db8:{number:x}::7" for number in range(25)
]
GUESSES_EVERY = 10 if ROUNDS > 1 else 120
"""Minutes between two rounds of guesses at a PIN."""
# Whom the tries are aimed at, and whether they come through a proxy.
ATTACKS = [(TARGET, True), (TARGET, False)]
if ROUNDS > 1:
    # That tries at many accounts make their network wait, tests/domain/auth/test_throttle.py shows each time.
    ATTACKS += [("somebody{}@practice.test", proxied) for _aim, proxied in ATTACKS]


def attempt(browser, email, address, password=staff.PASSWORD):
    """Send the sign-in form from an address; a browser keeps its form's token as long as it is open.

    Behind a proxy, which has an address of its own, the visitor pretends to be somewhere else.
    """
    proxied = isinstance(browser.application.wsgi_app, ProxyFix)
    headers = {"X-Forwarded-For": f"203.0.113.9, {address}"} if proxied else {}
    if not hasattr(browser, "form_token"):
        browser.form_token = staff.csrf(browser.get("/sign-in"))
    return browser.post(
        "/sign-in",
        data={"csrf_token": browser.form_token, "email": email, "password": password},
        headers=headers,
        environ_overrides={"REMOTE_ADDR": "127.0.0.1" if proxied else address},
    )


@pytest.fixture
def people(app):
    staff.team()


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize(("aim", "proxied"), ATTACKS)
def test_strangers_keep_nobody_out(app, people, monkeypatch, aim, proxied):
    """Junk tries are counted by account and network, and nobody else waits for them (VULN-23)."""
    if proxied:
        monkeypatch.setattr(app, "wsgi_app", ProxyFix(app.wsgi_app, x_for=1, x_proto=1))
    known = app.test_client()
    attacked = ADDRESSES[0]
    with at(NOON):
        assert attempt(known, TARGET, "192.0.2.1").status_code == 303
        stranger = app.test_client()
        answers: Counter[int] = Counter()
        for number in range(JUNK):
            address = ADDRESSES[number % len(ADDRESSES)]
            answer = attempt(stranger, aim.format(number), address, "junk")
            answers[answer.status_code] += 1
        assert set(answers) <= {401, 429}
        assert answers[401] <= 30 * len(ADDRESSES)
        # A known device, from the attacked address too.
        known.delete_cookie("__Host-desk")
        del known.form_token
        assert attempt(known, TARGET, attacked).status_code == 303
        # The target's own new device elsewhere.
        assert attempt(app.test_client(), TARGET, "192.0.2.2").status_code == 303
    with at(NOON + timedelta(seconds=60)):
        # A new device at the attacked address, for somebody else.
        assert attempt(app.test_client(), OTHER, attacked).status_code == 303
    assert count_rows(FailureCount) <= 2 * answers[401] + len(ADDRESSES) + 10
    assert count_rows(SecurityEvent) <= 3
    signed_out = app.test_client()
    for path in ("/portal/safety", "/livez"):
        assert signed_out.get(path).status_code == 200
    assert signed_out.get("/exit").status_code == 303


def count_rows(table):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(table))


def come_from(browser, address, *, proxied):
    """Let a browser's requests come from an address; one behind a proxy also pretends to be somewhere else."""
    browser.environ_base["REMOTE_ADDR"] = "127.0.0.1" if proxied else address
    if proxied:
        browser.environ_base["HTTP_X_FORWARDED_FOR"] = f"203.0.113.9, {address}"


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("proxied", [True, False])
def test_pins_and_start_codes_are_guessed_fewer_than_ten_times_a_day(
    app, people, monkeypatch, proxied
):
    """Wherever the tries come from and whatever pauses are made; the client’s own device isn't held up by them."""
    if proxied:
        monkeypatch.setattr(app, "wsgi_app", ProxyFix(app.wsgi_app, x_for=1, x_proto=1))
    coach = staff.add("supervisor2", role="coach")
    with at(NOON):
        own, first = sign_in_client(app, coach)
        second = invited(coach)
    checked: Counter[tuple[object, int]] = Counter()
    for minutes in range(0, 24 * 60, GUESSES_EVERY):
        with at(NOON + timedelta(minutes=minutes)):
            for found, guess in (
                (first, lambda thief: enter_pin(thief, "000001")),
                (second, lambda thief: choose_pin(thief, "2222-2222")),
            ):
                thief = app.test_client()
                come_from(thief, ADDRESSES[minutes // 10 % len(ADDRESSES)], proxied=proxied)
                use_card(thief, found.card_code)
                for _ in range(3):
                    checked[found.client_id, guess(thief).status_code] += 1
    for found in (first, second):
        assert 5 <= checked[found.client_id, 422] < 10
        assert checked[found.client_id, 429] > 20
    with at(NOON + timedelta(hours=23)):
        come_from(own, ADDRESSES[0], proxied=proxied)
        own.delete_cookie("__Host-reader")
        use_card(own, first.card_code)
        assert enter_pin(own).status_code == 303
