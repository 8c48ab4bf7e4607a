"""After new codes, what a client wrote before is locked until they enter the PIN that they had."""

from __future__ import annotations

import pytest

from caseapp.domain.keys import writing
from tests.portal.portal_handout import CANARY, PAGE, form, text, write
from tests.support import portal_client
from tests.support.staff import csrf

EARLIER, WRITTEN = "/portal/earlier", "/portal/written"
LOCKED = "What you wrote before you got new codes is locked."


@pytest.fixture
def returned(app, coach, reader):
    """Let a client write, share and get new codes; return a browser with the new PIN."""
    visitor, found = reader
    write(visitor, "share", what_happened="For you.")
    write(visitor, what_happened=CANARY)
    codes = portal_client.new_codes(coach, found.client_id)
    again = app.test_client()
    portal_client.use_card(again, codes.card_code)
    portal_client.choose_pin(again, codes.start_code, "739182")
    return again


def enter(visitor, pin):
    page = visitor.get(EARLIER)
    return visitor.post(EARLIER, data={"csrf_token": csrf(page), "pin": pin})


@pytest.mark.slow
def test_locked_words_are_opened_by_the_earlier_pin(returned):
    page = text(returned.get(PAGE))
    assert LOCKED in page
    assert EARLIER in page
    assert CANARY not in page
    assert "/upload" not in page
    assert LOCKED in text(returned.get(WRITTEN))
    wrong = enter(returned, "739182")
    assert wrong.status_code == 422
    assert "That isn’t right." in text(wrong)
    right = enter(returned, portal_client.PIN)
    assert (right.status_code, right.location) == (303, WRITTEN)
    assert "is open again" in text(returned.get(WRITTEN))
    assert CANARY in text(returned.get(PAGE))
    assert returned.get(EARLIER).location == WRITTEN


@pytest.mark.slow
def test_locked_words_can_be_unshared_and_deleted(returned):
    page = returned.get(PAGE)
    assert returned.post(f"{PAGE}/unshare", data=form(page, f"{PAGE}/unshare")).status_code == 303
    page = returned.get(PAGE)
    assert returned.post(f"{PAGE}/delete", data=form(page, f"{PAGE}/delete")).status_code == 303
    assert "answer_what_happened" in text(returned.get(PAGE))


@pytest.mark.slow
def test_page_says_when_nothing_opens_what_is_locked_any_more(returned, monkeypatch):
    monkeypatch.setattr(writing, "MAX_TRIES", 2)
    assert 'name="pin"' in text(enter(returned, "000000"))
    for page in (enter(returned, "000000"), returned.get(EARLIER)):
        assert "can no longer be opened" in text(page)
        assert 'name="pin"' not in text(page)
        assert WRITTEN in text(page)


@pytest.mark.slow
def test_earlier_pins_have_to_wait_after_five_wrong_ones(returned):
    answers = [enter(returned, "000000") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
