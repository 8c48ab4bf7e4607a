"""A client changes their PIN in the portal."""

from __future__ import annotations

import pytest

from caseapp.core.errors import Unauthenticated
from caseapp.core.transaction import transaction
from caseapp.domain.audit.security_events import get_wrong_pins
from caseapp.domain.auth.own_pin import change_pin, check_pin_change
from caseapp.domain.auth.portal_access import complete_first_visit
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.clients.schemas import PinChange
from tests.domain.clients import portal_visitor
from tests.domain.clients.portal_visitor import list_audit_events_of, redeem
from tests.portal.portal_handout import CANARY, PAGE, text, write
from tests.support import portal_client
from tests.support.staff import csrf

OWN_PIN, PRIVACY = "/portal/change-pin", "/portal/privacy"
NEW_PIN = "739182"


def send(visitor, pin=portal_client.PIN, new_pin=NEW_PIN, again=None):
    data = {"csrf_token": csrf(visitor.get(OWN_PIN)), "pin": pin, "new_pin": new_pin}
    return visitor.post(OWN_PIN, data=data | {"again": new_pin if again is None else again})


@pytest.mark.slow
def test_changed_pin_opens_what_was_written_and_ends_the_other_sessions(app, reader):
    visitor, found = reader
    write(visitor, what_happened=CANARY)
    other, later = app.test_client(), app.test_client()
    portal_client.use_card(other, found.card_code)
    portal_client.enter_pin(other)
    assert other.get(PRIVACY).status_code == 200
    for wrong in (
        {"pin": "000000"},
        {"new_pin": "111111"},
        {"new_pin": portal_client.PIN},
        {"again": "739183"},
    ):
        answer = send(visitor, **wrong)
        assert answer.status_code == 422
        assert not {portal_client.PIN, NEW_PIN} & set(text(answer).split('"'))
    # Only a wrong PIN counts as a try.
    assert get_wrong_pins(found.client_id).times == 1
    changed = send(visitor)
    assert (changed.status_code, changed.location) == (303, PRIVACY)
    shown = text(visitor.get(PRIVACY))
    assert "Your PIN was changed." in shown
    assert "Your PIN was last changed on" in shown
    assert CANARY in text(visitor.get(PAGE))
    assert other.get(PRIVACY).status_code == 303
    portal_client.use_card(later, found.card_code)
    assert portal_client.enter_pin(later).status_code == 422
    assert portal_client.enter_pin(later, NEW_PIN).status_code == 303
    assert CANARY in text(later.get(PAGE))
    assert "pin.change" in {event.action for event in list_audit_events_of(found.client_id)}


@pytest.mark.slow
def test_pin_to_change_waits_as_at_the_sign_in(reader):
    visitor, _found = reader
    answers = [send(visitor, pin="000000") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_pin_that_was_replaced_meanwhile_is_not_changed(app, coach):
    found = portal_client.invited(coach)
    first = redeem(found.card_code)
    reference = portal_visitor.choose_pin(first, found.start_code)
    with transaction():
        complete_first_visit(find_client_session(reference).actor)
    client = find_client_session(reference).actor
    checked, late = (
        check_pin_change(client, PinChange(portal_client.PIN, pin)) for pin in (NEW_PIN, "918273")
    )
    with transaction():
        reference = change_pin(client, checked)
    with pytest.raises(Unauthenticated), transaction():
        change_pin(client, late)
    client = find_client_session(reference).actor
    checked = check_pin_change(client, PinChange(NEW_PIN, portal_client.PIN))
    portal_client.new_codes(coach, found.client_id)
    with pytest.raises(Unauthenticated), transaction():
        change_pin(client, checked)
